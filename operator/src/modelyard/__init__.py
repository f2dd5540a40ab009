"""Modelyard: the whole life of a model on Kubernetes, from data to a gated, served version."""
