"""The commands. Each parses its arguments, asks the cluster, and prints what a pure function made."""
