"""Rows: what enters a mean, what is only counted, and how runs are put together."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import ResultsError
from harness.leaderboard.build import build_rows
from harness.leaderboard.compare import rank
from harness.results.codec import encode
from harness.results.jsonl import append_lines
from harness.results.manifest import MetricFacts
from harness.results.records import ExplanationLine, UsageLine
from harness.stats import mean_interval, paired_interval

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.results.records import LeaderboardRow

REAL = {1: 0.9, 2: 0.8, 3: 0.7, 4: 0.95}
SHUFFLED = {1: 0.5, 2: 0.45, 3: 0.55, 4: 0.5}


def row(rows: Sequence[LeaderboardRow], name: str, subject: str = "sae") -> LeaderboardRow:
    [found] = [row for row in rows if (row.explanation_set, row.subject) == (name, subject)]
    return found


def test_a_row_says_all_of_one_set(tmp_path: Path, fake_run: Any) -> None:
    run = fake_run("a", models={"default": "writer-1b"}).add("default", REAL)
    [only] = build_rows([run.write(tmp_path)])
    expected = mean_interval(list(REAL.values()), 0, 1)
    assert (only.n, only.mean, only.se) == (4, expected.mean, expected.se)
    assert (only.interval.low, only.interval.high, only.interval.level) == (expected.low, expected.high, 0.95)
    assert only.interval.method == "student-t over features"
    assert only.median == pytest.approx(0.85)
    assert only.secondary == {"recall": pytest.approx(0.41875)}
    assert (only.protocol, only.protocol_fields) == (run.protocol, run.fields)
    assert (only.subject, only.explanation_set, only.control, only.explainer_model) == (
        "sae", "default", None, "writer-1b",
    )  # fmt: skip
    assert (only.scorer, only.scorer_version, only.judge, only.metric) == ("detection", 1, "judge-1.5b", "auroc")
    assert (only.chance, only.higher_is_better) == (0.5, True)
    assert only.features_coverage == {"scored": 4}
    assert only.items_coverage == {"ok": 156, "unparsed": 4}
    assert (only.tokens_per_feature, only.usd_per_feature) == (4040, 0.0)
    assert (only.margins, only.distinguishes_controls, only.tied_with, only.run_ids) == ([], None, [], ["a"])


def test_failed_features_are_counted_and_never_averaged(tmp_path: Path, fake_run: Any) -> None:
    run = fake_run("a").add("default", {1: 0.9, 2: 0.8})
    run.add("default", {3: 0.0}, status="error", metrics={}, coverage={}, error="no")
    run.add("default", {6: 0.1}, status="error", coverage={}, error="most answers are missing")
    run.add("default", {4: 0.0}, status="no_explanation", metrics={}, coverage={})
    run.add("default", {5: None})
    [only] = build_rows([run.write(tmp_path)])
    assert only.n == 2
    assert only.mean == pytest.approx(0.85)
    assert only.features_coverage == {"error": 2, "no_explanation": 1, "scored": 2, "undefined": 1}
    assert only.items_coverage == {"ok": 117, "unparsed": 3}


def test_what_failing_took_is_paid_for_by_what_was_scored(tmp_path: Path, fake_run: Any) -> None:
    run = fake_run("a").add("default", {1: 0.9, 2: None}, usage=UsageLine(calls=1, input_tokens=100, usd=1.0))
    run.add("default", {3: 0.0}, status="error", metrics={}, usage=UsageLine(calls=9, input_tokens=900, usd=4.0))
    [only] = build_rows([run.write(tmp_path)])
    assert (only.tokens_per_feature, only.usd_per_feature) == (550, 3.0)


NOISE = {feature: 0.001 * (feature % 3) for feature in range(20)}
FIRST = range(10)


@pytest.mark.parametrize("turned", [False, True])
def test_a_set_does_not_win_by_having_no_value_where_it_is_bad(tmp_path: Path, fake_run: Any, *, turned: bool) -> None:
    def value(number: float, feature: int) -> float:
        number = round(number + NOISE[feature], 4)
        return -number if turned else number

    metric = MetricFacts(name="auroc", low=-1.0, chance=0.0, higher_is_better=not turned)
    run = fake_run("a", metrics=(metric,))
    # Where both have a value b is .03 better; where it is hard, a has none. Both lack feature 20; c has nothing at all.
    run.add("a", {f: value(0.8, f) if f in FIRST else None for f in NOISE} | {20: None})
    run.add("b", {f: value(0.83 if f in FIRST else 0.3, 2 * f % 20) for f in NOISE} | {20: None})
    run.add("c", dict.fromkeys(NOISE))
    rows = build_rows([run.write(tmp_path)])
    assert [(place.rank, place.row.explanation_set) for place in rank(rows)] == [(1, "b"), (2, "a"), (None, "c")]
    a, b, c = (row(rows, name) for name in "abc")
    assert (a.n, a.counted_as_chance, b.counted_as_chance, c.counted_as_chance) == (10, 10, None, None)
    assert a.mean == pytest.approx(value(0.8, 1), abs=0.002)
    assert a.ranked_by == pytest.approx(value(0.4, 0), abs=0.001)
    assert b.ranked_by is None
    assert (a.beaten_by, b.beaten_by, a.tied_with) == (["b"], [], ["c"])


def test_without_a_chance_level_or_where_scoring_failed_what_beats_a_set_stands_above_it(
    tmp_path: Path, fake_run: Any
) -> None:
    for name, chance, status in (("none", None, "scored"), ("failed", 0.0, "error")):
        run = fake_run(name, metrics=(MetricFacts(name="auroc", chance=chance),))
        run.add("a", {f: 0.8 + NOISE[f] for f in FIRST})
        run.add("a", dict.fromkeys(range(10, 20)), status=status, metrics={})
        run.add("b", {f: (0.83 if f in FIRST else 0.3) + NOISE[2 * f % 20] for f in NOISE})
        rows = build_rows([run.write(tmp_path / name)])
        assert [(place.rank, place.row.explanation_set) for place in rank(rows)] == [(1, "b"), (2, "a")]
        assert [one.counted_as_chance for one in rows] == [None, None]


def test_nothing_scored_is_undefined_not_zero(tmp_path: Path, fake_run: Any) -> None:
    run = fake_run("a").add("default", {1: None, 2: None}, status="error", metrics={}, coverage={})
    [only] = build_rows([run.write(tmp_path)])
    assert (only.n, only.mean, only.se, only.median, only.interval.low) == (0, None, None, None, None)
    assert (only.tokens_per_feature, only.usd_per_feature, only.secondary) == (None, None, {"recall": None})


def test_margins_are_paired_over_shared_features(tmp_path: Path, fake_run: Any) -> None:
    run = (
        fake_run("a")
        .add("default", {**REAL, 9: 0.1})
        .add("shuffled(default)", {**SHUFFLED, 8: 1.0}, control="shuffled")
    )
    rows = build_rows([run.write(tmp_path)])
    [margin] = row(rows, "default").margins
    expected = paired_interval(REAL, SHUFFLED, 0, 1)
    assert (margin.control, margin.n, margin.mean) == ("shuffled", 4, expected.mean)
    assert (margin.interval.low, margin.interval.high) == (expected.low, expected.high)
    assert row(rows, "default").distinguishes_controls is True
    assert row(rows, "shuffled(default)").margins == []
    assert row(rows, "shuffled(default)").distinguishes_controls is None


@pytest.mark.parametrize(
    ("controls", "expected"),
    [
        ([SHUFFLED], True),
        ([SHUFFLED, REAL], False),
        ([{1: 0.5}], None),
        ([{1: 0.5}, REAL], False),
        ([{1: 0.5}, SHUFFLED], None),
        ([], None),
    ],
    ids=["above", "one not", "too few", "one not, one too few", "one above, one too few", "none"],
)
def test_a_scorer_that_cannot_tell_is_shown_as_such(
    tmp_path: Path, fake_run: Any, controls: list[dict[int, float]], expected: bool | None
) -> None:
    run = fake_run("a").add("default", REAL)
    for index, values in enumerate(controls):
        run.add(f"c{index}", values, control=f"c{index}")
    assert row(build_rows([run.write(tmp_path)]), "default").distinguishes_controls is expected


def test_where_lower_is_better_margins_must_lie_below_zero(tmp_path: Path, fake_run: Any) -> None:
    metrics = (MetricFacts(name="auroc", higher_is_better=False),)
    run = fake_run("a", metrics=metrics).add("default", SHUFFLED).add("c", REAL, control="c")
    assert row(build_rows([run.write(tmp_path)]), "default").distinguishes_controls is True


def test_several_subjects_have_a_row_of_all_for_sets_that_have_all(tmp_path: Path, fake_run: Any) -> None:
    run = fake_run("a").add("default", REAL).add("default", {1: 0.5, 2: 0.6}, subject="mlp")
    run.add("extra", REAL)
    rows = build_rows([run.write(tmp_path)])
    assert [(r.subject, r.explanation_set) for r in rows] == [
        ("*", "default"), ("mlp", "default"), ("sae", "default"), ("sae", "extra"),
    ]  # fmt: skip
    assert row(rows, "default", "*").n == 6
    assert row(rows, "default", "*").mean == pytest.approx((3.35 + 1.1) / 6)


def test_the_same_feature_number_of_two_subjects_is_two_features(tmp_path: Path, fake_run: Any) -> None:
    run = fake_run("a").add("default", {1: 0.9}).add("default", {1: 0.1}, subject="mlp")
    run.add("c", {1: 0.5}, control="c").add("c", {1: 0.5}, subject="mlp", control="c")
    [margin] = row(build_rows([run.write(tmp_path)]), "default", "*").margins
    assert margin.n == 2


def test_an_unknown_price_makes_the_row_s_unknown(tmp_path: Path, fake_run: Any) -> None:
    run = fake_run("a").add("default", {1: 0.9}, usage=UsageLine(usd=0.5))
    run.add("default", {2: 0.9}, usage=UsageLine(usd=None))
    assert build_rows([run.write(tmp_path)])[0].usd_per_feature is None


def test_the_explainers_bill_is_told_from_the_judges(tmp_path: Path, fake_run: Any) -> None:
    path = fake_run("a").add("default", {1: 0.9, 2: 0.8}).write(tmp_path)
    append_lines(path / "explanations.jsonl", [explanation(1, 0.25), explanation(2, 0.75)])
    [only] = build_rows([path])
    assert (only.explainer_tokens_per_feature, only.explainer_usd_per_feature) == (110, 0.5)
    assert (only.tokens_per_feature, only.usd_per_feature) == (4040, 0.0)
    append_lines(path / "explanations.jsonl", [explanation(2, None)])
    assert build_rows([path])[0].explainer_usd_per_feature is None


def test_without_explanations_the_explainers_bill_is_undefined(tmp_path: Path, fake_run: Any) -> None:
    [only] = build_rows([fake_run("a").add("default", {1: 0.9}).write(tmp_path)])
    assert (only.explainer_tokens_per_feature, only.explainer_usd_per_feature) == (None, None)


def explanation(feature: int, usd: float | None) -> ExplanationLine:
    return ExplanationLine(
        unit=str(feature),
        subject="sae",
        feature=feature,
        explanation_set="default",
        text="cats",
        outcome="ok",
        explainer="default",
        explainer_version=1,
        usage=UsageLine(calls=1, input_tokens=100, output_tokens=10, usd=usd),
    )


def test_runs_of_one_set_merge_and_a_shared_unit_counts_once(tmp_path: Path, fake_run: Any) -> None:
    first = fake_run("a").add("default", {1: 0.9, 2: 0.8}).write(tmp_path)
    second = fake_run("b").add("default", {2: 0.8, 3: 0.7}).write(tmp_path)
    [merged] = build_rows([first, second])
    assert (merged.n, merged.run_ids) == (3, ["a", "b"])
    assert merged.mean == pytest.approx(0.8)
    assert merged.items_coverage == {"ok": 117, "unparsed": 3}


def test_a_feature_that_failed_in_one_run_is_taken_from_the_other(tmp_path: Path, fake_run: Any) -> None:
    failed = fake_run("a").add("default", {1: None}, status="error", metrics={}, coverage={}).write(tmp_path)
    scored = fake_run("b").add("default", {1: 0.7}).write(tmp_path)
    for order in ([failed, scored], [scored, failed]):
        [merged] = build_rows(order)
        assert (merged.n, merged.mean, merged.features_coverage) == (1, 0.7, {"scored": 1})


def test_two_values_of_one_unit_are_refused_and_both_named(tmp_path: Path, fake_run: Any) -> None:
    first = fake_run("run-a").add("default", {7: 0.9}).write(tmp_path)
    second = fake_run("run-b").add("default", {7: 0.8}).write(tmp_path)
    with pytest.raises(ResultsError) as caught:
        build_rows([first, second])
    assert "sae feature 7): 0.9 in run-a and 0.8 in run-b" in str(caught.value)


def test_different_sets_of_one_name_stay_apart_with_their_own_controls(tmp_path: Path, fake_run: Any) -> None:
    paths = []
    for run_id, values in (("a", REAL), ("b", SHUFFLED)):
        run = fake_run(run_id).add("default", values, text=run_id)
        run.add("shuffled(default)", SHUFFLED, control="shuffled", text=run_id)
        run.add("top_tokens", {1: 0.6, 2: 0.7, 3: 0.6, 4: 0.7}, control="top_tokens")
        paths.append(run.write(tmp_path))
    rows = build_rows(paths)
    assert [r.explanation_set for r in rows] == [
        "default@a", "default@b", "shuffled(default)@a", "shuffled(default)@b", "top_tokens",
    ]  # fmt: skip
    for name in ("default@a", "default@b"):
        assert [margin.control for margin in row(rows, name).margins] == ["shuffled", "top_tokens"]
    assert row(rows, "default@a").margins[0].mean == pytest.approx(0.3375)
    assert row(rows, "default@b").margins[0].mean == pytest.approx(0.0)
    assert row(rows, "top_tokens").run_ids == ["a", "b"]


def test_another_model_under_one_name_is_another_set(tmp_path: Path, fake_run: Any) -> None:
    first = fake_run("a", models={"default": "small"}).add("default", {1: 0.9}).write(tmp_path)
    second = fake_run("b", models={"default": "large"}).add("default", {2: 0.8}).write(tmp_path)
    rows = build_rows([first, second])
    assert [(r.explanation_set, r.explainer_model) for r in rows] == [("default@a", "small"), ("default@b", "large")]


def test_other_protocols_never_merge(tmp_path: Path, fake_run: Any) -> None:
    first = fake_run("a").add("default", {1: 0.9}).write(tmp_path)
    second = fake_run("b", fields={"seed": 1}).add("default", {1: 0.8}).write(tmp_path)
    rows = build_rows([first, second])
    assert [(r.n, r.explanation_set) for r in rows] == [(1, "default"), (1, "default")]
    assert len({r.protocol for r in rows}) == 2


def test_sets_that_cannot_be_told_apart_say_so_of_each_other(tmp_path: Path, fake_run: Any) -> None:
    run = (
        fake_run("a").add("x", REAL).add("y", {1: 0.85, 2: 0.85, 3: 0.72, 4: 0.9}).add("z", SHUFFLED).add("w", {1: 0.2})
    )
    rows = build_rows([run.write(tmp_path)])
    assert {r.explanation_set: r.tied_with for r in rows} == {
        "x": ["w", "y"], "y": ["w", "x"], "z": ["w"], "w": ["x", "y", "z"],
    }  # fmt: skip


def test_a_value_outside_the_declared_range_is_refused(tmp_path: Path, fake_run: Any) -> None:
    path = fake_run("a").add("default", {1: 1.5, 2: 0.5}).write(tmp_path)
    with pytest.raises(ResultsError, match=r"scorer 'detection', metric 'auroc': 1.5 is outside \[0.0, 1.0\]"):
        build_rows([path])


def test_an_unbounded_metric_is_allowed(tmp_path: Path, fake_run: Any) -> None:
    metrics = (MetricFacts(name="auroc", low=None, high=None),)
    [only] = build_rows([fake_run("a", metrics=metrics).add("default", {1: 9.0, 2: 3.0}).write(tmp_path)])
    assert only.mean == 6.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scorer": "other"}, "manifest does not describe scorer 'other'"),
        ({"protocol": "feed"}, "manifest does not describe protocol 'feed'"),
        ({"primary_metric": "f9"}, "manifest does not describe metric 'f9' of scorer 'detection'"),
    ],
)
def test_scores_the_manifest_does_not_know_are_refused(
    tmp_path: Path, fake_run: Any, change: dict[str, Any], message: str
) -> None:
    path = fake_run("a").add("default", {1: 0.5}, **change).write(tmp_path)
    with pytest.raises(ResultsError, match=message):
        build_rows([path])


def test_an_uncommitted_last_line_is_not_read(tmp_path: Path, fake_run: Any) -> None:
    path = fake_run("a").add("default", {1: 0.5}).write(tmp_path)
    with (path / "scores.jsonl").open("a") as stream:
        stream.write('{"unit": "half')
    assert build_rows([path])[0].n == 1


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(12)), split=st.integers(0, 12))
def test_rows_do_not_depend_on_the_order_or_the_cutting_of_runs(
    tmp_path_factory: pytest.TempPathFactory, fake_run: Any, order: list[int], split: int
) -> None:
    tmp_path = tmp_path_factory.mktemp("runs")
    values = {feature: 0.1 + 0.07 * feature for feature in range(12)}
    whole = fake_run("a").add("default", values).add("c", SHUFFLED, control="c").write(tmp_path / "whole")
    first = fake_run("a").add("default", {k: values[k] for k in order[:split]}).add("c", SHUFFLED, control="c")
    second = fake_run("a").add("default", {k: values[k] for k in order[split:]})
    parts = [run.write(tmp_path / name) for name, run in (("one", first), ("two", second))]
    assert [encode(r) for r in build_rows(parts)] == [encode(r) for r in build_rows([whole])]


def test_many_lines_are_read_in_little_memory(tmp_path: Path, fake_run: Any) -> None:
    """The text of these lines is 12 MB and as records they would take several times that."""
    breakdown = {f"decile_{n}": {"recall": 0.123456789, "precision": 0.5} for n in range(1, 11)}
    run = fake_run("a").add("default", dict.fromkeys(range(10_000), 0.25), breakdown=breakdown)
    path = run.write(tmp_path)
    size = (path / "scores.jsonl").stat().st_size
    assert size > 10_000_000
    run.scores.clear()
    tracemalloc.start()
    try:
        assert build_rows([path])[0].n == 10_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000
