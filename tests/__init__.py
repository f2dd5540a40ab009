"""Tests of Modelyard."""
