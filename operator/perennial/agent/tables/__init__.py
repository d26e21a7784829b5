"""Tables of Parquet, CSV and JSON lines files, read one column at a time."""
