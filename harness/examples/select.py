"""Which features of a subject are used."""

from __future__ import annotations

import dataclasses
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np

from harness.errors import ConfigError, ExampleError, FeatureSourceError, UnknownNameError
from harness.examples.ahead import InTurn
from harness.examples.record import FeatureRecord, SkippedFeature
from harness.examples.where import Condition
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.activations.facts import FeatureFacts
    from harness.config.schema import FeaturesConfig
    from harness.examples.ahead import BuildAhead, Result

__all__ = ["SELECTIONS", "Candidates", "NoUsableFeatureError", "candidates", "judging", "select_features"]

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
    building: Callable[[Callable[[int], Result]], InTurn | BuildAhead] = InTurn,
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
        building: How records are built, given what builds one: each when its turn comes, or ahead on other processors.
            The result is the same.

    Raises:
        ValueError: If ``counts`` or ``facts`` is needed and not given.
        ConfigError: If the selection is unknown, empty or contradictory.
        NoUsableFeatureError: If no feature is usable; the message counts the reasons.
        FeatureSourceError: If a feature does not exist; the message gives the valid ones.
    """
    looked_at, wanted = candidates(config, n_features, subject, counts)
    build = building(judging(config, builder, subject, facts))
    records: list[FeatureRecord] = []
    skipped: list[SkippedFeature] = []
    for feature in looked_at:
        if len(records) == wanted:
            break
        result = build.result(feature, looked_at.upcoming(min(build.ahead, wanted - len(records) - 1)))
        if isinstance(result, FeatureRecord):
            records.append(result)
            looked_at.used()
        else:
            skipped.append(result)
    if not records:
        raise NoUsableFeatureError(skipped, subject)
    return records, skipped


def judging(
    config: FeaturesConfig, builder: Builder, subject: str, facts: Callable[[int], FeatureFacts] | None = None
) -> Callable[[int], Result]:
    """Return what gives the record of a feature, or why it has none: the condition of the selection, then the builder.

    Args:
        config: The selection.
        builder: Builds records.
        subject: The subject's name.
        facts: Returns the facts of a feature, which the record then carries; needed for ``where``.

    Raises:
        ValueError: If ``facts`` is needed and not given.
    """
    condition = None if config.where is None else Condition(config.where)
    if condition is None and facts is None:
        return builder.build
    if facts is None:
        message = "a condition on facts, and no facts"
        raise ValueError(message)

    def judged(feature: int) -> Result:
        found = None if condition is None else facts(feature)
        if condition is not None and found is not None and not condition.holds(found):
            return SkippedFeature(subject, feature, "where", f"{condition.detail(found)}; wanted {condition.text}")
        result = builder.build(feature)
        if isinstance(result, SkippedFeature):
            return result
        return dataclasses.replace(result, facts=found or facts(feature))

    return judged


def candidates(
    config: FeaturesConfig, n_features: int, subject: str, counts: np.ndarray | None = None
) -> tuple[Candidates, int]:
    """Return the features to look at, in order, and how many usable ones are enough; see ``select_features``.

    Raises:
        ConfigError: If the selection is unknown, empty or contradictory.
        FeatureSourceError: If a feature does not exist; the message gives the valid ones.
    """
    if config.select == "sample":
        if config.n < 1:
            raise ConfigError(f"must be at least 1, and is {config.n}", where="features.n")
        if config.strata is not None:
            return Candidates(_strata(counts, config.strata, config.seed)), config.n
        return Candidates([generator(config.seed, "features").permutation(n_features).tolist()]), config.n
    if config.select == "all":
        return Candidates([range(n_features)]), n_features
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
    return Candidates([chosen]), len(chosen)


class Candidates:
    """Features to look at, in order: of several groups the next is of the one of which fewest were used so far.

    Args:
        groups: Features of each group, in order.
    """

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        self._groups = groups
        self._next = [0] * len(groups)
        self._used = [0] * len(groups)
        self._last = 0

    def __iter__(self) -> Iterator[int]:
        """Yield the next feature; of groups of which equally many were used, the first one's."""
        while (group := self._turn(self._next, self._used)) is not None:
            self._last = group
            self._next[group] += 1
            yield self._groups[group][self._next[group] - 1]

    def upcoming(self, count: int) -> list[int]:
        """Return up to ``count`` features that come next, if those up to there are all used."""
        if len(self._groups) == 1:
            return list(self._groups[0][self._next[0] : self._next[0] + max(0, count)])
        places, used = list(self._next), list(self._used)
        if count > 0:
            used[self._last] += 1  # the one that came last, too
        found: list[int] = []
        while len(found) < count and (group := self._turn(places, used)) is not None:
            found.append(self._groups[group][places[group]])
            places[group] += 1
            used[group] += 1
        return found

    def _turn(self, places: Sequence[int], used: Sequence[int]) -> int | None:
        """Return the group whose turn it is, of those of which something is left."""
        left = [group for group, members in enumerate(self._groups) if places[group] < len(members)]
        return min(left, key=lambda group: (used[group], group), default=None)

    def used(self) -> None:
        """Note that the feature that came last is one of those wanted."""
        self._used[self._last] += 1


def _strata(counts: np.ndarray | None, strata: int, seed: int) -> list[list[int]]:
    """Return the features that fire in groups from rare to frequent, each in a seeded order.

    The groups hold equal numbers of features (they differ by at most one); of equally frequent ones the lower number is
    in the lower group.
    """
    if counts is None:
        message = "strata, and no counts"
        raise ValueError(message)
    firing = np.flatnonzero(counts > 0)
    by_density = firing[np.argsort(counts[firing], kind="stable")]
    return [
        generator(seed, "features", "stratum", number).permutation(group).tolist()
        for number, group in enumerate(np.array_split(by_density, strata))
    ]


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
