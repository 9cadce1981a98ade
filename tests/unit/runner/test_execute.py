"""Whole runs on made records: everything but the model and the corpus is real."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.config.schema import BudgetConfig
from harness.errors import LLMError
from harness.llm.budget import Budget
from harness.outcome import Outcome
from harness.results.manifest import Charge, read_manifest
from tests.support.run_bench import FEATURES, Bench, Grader, grading, lines


def test_a_run_explains_and_scores_every_feature_in_every_set(bench: Bench) -> None:
    report = bench.run()
    assert (report.status, report.exit_code) == ("success", 0)
    assert [line["feature"] for line in lines(report, "explanations")] == [*FEATURES, *FEATURES]
    assert len(lines(report, "scores")) == 8
    assert len(lines(report, "items")) == 8 * 4
    assert {line["reason"] for line in lines(report, "features") if line["status"] == "skipped"} == {"dead"}
    manifest = read_manifest(report.run_dir / "manifest.json")
    assert (manifest.counts.total, manifest.counts.done) == (16, 16)
    assert report.notes == ()
    assert manifest.usage["explainer"].answers.usd == 2.0
    assert manifest.usage["judge"].answers.input_tokens == 8 * 40


def test_an_explanation_that_is_too_long_to_be_read_whole_is_kept_and_said_to_be(bench: Bench) -> None:
    bench.words.texts = {1: "x " * 2_500 + "names of months", 2: "x" * 4_000}
    report = bench.run()
    (note,) = report.notes
    assert note.startswith("2 of 8 explanations are too long: ")  # one of them in the shuffled set
    cut = [line for line in lines(report, "explanations") if "characters_read" in line]
    assert [(line["text"], line["characters_read"]) for line in cut] == [(bench.words.texts[1], 3_999)] * 2
    assert bench.run().notes == report.notes


def test_a_finished_run_does_nothing_again_and_changes_no_byte(bench: Bench) -> None:
    report = bench.run()
    before = {path.name: path.read_bytes() for path in report.run_dir.glob("*s.jsonl") if path.name != "events.jsonl"}
    bench.run()
    assert bench.words.asked == []
    assert bench.grader.asked == []
    assert {name: (report.run_dir / name).read_bytes() for name in before} == before


def test_a_failed_unit_is_recorded_stops_no_other_and_is_the_only_one_done_again(bench: Bench) -> None:
    bench.grader.failing = {2: RuntimeError("out of order")}
    report = bench.run()
    assert (report.status, report.exit_code) == ("partial", 3)
    failed = [line for line in lines(report, "scores") if line["status"] == "error"]
    assert {line["feature"] for line in failed} == {2}
    assert all("RuntimeError: out of order" in line["error"] for line in failed)
    assert len([line for line in lines(report, "scores") if line["status"] == "scored"]) == 6
    bench.grader.failing = {}
    again = bench.run()
    assert again.status == "success"
    assert {feature for _, feature in bench.grader.asked} == {2}
    assert len(bench.grader.asked) == 2
    assert len(lines(again, "scores")) == 8


@pytest.mark.parametrize("outcome", [Outcome.UNPARSED, Outcome.REFUSED, Outcome.TRUNCATED])
def test_a_useless_answer_among_others_is_recorded_and_not_asked_for_again(bench: Bench, outcome: Outcome) -> None:
    bench.grader.failing_items = {1: outcome}
    report = bench.run()
    assert report.status == "success"
    assert [line["coverage"] for line in lines(report, "scores") if line["feature"] == 1] == [{"ok": 3, outcome: 1}] * 2
    bench.grader.failing_items = {}
    bench.run()
    assert bench.grader.asked == []


def test_a_unit_whose_questions_failed_is_no_score(bench: Bench) -> None:
    bench.grader.failing = {1: Outcome.ERROR}
    report = bench.run()
    (line, _) = [line for line in lines(report, "scores") if line["feature"] == 1]
    assert line["status"] == "error"
    assert line["coverage"] == {"error": 4}


@pytest.mark.parametrize("outcome", [Outcome.UNPARSED, Outcome.REFUSED, Outcome.TRUNCATED])
def test_a_useless_answer_is_scored_by_nothing_and_is_no_failure(bench: Bench, outcome: Outcome) -> None:
    bench.words.failing = {3: outcome}
    report = bench.run()
    assert report.status == "success"
    assert {line["status"] for line in lines(report, "scores") if line["feature"] == 3} == {"no_explanation"}
    bench.words.failing = {}
    bench.run()
    assert bench.words.asked == []  # it is an answer, and is not asked for again


def test_an_explainer_that_raises_fails_its_feature_and_is_asked_again(bench: Bench) -> None:
    bench.words.failing = {0: ValueError("no idea")}
    assert bench.run().exit_code == 3
    bench.words.failing = {}
    assert bench.run().exit_code == 0
    assert bench.words.asked == [0]


def test_a_run_of_which_nothing_came_has_failed(bench: Bench) -> None:
    bench.words.failing = dict.fromkeys(FEATURES, Outcome.UNPARSED)
    report = bench.run()
    assert (report.status, report.exit_code) == ("failed", 1)


def test_a_run_without_any_value_has_failed_and_says_why(bench: Bench) -> None:
    bench.grader.undefined = {**dict.fromkeys(FEATURES, "too few windows"), 1: "no answer"}
    report = bench.run()
    assert (report.status, report.exit_code) == ("failed", 1)
    assert report.failures == ("grader has a value for none of 4 features; for instance: too few windows",)
    said = "4 of 4 features: too few windows (3 of the 4)"
    assert report.undefined == (f"grader, words: {said}", f"grader, shuffled(words): {said}")


def test_a_scorer_without_any_value_beside_one_with_values_makes_a_run_partial(bench: Bench) -> None:
    idle = Grader(undefined=dict.fromkeys(FEATURES, "too few windows"))
    bench.change(scorers={**bench.resolved.scorers, "idle": grading("idle", lambda: idle)})
    report = bench.run()
    assert (report.status, report.exit_code) == ("partial", 3)
    assert report.failures == ("idle has a value for none of 4 features; for instance: too few windows",)


def test_features_without_a_value_are_told_of_and_no_failure(bench: Bench) -> None:
    bench.grader.undefined = {2: "constant"}
    report = bench.run()
    assert (report.status, report.failures) == ("success", ())
    assert report.undefined[0] == "grader, words: 1 of 4 features: constant"


def test_an_endpoint_that_cannot_be_used_ends_the_run_and_what_was_done_stays(bench: Bench) -> None:
    bench.grader.failing = {3: LLMError("the key was refused")}
    with pytest.raises(LLMError, match="refused"):
        bench.run()
    (folder,) = (Path(bench.resolved.paths.results) / "runs").iterdir()
    manifest = read_manifest(folder / "manifest.json")
    assert (manifest.status, manifest.error) == ("failed", "the key was refused")
    done = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    assert done
    bench.grader.failing = {}
    bench.run()
    assert len(bench.grader.asked) == 8 - len(done)


def test_a_killed_processs_bill_is_known_from_the_events(bench: Bench) -> None:
    bench.run()
    usage = {"judge": {"billed": {"calls": 7, "input_tokens": 70, "output_tokens": 7, "usd": 0.75}}}
    with (bench.folder / "events.jsonl").open("a") as stream:  # as a process left it that wrote no manifest any more
        stream.write(json.dumps({"event": "unit", "usage": usage}) + "\n")
    manifest = read_manifest(bench.run().run_dir / "manifest.json")
    assert manifest.usage["judge"].billed.usd == 0.75
    assert manifest.usage["judge"].answers.calls == 8 * 4


def test_what_was_charged_counts_in_the_next_process_whatever_the_bill_lacks(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run()
    usage = {"judge": {"billed": {"calls": 7, "input_tokens": 70, "output_tokens": 7, "usd": None}}}
    charged = {"tokens": 90, "usd": 0.75}  # one answer came without its usage, and one call was cut off
    with (bench.folder / "events.jsonl").open("a") as stream:
        stream.write(json.dumps({"event": "spent", "usage": usage, "charged": charged}) + "\n")
    made: list[dict[str, object]] = []

    def noted(*_: object, **spent: object) -> Budget:
        made.append(spent)
        return Budget()

    monkeypatch.setattr("harness.runner.execute.Budget", noted)
    for _ in range(2):  # the second time it is known from the manifest
        manifest = read_manifest(bench.run().run_dir / "manifest.json")
        assert manifest.charged == Charge(tokens=90, usd=0.75)
        assert manifest.usage["judge"].billed.usd is None
        (bench.folder / "events.jsonl").unlink()
    assert made == 2 * [{"spent_usd": 0.75, "spent_tokens": 90}]


def test_what_changes_no_number_is_in_the_manifest_beside_the_configuration(bench: Bench) -> None:
    bench.change(budget=BudgetConfig(tokens=1_000_000))
    first = bench.run()
    manifest = read_manifest(first.run_dir / "manifest.json")
    assert manifest.settings["budget"] == {"usd": None, "tokens": 1_000_000}
    assert manifest.settings["execution"]["unit_concurrency"] is None
    assert "budget" not in manifest.config
    bench.change(budget=BudgetConfig())
    assert bench.run().run_id == first.run_id


def test_what_was_spent_adds_up_over_processes(bench: Bench) -> None:
    bench.grader.failing = {2: RuntimeError("x")}
    report = bench.run()
    before = read_manifest(report.run_dir / "manifest.json")
    bench.grader.failing = {}
    after = read_manifest(bench.run().run_dir / "manifest.json")
    assert after.started == before.started
    assert after.timings["score"] >= before.timings["score"]
    assert after.usage["judge"].answers.calls == 8 * 4
