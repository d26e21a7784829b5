"""One attempt of a run: what it is doing, and how it ended."""
