"""The shell around the rooms: cache, queue, reconcile loop, leader election, metrics, and the process itself."""
