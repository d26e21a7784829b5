"""Sweeps: one run that trains several parameter sets and keeps the best trial."""
