"""Tests of Modelyard and the real cluster they run on."""
