"""A short text for a long one, by a model with an encoder and a decoder."""
