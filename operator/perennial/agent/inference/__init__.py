"""Asks a model server for predictions over HTTP."""
