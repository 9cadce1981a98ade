from __future__ import annotations

import random
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.config.schema import FeaturesConfig
from harness.errors import FeatureSourceError
from harness.examples.ahead import BuildAhead
from harness.examples.record import ExampleSet, FeatureRecord, FeatureStatistics, SkippedFeature
from harness.examples.select import Candidates, select_features


def build(feature: int) -> FeatureRecord | SkippedFeature:
    if feature % 3:
        return SkippedFeature("s", feature, "too_few_windows", "why")
    return FeatureRecord("s", feature, FeatureStatistics(1, 1, 1, 1.0), ExampleSet((), ()), ExampleSet((), ()), "p")


def many(features: list[int]) -> list[FeatureRecord | SkippedFeature]:
    return [build(feature) for feature in features]


class Whimsical(Executor):
    """Does what it is given at times of its own choosing: some at once, some only when asked again, some never."""

    def __init__(self, seed: int) -> None:
        self._draws = random.Random(seed)  # noqa: S311 -- no secret
        self._later: list[tuple[Future[Any], Any, Any]] = []

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._later.append((future, fn, args))
        self._draws.shuffle(self._later)
        for _turn in range(self._draws.randrange(3)):
            if self._later:
                begun, work, given_to = self._later.pop()
                if begun.set_running_or_notify_cancel():
                    begun.set_result(work(*given_to))
        return future


CONFIGS = st.one_of(
    st.builds(FeaturesConfig, n=st.integers(1, 150), seed=st.integers(0, 3)),
    st.builds(FeaturesConfig, n=st.integers(1, 150), strata=st.integers(1, 5)),
    st.builds(FeaturesConfig, select=st.just("all")),
)


class Builder:
    build = staticmethod(build)


@settings(max_examples=60)
@given(config=CONFIGS, seed=st.integers(0, 100), workers=st.integers(1, 4))
def test_the_result_is_that_of_building_in_turn(config: FeaturesConfig, seed: int, workers: int) -> None:
    counts = np.arange(400)
    plain = select_features(config, Builder(), 400, "s", counts=counts)
    building = partial(BuildAhead, executor=Whimsical(seed), many=many, workers=workers)
    assert select_features(config, Builder(), 400, "s", counts=counts, building=building) == plain


def test_others_build_most_of_it() -> None:
    here: list[int] = []

    class Counting:
        def build(self, feature: int) -> FeatureRecord | SkippedFeature:
            here.append(feature)
            return build(feature)

    with ThreadPoolExecutor(2) as executor:
        building = partial(BuildAhead, executor=executor, many=many, workers=2)
        records, _ = select_features(FeaturesConfig(select="all"), Counting(), 3000, "s", building=building)
    assert len(records) == 1000
    assert len(set(here)) == len(here) < 3000


class Dying(Executor):
    """Breaks at the third thing it is given."""

    given = 0

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[Any]:
        self.given += 1
        if self.given > 5:
            raise BrokenProcessPool
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        if self.given < 3:
            future.set_result(fn(*args))
        else:
            future.set_exception(BrokenProcessPool())
        return future


def test_processes_that_die_cost_nothing_but_their_help() -> None:
    building = partial(BuildAhead, executor=Dying(), many=many, workers=1)
    config = FeaturesConfig(select="all")
    assert select_features(config, Builder(), 300, "s", building=building) == select_features(
        config, Builder(), 300, "s"
    )


def test_errors_of_other_processes_are_raised() -> None:
    def broken(features: list[int]) -> list[FeatureRecord | SkippedFeature]:
        raise FeatureSourceError(f"feature {features[0]} is damaged")

    with ThreadPoolExecutor(1) as executor:
        building = partial(BuildAhead, executor=executor, many=broken, workers=3)
        with pytest.raises(FeatureSourceError, match="is damaged"):
            select_features(FeaturesConfig(select="all"), Builder(), 3000, "s", building=building)


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=4), count=st.integers(0, 30), taken=st.integers(0, 12))
def test_upcoming_is_what_comes_if_all_are_used(sizes: list[int], count: int, taken: int) -> None:
    groups = [[10 * group + place for place in range(size)] for group, size in enumerate(sizes)]
    candidates = Candidates(groups)
    stream = iter(candidates)
    for number in range(taken):
        if number:
            candidates.used()
        if next(stream, None) is None:
            return
    if not taken:
        return
    told = candidates.upcoming(count)
    came = []
    for _ in range(count):
        candidates.used()
        feature = next(stream, None)
        if feature is None:
            break
        came.append(feature)
    assert told == came
