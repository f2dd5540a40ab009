"""Preparation of rows: one file per step, all pure but for reading the source."""
