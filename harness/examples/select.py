"""Which features of a subject are used."""

from __future__ import annotations

from collections import Counter
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Protocol

import numpy as np

from harness.errors import ConfigError, ExampleError, FeatureSourceError, UnknownNameError
from harness.examples.record import FeatureRecord, SkippedFeature
from harness.examples.where import Condition
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.activations.facts import FeatureFacts
    from harness.config.schema import FeaturesConfig

__all__ = ["SELECTIONS", "NoUsableFeatureError", "candidates", "select_features"]

SELECTIONS = ("all", "file", "list", "range", "sample")


class Builder(Protocol):
    """What is needed of a ``RecordBuilder``."""

    def build(self, feature: int) -> FeatureRecord | SkippedFeature:
        """Return the record of a feature, or why it has none."""


class NoUsableFeatureError(ExampleError):
    """No feature of a subject can be used.

    Attributes:
        skipped: The features looked at, with the reasons.
    """

    def __init__(self, skipped: Sequence[SkippedFeature], subject: str) -> None:
        reasons = Counter(feature.reason for feature in skipped)
        counted = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        instances = "; ".join(f"feature {feature.feature}: {feature.detail}" for feature in islice(skipped, 1))
        super().__init__(
            f"none of the {len(skipped)} features looked at can be used ({counted}); {instances}",
            where=subject,
            hint="a longer corpus (corpus.n_tokens), other features, or a lower examples.min_activating_windows",
        )
        self.skipped = tuple(skipped)


def select_features(
    config: FeaturesConfig,
    builder: Builder,
    n_features: int,
    subject: str,
    *,
    counts: np.ndarray | None = None,
    facts: Callable[[int], FeatureFacts] | None = None,
) -> tuple[list[FeatureRecord], list[SkippedFeature]]:
    """Return the records of the features to use, and the features that were looked at and passed over.

    A ``sample`` walks a seeded permutation of all features until ``n`` usable ones are found, so which features are
    used does not depend on their numbering. The permutation depends on the seed and the number of features alone: two
    subjects with the same dictionary size sample the same features.

    Args:
        config: The selection.
        builder: Builds records.
        n_features: How many features there are.
        subject: The subject's name, for messages.
        counts: How often each feature fires, [n_features]; needed for strata.
        facts: Returns the facts of a feature; needed for ``where``.

    Raises:
        ConfigError: If the selection is unknown, empty or contradictory.
        NoUsableFeatureError: If no feature is usable; the message counts the reasons.
        FeatureSourceError: If a feature does not exist; the message gives the valid ones.
    """
    looked_at, wanted = candidates(config, n_features, subject, counts)
    condition = None if config.where is None else Condition(config.where)
    records: list[FeatureRecord] = []
    skipped: list[SkippedFeature] = []
    for feature in looked_at:
        if len(records) == wanted:
            break
        result = _unfit(condition, feature, subject, facts) or builder.build(feature)
        if isinstance(result, FeatureRecord):
            records.append(result)
        else:
            skipped.append(result)
    if not records:
        raise NoUsableFeatureError(skipped, subject)
    return records, skipped


def _unfit(
    condition: Condition | None, feature: int, subject: str, facts: Callable[[int], FeatureFacts] | None
) -> SkippedFeature | None:
    """Return the feature as passed over, if it does not meet the condition."""
    if condition is None or facts is None:
        return None
    found = facts(feature)
    if condition.holds(found):
        return None
    return SkippedFeature(subject, feature, "where", f"{condition.detail(found)}; wanted {condition.text}")


def candidates(
    config: FeaturesConfig, n_features: int, subject: str, counts: np.ndarray | None = None
) -> tuple[Iterable[int], int]:
    """Return the features to look at, in order, and how many usable ones are enough; see ``select_features``.

    Raises:
        ConfigError: If the selection is unknown, empty or contradictory.
        FeatureSourceError: If a feature does not exist; the message gives the valid ones.
    """
    if config.select == "sample":
        if config.n < 1:
            raise ConfigError(f"must be at least 1, and is {config.n}", where="features.n")
        if config.strata is not None and counts is not None:
            return _stratified(counts, config.strata, config.seed), config.n
        return generator(config.seed, "features").permutation(n_features).tolist(), config.n
    if config.select == "all":
        return range(n_features), n_features
    if config.select == "range":
        chosen: Sequence[int] = _range(config, n_features)
    elif config.select == "list":
        chosen = _listed(config)
    else:
        raise UnknownNameError("selection", config.select, SELECTIONS, where="features.select")
    for feature in chosen:
        if not 0 <= feature < n_features:
            raise FeatureSourceError(
                f"there is no feature {feature}; the valid ones are 0 to {n_features - 1}", where=subject
            )
    return chosen, len(chosen)


def _stratified(counts: np.ndarray, strata: int, seed: int) -> list[int]:
    """Return the features that fire, one of each stratum in turn, in a seeded order within each.

    Strata hold equal numbers of features (they differ by at most one), from those that fire least to those that fire
    most; of equally frequent ones the lower number is in the lower stratum.
    """
    firing = np.flatnonzero(counts > 0)
    by_density = firing[np.argsort(counts[firing], kind="stable")]
    groups = [
        generator(seed, "features", "stratum", number).permutation(group).tolist()
        for number, group in enumerate(np.array_split(by_density, strata))
    ]
    return [feature for row in zip_longest(*groups) for feature in row if feature is not None]


def _range(config: FeaturesConfig, n_features: int) -> range:
    stop = n_features if config.stop is None else config.stop
    if config.start >= stop and config.start < n_features:
        raise ConfigError(f"the range from {config.start} to {stop} is empty", where="features", hint="stop > start")
    return range(config.start, max(stop, config.start + 1))


def _listed(config: FeaturesConfig) -> list[int]:
    if not config.ids:
        raise ConfigError("the list is empty", where="features.ids", hint="features.ids=[3,17]")
    twice = [feature for feature, count in Counter(config.ids).items() if count > 1]
    if twice:
        raise ConfigError(f"feature {twice[0]} is listed twice", where="features.ids")
    return list(config.ids)
