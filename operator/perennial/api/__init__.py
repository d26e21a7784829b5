"""The models of everything that crosses a boundary: resources, manifests, messages, configuration.

They are the only truth: CRDs, RBAC, the chart's schema and the reference pages are generated from them.
"""
