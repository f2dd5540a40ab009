"""The functional core: one reconciler per kind; pure functions from what is observed to what should be."""
