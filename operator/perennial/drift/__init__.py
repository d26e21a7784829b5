"""The drift room: how a DriftMonitor becomes a CronJob, and how its verdicts become conditions and requests."""
