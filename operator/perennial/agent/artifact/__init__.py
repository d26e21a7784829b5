"""Published versions on disk: manifest, digests, safe paths, capacity."""
