"""Runs: why they start, how they are recorded, and how long they are kept."""
