"""The part of a text that answers a question, or that none does."""
