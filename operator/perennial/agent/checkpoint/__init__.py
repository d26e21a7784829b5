"""Checkpoints: mirrored to the storage while training runs, restored when an attempt is repeated."""
