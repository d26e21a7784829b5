"""Predictions of models: bodies of requests and responses, and labelled predictions as rows for `stats`."""
