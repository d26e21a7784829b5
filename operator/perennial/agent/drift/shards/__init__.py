"""Shards: several pods of one Job that each read a part of a window; the last one to finish merges and judges."""
