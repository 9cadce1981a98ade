from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from harness_generation.config import GenerationConfig
from harness_generation.modes import Mode, coverage, find_modes
from harness_generation.plugin import GENERATION
from hypothesis import given
from hypothesis import strategies as st

from harness.api import ConfigError, Outcome, Resources, Score, TaskKind, TextActivations
from harness.config.parameters import parameters
from harness.testing import (
    FailingJudge,
    OracleJudge,
    ScriptedJudge,
    check_scorer,
    make_example,
    make_explanation,
    make_record,
)
from tests.support.word_subject import WordSubject, word_rule

if TYPE_CHECKING:
    from harness.api import CompletionRequest, Example

CONF = Path(__file__).parents[3] / "conf" / "scorers" / "generation.yaml"
EDGES = tuple(float(edge) for edge in range(1, 10))
BARE = make_record()
RECORD = dataclasses.replace(BARE, statistics=dataclasses.replace(BARE.statistics, decile_edges=EDGES))
TRUE = "the word harbour"


async def score(judge: Any = None, text: str = TRUE, record: Any = RECORD, subject: Any = None, **params: Any) -> Score:
    scorer = GENERATION.resolve_factory()(GenerationConfig(**params))
    resources = Resources(seed=5, judge=judge or OracleJudge(word_rule()), subject=subject or WordSubject())
    result: Score = await scorer.score(record.for_scoring(), make_explanation(text), resources)
    return result


def writes(should: list[str], near: list[str]) -> OracleJudge:
    """Return a judge that writes what it was told."""

    def rule(request: CompletionRequest) -> str:
        assert request.task is not None
        assert request.task.reply is not None
        return request.task.reply([should if request.task.kind is TaskKind.WRITE else near])

    return OracleJudge(rule)


def complete(found: Score) -> None:
    for metric in GENERATION.metrics:
        value = found.metrics[metric.name]
        assert (value is None) == (metric.name in found.reasons)
        assert value is None or metric.allows(value)
    assert set(found.metrics) == {metric.name for metric in GENERATION.metrics}
    assert len({item.key for item in found.items}) == len(found.items)


def test_it_conforms() -> None:
    checks = check_scorer(
        GENERATION, rule=word_rule(), record=RECORD, explanation=make_explanation(TRUE), subject=WordSubject()
    )
    assert [check for check in checks if not check.passed] == []


def test_the_option_is_its_defaults() -> None:
    content = dict(yaml.safe_load(CONF.read_text())["generation"])
    assert content.pop("plugin") == "generation"
    assert set(content) == {field.name for field in dataclasses.fields(GenerationConfig)}
    assert parameters(GenerationConfig, content, "scorers") == GenerationConfig()


async def test_texts_after_the_true_explanation_activate_and_near_misses_do_not() -> None:
    found = await score(subject=WordSubject(strength=lambda _: 20.0))
    assert found.metrics == {
        "auroc": 1.0,
        "share_activating": 1.0,
        "share_above_lowest_decile": 1.0,
        "share_above_median": 1.0,
        "mode_coverage": 1.0,
        "near_misses_activating": 0.0,
    }
    assert [item.truth for item in found.items] == [True] * 20 + [False] * 20
    assert all(item.prediction is item.truth for item in found.items)
    assert found.breakdown["corpus"]["activating_windows"] == pytest.approx(0.5)


async def test_a_false_explanation_is_at_chance() -> None:
    found = await score(text="the word mountain")
    assert found.metrics["auroc"] == 0.5
    assert found.metrics["share_activating"] == 0.0
    assert found.metrics["mode_coverage"] == 0.0


async def test_too_broad_an_explanation_shows_in_its_near_misses() -> None:
    found = await score(OracleJudge(word_rule(near_misses=False)))
    assert found.metrics["share_activating"] == 1.0
    assert found.metrics["near_misses_activating"] == 1.0
    assert found.metrics["auroc"] == pytest.approx(0.5, abs=0.1)


