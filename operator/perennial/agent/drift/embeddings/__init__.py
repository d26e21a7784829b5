"""Embeddings: columns that hold a list of numbers, compared as a whole."""
