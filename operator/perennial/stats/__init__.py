"""Statistics of drift, performance and fairness: pure functions over numpy arrays, no input or output.

Drift: `samples` cleans values, `binning` counts them, `distances` and `significance` measure, `noise` says how much
of a distance is chance, `compare` picks a method and judges one column, `display` prepares what a report draws.
Performance: `classification` and `regression` measure, `performance` does so by name. Fairness: `groups` has the rates,
`fairness` compares them. `intervals` says how sure all of these are.
"""
