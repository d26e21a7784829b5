"""DriftMonitor controller: runs comparisons by a CronJob and turns verdicts into conditions and retraining requests."""
