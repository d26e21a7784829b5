"""The demo: the whole loop on a real cluster, and the pieces of it that the end-to-end tests use as well."""
