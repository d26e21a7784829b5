"""The operator process: startup, settings, leader election, HTTP endpoints, metrics and logs."""
