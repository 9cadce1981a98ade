"""Which features of a subject are used."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from harness.errors import ConfigError, ExampleError, FeatureSourceError, UnknownNameError
from harness.examples.record import FeatureRecord, SkippedFeature
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.config.schema import FeaturesConfig

__all__ = ["SELECTIONS", "NoUsableFeatureError", "select_features"]

SELECTIONS = ("all", "list", "range", "sample")


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
    config: FeaturesConfig, builder: Builder, n_features: int, subject: str
) -> tuple[list[FeatureRecord], list[SkippedFeature]]:
    """Return the records of the features to use, and the features that were looked at and passed over.

    A ``sample`` walks a seeded permutation of all features until ``n`` usable ones are found, so which features are
    used does not depend on their numbering. The permutation depends on the seed and the number of features alone: two
    subjects with the same dictionary size sample the same features.

    Raises:
        ConfigError: If the selection is unknown, empty or contradictory.
        NoUsableFeatureError: If no feature is usable; the message counts the reasons.
        FeatureSourceError: If a feature does not exist; the message gives the valid ones.
    """
    candidates, wanted = _candidates(config, n_features, subject)
    built = (builder.build(feature) for feature in candidates)
    records: list[FeatureRecord] = []
    skipped: list[SkippedFeature] = []
    while len(records) < wanted:
        result = next(built, None)
        if result is None:
            break
        if isinstance(result, FeatureRecord):
            records.append(result)
        else:
            skipped.append(result)
    if not records:
        raise NoUsableFeatureError(skipped, subject)
    return records, skipped


def _candidates(config: FeaturesConfig, n_features: int, subject: str) -> tuple[Iterable[int], int]:
    """Return the features to look at, in order, and how many usable ones are enough."""
    if config.select == "sample":
        if config.n < 1:
            raise ConfigError(f"must be at least 1, and is {config.n}", where="features.n")
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
