from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.errors import ResultsError
from harness.leaderboard import service
from harness.leaderboard.scorers import report_scorers
from harness.results.manifest import MetricFacts
from harness.results.records import UsageLine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.leaderboard.conftest import FakeRun

N = 12
MEANS = {
    "planted_broad": 0.8,
    "planted_narrow": 0.75,
    "planted_related": 0.6,
    "planted_wrong_token": 0.9,
    "planted_other": 0.5,
    "empty": 0.4,
}


def benchmark(fake_run: Callable[..., FakeRun], *, turned: bool = False, kept: int = N) -> FakeRun:
    """Return a run in which the first ``kept`` features are scored in order and the others are not."""

    def value(mean: float, feature: int) -> float:
        one = mean if feature < kept else 0.5
        return 1 - one if turned else one

    metrics = (MetricFacts(name="auroc", chance=0.5, higher_is_better=not turned), MetricFacts(name="recall"))
    run = fake_run("bench", metrics=metrics)
    run.add("planted", {feature: value(0.95, feature) for feature in range(N)}, subject="planted")
    for control, mean in MEANS.items():
        run.add(control, {f: value(mean, f) for f in range(N)}, subject="planted", control=control)
    return run


@pytest.mark.parametrize("turned", [False, True])
def test_true_explanations_are_compared_with_each_distortion(
    fake_run: Callable[..., FakeRun], tmp_path: Path, turned: bool
) -> None:
    (report,) = report_scorers([benchmark(fake_run, turned=turned).write(tmp_path)])
    assert set(report.auroc) == {"broad", "narrow", "related", "wrong_token", "other", "empty"}
    assert all(estimate.mean == 1.0 and (estimate.low or 0) > 0.5 for estimate in report.auroc.values())
    assert report.order_kept.mean == 1.0
    assert report.scores["true"].mean == pytest.approx(0.05 if turned else 0.95)
    assert (report.cost.calls, report.cost.tokens, report.cost.usd) == (40.0, 4040.0, 0.0)
    assert (report.verdicts, report.undefined) == (7 * N, 0)


def test_the_share_in_order_counts_features(fake_run: Callable[..., FakeRun], tmp_path: Path) -> None:
    (report,) = report_scorers([benchmark(fake_run, kept=9).write(tmp_path)])
    assert (report.order_kept.mean, report.order_kept.n) == (0.75, N)
    assert report.order_kept.method == "wilson over features"
    assert report.steps["true > narrow"].mean == 0.75


def test_features_without_a_score_are_left_out_and_counted(fake_run: Callable[..., FakeRun], tmp_path: Path) -> None:
    run = fake_run("bench").add("planted", {0: 0.9, 1: None, 2: 0.8}, subject="planted")
    run.add("planted_other", {0: 0.5, 1: 0.4, 2: None}, subject="planted", control="planted_other")
    (report,) = report_scorers([run.write(tmp_path)])
    assert report.auroc["other"].n == 1
    assert (report.verdicts, report.undefined) == (6, 2)
    assert (report.order_kept.n, report.order_kept.mean) == (0, None)


def test_few_scores_do_not_lead_and_what_a_scorer_declines_to_score_is_shown(
    fake_run: Callable[..., FakeRun], tmp_path: Path
) -> None:
    """One scorer has scores of two wrong explanations, the other of all but one of which it gets wrong."""
    paid = UsageLine(calls=3, input_tokens=300, usd=0.0)
    for name, others in (
        ("declines", dict.fromkeys(range(N)) | {0: 0.1, 1: 0.2}),
        ("answers", dict.fromkeys(range(N), 0.5) | {3: 0.99}),
    ):
        run = fake_run(name, scorer=name).add("planted", dict.fromkeys(range(N), 0.9), subject="planted", usage=paid)
        run.add("planted_other", others, subject="planted", control="planted_other", usage=paid)
        run.add("planted_related", {0: 0.1}, subject="planted", control="planted_related", status="error", usage=paid)
        run.write(tmp_path)
    first, second = report_scorers(service.finished_runs(tmp_path))
    assert (first.scorer, second.scorer) == ("answers", "declines")
    assert second.auroc["other"].mean == 1.0 > (first.auroc["other"].mean or 0.0)
    assert (second.features, second.auroc["other"].n) == (N, 2)
    assert (second.declined["other"].n, second.declined["other"].mean) == (N, (N - 2) / N)
    # What could not be scored was declined by nobody, and its questions are paid for by the rest.
    assert (second.declined["related"].n, first.declined["other"].mean) == (0, 0.0)
    assert second.cost.calls == 3 * (2 * N + 1) / (2 * N)
    text = service.scorers([], tmp_path)
    assert "1.00 [0.50, 1.00] n=2" in text
    (line,) = [line for line in text.split("but none of ...")[1].split("share")[0].splitlines() if "declines" in line]
    assert "0.83 [0.55, 0.95]" in line
    assert "n=2" in service.scorers([], tmp_path, "md")
    assert json.loads(service.scorers([], tmp_path, "json"))[1]["declined"]["other"]["n"] == N


def test_a_scorer_without_verdicts_has_no_cost_for_one(fake_run: Callable[..., FakeRun], tmp_path: Path) -> None:
    run = fake_run("bench")
    for name, control in (("planted", None), ("planted_other", "planted_other")):
        run.add(name, {0: None}, subject="planted", control=control, status="error", metrics={})
    (report,) = report_scorers([run.write(tmp_path)])
    assert (report.cost.calls, report.cost.tokens, report.cost.usd) == (None, None, None)
    assert "unknown" in service.scorers([], tmp_path)


def test_other_runs_have_nothing_to_report(fake_run: Callable[..., FakeRun], tmp_path: Path) -> None:
    run = fake_run("sae").add("default/gpt", {0: 0.9}).add("shuffled(default/gpt)", {0: 0.5}, control="shuffled")
    with pytest.raises(ResultsError, match="experiment=scorer_benchmark"):
        report_scorers([run.write(tmp_path)])


@pytest.mark.parametrize("format", ["text", "md", "json"])
def test_reports_are_shown(fake_run: Callable[..., FakeRun], tmp_path: Path, format: str) -> None:  # noqa: A002
    benchmark(fake_run).write(tmp_path)
    shown = service.scorers([], tmp_path, format)
    if format == "json":
        (report,) = json.loads(shown)
        assert report["auroc"]["other"]["mean"] == 1.0
        assert report["cost"]["calls"] == 40.0
        return
    for part in ("detection", "related", "order kept", "calls/verdict", "4,040"):
        assert part in shown


def test_runs_can_be_named_on_the_command_line(fake_run: Callable[..., FakeRun], tmp_path: Path) -> None:
    import argparse

    from harness.cli.leaderboard import leaderboard

    folder = benchmark(fake_run).write(tmp_path)
    arguments = argparse.Namespace(action="scorers", runs=[str(folder)], results="nowhere", format="text")
    assert leaderboard(arguments) == 0
