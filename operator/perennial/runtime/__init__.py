"""Runs the controllers: cache, queue, reconcile loop, leader election, metrics, and the process itself."""
