"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# A deadline per example measures how busy the machine is; the time limit of a whole test is pytest-timeout's.
settings.register_profile("harness", deadline=None)
settings.load_profile("harness")
