"""Means and intervals that stay right with few values and at the edges of a metric's range. Pure functions."""

from harness.stats.intervals import Estimate, mean_interval, paired_interval, wilson_interval
from harness.stats.separation import separation

__all__ = ["Estimate", "mean_interval", "paired_interval", "separation", "wilson_interval"]
