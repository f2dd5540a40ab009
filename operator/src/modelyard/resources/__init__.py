"""The functional core: one room per kind; pure functions from what is observed to what should be."""
