"""Scores models on frozen rows, and says what is beyond noise. Imports no torch before a model is run."""
