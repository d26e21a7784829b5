"""Clients of the API server and of pods. The only package that imports `kubernetes`."""
