"""What holds for all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# Test processes share two cores. Threads that spin while they wait for one another, as PyTorch's do by default, then
# take the time that others need: tests of small models were seen to take six times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A deadline per example measures how busy the machine is; the time limit of a whole test is pytest-timeout's.
settings.register_profile("harness", deadline=None)
settings.load_profile("harness")
