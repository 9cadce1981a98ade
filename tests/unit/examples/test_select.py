from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from harness.activations.facts import FeatureFacts
from harness.config.schema import FeaturesConfig
from harness.errors import ConfigError, ExampleError, FeatureSourceError, UnknownNameError
from harness.examples.record import ExampleSet, FeatureRecord, FeatureStatistics, SkippedFeature
from harness.examples.select import select_features


class EveryThird:
    """A builder whose usable features are the multiples of three."""

    def build(self, feature: int) -> FeatureRecord | SkippedFeature:
        if feature % 3:
            return SkippedFeature("s", feature, "dead" if feature % 3 == 1 else "too_few_windows", "why")
        empty = ExampleSet((), ())
        return FeatureRecord("s", feature, FeatureStatistics(1, 1, 1, 1.0), empty, empty, "p")


def select(n_features: int = 60, **config: Any) -> tuple[list[int], list[int]]:
    records, skipped = select_features(FeaturesConfig(**config), EveryThird(), n_features, "s")
    return [record.feature for record in records], [feature.feature for feature in skipped]


def test_sample_walks_a_permutation_until_enough_are_usable() -> None:
    used, passed = select(n=5)
    assert len(used) == 5
    assert len({*used, *passed}) == len(used) + len(passed)
    assert all(feature % 3 == 0 for feature in used)
    assert select(n=5) == (used, passed)
    assert select(n=5, seed=1)[0] != used
    assert select(n=3)[0] == used[:3]
    assert max(*used, *passed) > 20  # not the first ones


def test_sample_of_more_than_there_are_is_all_of_them() -> None:
    used, passed = select(n=99)
    assert sorted(used) == list(range(0, 60, 3))
    assert len(passed) == 40


def test_range_list_and_all() -> None:
    assert select(select="range", start=2, stop=8) == ([3, 6], [2, 4, 5, 7])
    assert select(select="range", start=57) == ([57], [58, 59])
    assert select(select="list", ids=[9, 4, 3]) == ([9, 3], [4])
    assert select(select="all", n_features=4) == ([0, 3], [1, 2])


@pytest.mark.parametrize(
    ("config", "feature"),
    [
        ({"select": "list", "ids": [3, 60]}, 60),
        ({"select": "list", "ids": [-1]}, -1),
        ({"select": "range", "start": 50, "stop": 70}, 60),
        ({"select": "range", "start": 99}, 99),
        ({"select": "range", "start": -2, "stop": 3}, -2),
    ],
)
def test_feature_out_of_range_names_the_valid_ones(config: Any, feature: int) -> None:
    with pytest.raises(FeatureSourceError, match=f"s: there is no feature {feature}; the valid ones are 0 to 59"):
        select(**config)


@pytest.mark.parametrize(
    "config",
    [
        {"n": 0},
        {"select": "list"},
        {"select": "list", "ids": [3, 3]},
        {"select": "range", "start": 5, "stop": 5},
    ],
)
def test_empty_or_contradictory_selection(config: Any) -> None:
    with pytest.raises(ConfigError):
        select(**config)


def test_unknown_selection() -> None:
    with pytest.raises(UnknownNameError, match="did you mean sample"):
        select(select="samples")


def test_no_usable_feature_counts_the_reasons() -> None:
    with pytest.raises(ExampleError, match=r"none of the 3 features .* \(2 dead, 1 too_few_windows\).*feature 1: why"):
        select(select="list", ids=[1, 2, 4])


def facts(feature: int) -> FeatureFacts:
    return FeatureFacts(feature, feature, feature / 1000, max=1.0)


def test_a_condition_passes_over_what_does_not_meet_it_and_says_why() -> None:
    config = FeaturesConfig(select="all", where="density > 0.05")
    records, skipped = select_features(config, EveryThird(), 60, "s", facts=facts)
    assert [record.feature for record in records] == [51, 54, 57]
    assert [feature.feature for feature in skipped if feature.reason == "where"] == list(range(51))
    assert skipped[7].detail == "density 0.007; wanted density > 0.05"


def test_a_condition_that_nothing_meets_is_said_with_an_instance() -> None:
    with pytest.raises(ExampleError, match=r"60 where\); feature \d+: density 0\.\d+; wanted density > 1"):
        select_features(FeaturesConfig(where="density > 1"), EveryThird(), 60, "s", facts=facts)


class Rare:
    """A builder that cannot use what fires fewer than 20 times; feature ``f`` fires ``f`` times."""

    def build(self, feature: int) -> FeatureRecord | SkippedFeature:
        if feature < 20:
            return SkippedFeature("s", feature, "too_few_windows", "why")
        empty = ExampleSet((), ())
        return FeatureRecord("s", feature, FeatureStatistics(1, 1, 1, 1.0), empty, empty, "p")


def stratum(feature: int) -> int:
    return min((feature - 1) // 25, 3)


def test_strata_give_equally_many_usable_features_from_rare_to_frequent() -> None:
    counts = np.arange(101)
    config = FeaturesConfig(n=16, strata=4)
    records, skipped = select_features(config, Rare(), 101, "s", counts=counts)
    used = [record.feature for record in records]
    assert Counter(stratum(feature) for feature in used) == {0: 4, 1: 4, 2: 4, 3: 4}
    assert {stratum(feature.feature) for feature in skipped} == {0}
    again = select_features(config, Rare(), 101, "s", counts=counts)[0]
    assert [record.feature for record in again] == used
    other = select_features(FeaturesConfig(n=16, strata=4, seed=1), Rare(), 101, "s", counts=counts)[0]
    assert [record.feature for record in other] != used


def test_a_stratum_that_has_too_few_leaves_its_share_to_the_others() -> None:
    records, skipped = select_features(FeaturesConfig(n=60, strata=4), Rare(), 101, "s", counts=np.arange(101))
    assert Counter(stratum(record.feature) for record in records) == {0: 6, 1: 18, 2: 18, 3: 18}
    assert len(skipped) == 19
    assert all(record.feature > 0 for record in records)  # the dead one is in no stratum


def test_what_is_needed_is_not_left_out_in_silence() -> None:
    with pytest.raises(ValueError, match="no counts"):
        select(strata=3)
    with pytest.raises(ValueError, match="no facts"):
        select(where="not dead")