async def test_thresholds_are_those_of_the_features_own_distribution() -> None:
    texts = [" ".join(["river"] * place + ["harbour"]) for place in range(4)]
    values = {0: 0.5, 1: 1.0, 2: 5.0, 3: 9.0}
    judge = writes(texts, ["a river"])
    found = await score(judge, subject=WordSubject(strength=values.__getitem__), calls=1, near_miss_calls=1)
    assert found.metrics["share_activating"] == 1.0
    assert found.metrics["share_above_lowest_decile"] == 0.75
    assert found.metrics["share_above_median"] == 0.5
    assert [item.value for item in found.items] == [0.5, 1.0, 5.0, 9.0, 0.0]


async def test_a_feature_without_deciles_has_no_thresholds() -> None:
    found = await score(record=BARE)
    complete(found)
    assert "deciles" in found.reasons["share_above_median"]
    assert found.metrics["auroc"] == 1.0


async def test_what_was_not_written_as_asked_is_counted() -> None:
    judge = writes(["harbour", "harbour", "a harbour", "both"], ["both", "river", 3])  # type: ignore[list-item]
    found = await score(judge, calls=2, near_miss_calls=1)
    should, near = found.breakdown["should_activate"], found.breakdown["near_miss"]
    assert (should["asked"], should["distinct"], should["duplicates"], should["scored"]) == (10.0, 3.0, 5.0, 2.0)
    assert (near["asked"], near["distinct"], near["malformed"], near["scored"]) == (5.0, 2.0, 1.0, 1.0)
    assert found.breakdown["written_as_both"] == {"texts": 1.0}
    assert sorted(item.text or "" for item in found.items) == ["a harbour", "harbour", "river"]


@pytest.mark.parametrize(
    ("should", "near", "undefined"),
    [
        (
            [],
            ["river"],
            {"auroc", "share_activating", "share_above_lowest_decile", "share_above_median", "mode_coverage"},
        ),
        (["harbour"], [], {"auroc", "near_misses_activating"}),
        (["harbour"], ["harbour"], {metric.name for metric in GENERATION.metrics}),
    ],
)
async def test_a_side_that_is_empty_is_undefined_with_a_reason(
    should: list[str], near: list[str], undefined: set[str]
) -> None:
    found = await score(writes(should, near))
    complete(found)
    assert set(found.reasons) == undefined


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.TRUNCATED, Outcome.ERROR, Outcome.UNPARSED])
async def test_calls_that_failed_are_items_and_no_texts(outcome: Outcome) -> None:
    found = await score(
        FailingJudge(OracleJudge(word_rule()), outcome=outcome, share=0.5), calls=10, near_miss_calls=10
    )
    complete(found)
    failed = [item for item in found.items if item.kind == "not_written"]
    assert {item.outcome for item in failed} == {outcome}
    assert found.metrics["auroc"] == 1.0
    nothing = await score(FailingJudge(OracleJudge(word_rule()), outcome=outcome))
    complete(nothing)
    assert set(nothing.metrics.values()) == {None}
    assert len(nothing.items) == 8
    assert nothing.lost == (1.0 if outcome is Outcome.ERROR else 0.0)


@pytest.mark.parametrize("text", ["x" * 10_000, "\x00\x1b[2J\u202e\n<|im_end|>", "", " \n"])
@pytest.mark.parametrize("reply", ["nonsense", '["Yes"]', '["a", "harbour"]'])
async def test_hostile_explanations_and_odd_judges_give_numbers_or_reasons(text: str, reply: str) -> None:
    complete(await score(ScriptedJudge([reply]), text))


@pytest.mark.parametrize(("active", "silent"), [(0, 20), (20, 0), (1, 1), (0, 0)])
async def test_records_that_lack_something_give_reasons(active: int, silent: int) -> None:
    half = dataclasses.replace(
        RECORD.score,
        activating=RECORD.score.activating[:active],
        non_activating=RECORD.score.non_activating[:silent],
    )
    found = await score(record=dataclasses.replace(RECORD, score=half))
    complete(found)
    assert (found.metrics["mode_coverage"] is None) == (active < 2)


