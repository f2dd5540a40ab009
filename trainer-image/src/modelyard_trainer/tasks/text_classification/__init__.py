"""One class for a text."""
