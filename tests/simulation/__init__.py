"""Whole scenarios on a fake API server, a fake store and a fake clock, with seeded faults, through the real engine."""
