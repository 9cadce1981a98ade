from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.examples.record import ExampleSet, ExplainRecord, FeatureStatistics
from harness.explainers.config import NgramConfig
from harness.explainers.ngram import Ngrams, find_patterns
from harness.explainers.protocol import ExplainerResources
from harness.outcome import Outcome
from harness.testing.records import make_example, make_record

if TYPE_CHECKING:
    from harness.examples.record import Example

TOKENS = (" a", " b", " c", "\n")


def active(*tokens: str, on: int, value: float = 2.0) -> Example:
    return make_example(tokens, [value if place == on else 0.0 for place in range(len(tokens))])


def silent(*tokens: str) -> Example:
    return make_example(tokens)


def explain_record(windows: list[Example], others: list[Example]) -> ExplainRecord:
    return ExplainRecord("planted", 3, FeatureStatistics(100, 5, 4, 2.0), ExampleSet(tuple(windows), tuple(others)))


def test_a_word_that_separates_is_found_alone() -> None:
    record = make_record(word=" harbour")
    found = find_patterns(record.explain.activating, record.explain.non_activating, NgramConfig())
    assert found.patterns == ((" harbour",),)
    assert (found.recall, found.false_alarms, found.score) == (1.0, 0.0, 1.0)


def test_a_pair_is_found_where_its_words_alone_do_not_separate() -> None:
    windows = [active(" in", " New", " York", on=2), active(" of", " New", " York", on=2)]
    others = [silent(" a", " New", " book"), silent(" Duke", " of", " York")]
    found = find_patterns(windows, others, NgramConfig())
    assert found.patterns == ((" New", " York"),)
    assert found.score == 1.0


def test_patterns_are_joined_while_each_adds_to_the_score() -> None:
    windows = [active(" x", " cat", on=1), active(" x", " dog", on=1), active(" x", " dog", on=1), active(" cat", on=0)]
    found = find_patterns(windows, [silent(" x", " y")] * 4, NgramConfig())
    assert found.patterns == ((" cat",), (" dog",))  # both add a half; the first in the alphabet comes first
    alone = find_patterns(windows, [silent(" x", " y")] * 4, NgramConfig(count=1))
    assert (alone.patterns, alone.score) == (((" cat",),), 0.5)
    greedy = find_patterns(windows, [silent(" x", " y")] * 4, NgramConfig(min_gain=0.6))
    assert greedy.patterns == ()


def test_only_patterns_around_an_active_token_are_candidates() -> None:
    windows = [active(" sign", " far", " away", " here", on=3)] * 2
    found = find_patterns(windows, [silent(" here"), silent(" other")], NgramConfig(max_n=2))
    assert found.patterns == ((" away", " here"),)


async def test_the_score_is_stated_beside_the_text() -> None:
    windows = [active(" x", " cat", on=1), active(" x", " cow", on=1), active(" x", " dog", on=1)]
    draft = await Ngrams(NgramConfig(count=2)).explain(
        explain_record(windows, [silent(" x"), silent(" y")]), ExplainerResources(0)
    )
    assert draft.text == 'the texts " cat", " cow"'
    assert json.loads(draft.reply or "") == {
        "patterns": [[" cat"], [" cow"]],
        "recall": 0.6667,
        "false_alarms": 0.0,
        "score": 0.6667,
    }
    assert draft.usage.calls == 0


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (explain_record([silent(" a")], [silent(" a")]), "no activating example"),
        (explain_record([active(" a", on=0)], []), "no silent example"),
        (explain_record([active(" a", on=0)], [silent(" a")]), "no n-gram tells"),
    ],
)
async def test_where_there_is_no_pattern_there_is_a_reason(record: ExplainRecord, error: str) -> None:
    draft = await Ngrams(NgramConfig()).explain(record, ExplainerResources(0))
    assert (draft.text, draft.outcome) == (None, Outcome.ERROR)
    assert error in (draft.error or "")


async def test_strange_tokens_are_shown_harmless() -> None:
    record = explain_record([active("\x1b[31m\n", on=0), active("", "\x1b[31m\n", on=0)], [silent(" a")])
    draft = await Ngrams(NgramConfig()).explain(record, ExplainerResources(0))
    assert draft.text == 'the text "\\x1b[31m\u21b5"'


windows_of = st.lists(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=6), min_size=1, max_size=6)


@given(windows_of, windows_of, st.integers(1, 3))
def test_the_score_is_that_of_the_patterns_chosen(windows: list[list[str]], others: list[list[str]], most: int) -> None:
    activating = [make_example(tokens, [1.0] + [0.0] * (len(tokens) - 1)) for tokens in windows]
    found = find_patterns(activating, [silent(*tokens) for tokens in others], NgramConfig(max_n=most))

    def holds(tokens: list[str]) -> bool:
        return any(
            tuple(tokens[start : start + len(pattern)]) == pattern
            for pattern in found.patterns
            for start in range(len(tokens))
        )

    assert found.recall == sum(map(holds, windows)) / len(windows)
    assert found.false_alarms == sum(map(holds, others)) / len(others)
    assert found.score > 0 or not found.patterns
    assert all(len(pattern) <= most for pattern in found.patterns)


@pytest.mark.parametrize("options", [{"max_n": 0}, {"threshold": 1.0}, {"count": 0}, {"min_gain": 0.0}])
def test_parameters_out_of_range_are_refused_by_name(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        NgramConfig(**options)  # type: ignore[arg-type]  # parameters of mixed types


def test_nothing_is_asked() -> None:
    assert Ngrams(NgramConfig()).estimate(40, 32).calls == 0
