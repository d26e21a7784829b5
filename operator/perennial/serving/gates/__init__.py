"""Gates of a rollout: what to read, and pure judges of what was read."""
