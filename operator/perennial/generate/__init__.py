"""Generates CRDs, RBAC rules, Helm values and reference pages from the models."""
