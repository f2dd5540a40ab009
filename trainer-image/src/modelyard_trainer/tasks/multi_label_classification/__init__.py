"""Any number of classes for a text."""
