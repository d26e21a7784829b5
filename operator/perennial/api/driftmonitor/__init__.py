"""The DriftMonitor resource."""
