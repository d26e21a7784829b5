"""Checks beyond single input columns: predictions, all columns together, duplicate rows."""
