from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.examples.record import ExampleSet, ExplainRecord, FeatureStatistics
from harness.testing.records import make_example

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.examples.record import Example

CAPITALS = (
    ((" he", 0.0), (" moved", 0.2), (" to", 0.0), (" Paris", 8.0), (" in", 0.0), (" May", 0.1)),
    ((" from", 0.0), (" London", 6.0), (" and", 0.0), (" Rome", 4.0), ("\n", 0.0), ("The", 0.0)),
    ((" the", 0.0), (" New", 3.0), (" Delhi", 5.0), (" office", 0.0), (" of", 0.0), (" Reuters", 0.0)),
)


def window(*tokens: tuple[str, float]) -> Example:
    return make_example([text for text, _ in tokens], [value for _, value in tokens])


@pytest.fixture
def make_window() -> Callable[..., Example]:
    """Return the maker of an example from (token, activation) pairs."""
    return window


@pytest.fixture
def make_explain_record() -> Callable[..., ExplainRecord]:
    """Return the maker of an explain record, of capitals unless other windows are given."""

    def make(
        *windows: Example,
        feature: int = 7,
        top_tokens: tuple[tuple[str, float], ...] = (),
        top_logit_tokens: tuple[str, ...] = (),
        bottom_logit_tokens: tuple[str, ...] = (),
    ) -> ExplainRecord:
        statistics = FeatureStatistics(
            1_000,
            30,
            20,
            8.0,
            top_logit_tokens=top_logit_tokens,
            top_tokens=top_tokens,
            bottom_logit_tokens=bottom_logit_tokens,
        )
        examples = windows or tuple(window(*tokens) for tokens in CAPITALS)
        return ExplainRecord("planted", feature, statistics, ExampleSet(examples, ()))

    return make
