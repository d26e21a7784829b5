"""Settings of all unit tests."""

from hypothesis import settings

# A deadline per example would fail tests on a busy machine.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
