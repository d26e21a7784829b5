"""Command `trace`: from the id of one prediction to its captured request, its model and the verdicts around it."""
