"""Manifests of the objects that a ModelDeployment owns, one file for each kind."""
