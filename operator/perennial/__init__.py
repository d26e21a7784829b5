"""A Kubernetes operator that trains and serves machine-learning models, detects drift and retrains."""

__version__ = "0.1.0"
