"""The control loop: cache, work queue, reconcile, child objects and Events."""
