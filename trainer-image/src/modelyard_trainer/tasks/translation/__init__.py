"""A text for a text, by a model with an encoder and a decoder."""
