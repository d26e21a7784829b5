"""The TrainingJob resource."""
