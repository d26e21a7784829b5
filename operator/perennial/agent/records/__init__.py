"""File formats of captured requests, written by `capture` and read by `drift`: JSON lines or Parquet."""
