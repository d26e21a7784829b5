"""A real Kubernetes from Go modules, in namespaces of its own: `python3 -m tools.cluster --help`."""
