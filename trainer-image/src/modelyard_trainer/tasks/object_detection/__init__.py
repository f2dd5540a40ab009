"""Boxes with classes for a picture."""
