"""Statistics of drift, performance and fairness: pure functions over numpy arrays, no input or output.

Drift: `samples` cleans values, `binning` counts them, `distances` and `significance` compute statistics, `noise` gives
the distance expected by chance, `compare` chooses a method and compares one column, `display` prepares plots.
Performance: `classification` and `regression` compute metrics, `performance` looks them up by name. Fairness: `groups`
computes rates, `fairness` compares them. `intervals` computes confidence intervals for all of these.
"""
