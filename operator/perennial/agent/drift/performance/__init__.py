"""Performance and fairness checks on predictions and labels."""
