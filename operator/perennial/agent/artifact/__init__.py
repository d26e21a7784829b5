"""Published versions: manifest, digests and safe paths."""
