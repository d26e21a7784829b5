"""A real Argo CD, and the repository in Git that it syncs."""