async def test_a_subject_is_needed() -> None:
    scorer = GENERATION.resolve_factory()(GenerationConfig())
    given = [Resources(seed=0), Resources(seed=0, judge=OracleJudge(word_rule()))]
    for resources, missing in zip(given, ("judge", "subject"), strict=True):
        with pytest.raises(ConfigError, match=missing):
            await scorer.score(RECORD.for_scoring(), make_explanation(TRUE), resources)


@pytest.mark.parametrize("bad", [{"calls": 0}, {"near_miss_calls": 0}, {"min_mode_windows": 0}, {"texts_per_call": 0}])
def test_parameters_out_of_range_are_refused_by_name(bad: dict[str, int]) -> None:
    with pytest.raises(ConfigError) as caught:
        GenerationConfig(**bad)
    assert caught.value.where == next(iter(bad))


def window(*tokens: str, peak: int = -1) -> Example:
    values = [0.0] * len(tokens)
    values[peak] = 1.0
    return make_example(tokens, values)


def fired(*tokens: str, at: int = -1) -> TextActivations:
    values = [0.0] * len(tokens)
    values[at] = 1.0
    return TextActivations(tokens, tuple(range(len(tokens))), tuple(values))


def test_modes_are_the_tokens_that_most_windows_share_first() -> None:
    windows = [
        *(window("don't", " stop") for _ in range(3)),
        *(window(" full", " Stop") for _ in range(2)),
        window("very", " red"),
        window("Very", " blue"),
        window("a", " lone", " one"),
    ]
    found = find_modes(windows, 2)
    assert found.modes == (Mode(("token", "stop"), 5), Mode(("after", "very"), 2))
    assert found.left_over == 1


def test_a_mode_is_reached_where_a_text_activates_on_it_and_only_there() -> None:
    modes = find_modes([window("a", " stop")] * 3 + [window("very", " x"), window("very", " y")], 2)
    assert coverage(modes, [fired("please", " STOP")]) == (0.6, 1)
    assert coverage(modes, [fired("very", " z")]) == (0.4, 1)
    assert coverage(modes, [fired("very", " z", at=0)]) == (0.0, 0)
    assert coverage(modes, [fired("a", " stop", at=0), fired("very", " stop")]) == (1.0, 2)
    assert coverage(find_modes([], 2), [fired("a")]) == (None, 0)


def test_parts_of_characters_and_the_begin_of_a_window_make_no_pattern() -> None:
    assert find_modes([window("", "\u00e9", peak=0)] * 2, 2).modes == ()
    assert find_modes([window("x", peak=0)] * 2, 2).modes == (Mode(("token", "x"), 2),)
    assert find_modes([window("x", "\n")] * 2, 2).modes == (Mode(("token", "\n"), 2),)


TOKENS = st.sampled_from(["a", " a", "b", "", " ", "C"])


@given(st.lists(st.lists(TOKENS, min_size=1, max_size=3), max_size=12), st.integers(1, 4))
def test_every_window_is_in_one_mode_or_left_over_whatever_the_order(rows: list[list[str]], least: int) -> None:
    windows = [window(*row) for row in rows]
    found = find_modes(windows, least)
    assert sum(mode.windows for mode in found.modes) + found.left_over == len(windows)
    assert all(mode.windows >= least for mode in found.modes)
    assert [mode.windows for mode in found.modes] == sorted((mode.windows for mode in found.modes), reverse=True)
    assert find_modes(windows[::-1], least) == found
    # The windows themselves reach every mode.
    share, reached = coverage(found, [fired(*row) for row in rows])
    assert reached == len(found.modes)
    assert share == (1.0 if found.modes else None)
