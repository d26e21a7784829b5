"""Comparisons of the parts into which the values of a column divide the data."""
