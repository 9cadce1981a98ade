"""Means, correlations and intervals that stay right with few values and at the edges of a range. Pure functions."""

from harness.stats.correlation import MIN_SHARED, Correlation, average_ranks, pearson_interval, spearman_interval
from harness.stats.intervals import Estimate, mean_interval, paired_interval, wilson_interval
from harness.stats.separation import separation

__all__ = [
    "MIN_SHARED",
    "Correlation",
    "Estimate",
    "average_ranks",
    "mean_interval",
    "paired_interval",
    "pearson_interval",
    "separation",
    "spearman_interval",
    "wilson_interval",
]
