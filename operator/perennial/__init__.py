"""Perennial keeps machine-learning models fresh on Kubernetes: train, serve behind a gate, watch, retrain."""

__version__ = "0.1.0"
