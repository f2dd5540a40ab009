"""Figures of the operator on a real API server and a real store, beside what the machine itself can do."""
