"""Statistics of drift: pure functions over numpy arrays, no input or output.

`samples` cleans values, `binning` counts them, `distances` and `significance` measure, `noise` says how much of a
distance is chance, `compare` picks a method and judges one column, `display` prepares what a report draws.
"""
