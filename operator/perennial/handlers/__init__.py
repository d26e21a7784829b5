"""The only home of `kopf`: watch events in, calls of the cache and the queue out."""
