"""Writes a comparison in the three formats of SageMaker Model Monitor: statistics, constraints and violations."""
