"""The rollout of a revision: candidate, stable, previous; approval by annotation."""
