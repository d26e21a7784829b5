"""Models that the three resources share: metadata, pod options, storage, schedules, conditions."""
