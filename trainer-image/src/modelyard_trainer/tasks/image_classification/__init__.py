"""One class for a picture."""
