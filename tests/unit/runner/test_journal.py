from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.results.records import ExplanationLine, ItemLine, ScoreLine
from harness.results.runfolder import RunFolder
from harness.runner.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def explanation(unit: str, *, outcome: str = "ok") -> ExplanationLine:
    return ExplanationLine(
        unit=unit,
        subject="sae",
        feature=1,
        explanation_set="real",
        text="cats" if outcome == "ok" else None,
        outcome=outcome,
        explainer="default",
        explainer_version=1,
    )


def score(unit: str, *, status: str = "scored") -> ScoreLine:
    return ScoreLine(
        unit=unit,
        protocol="p",
        subject="sae",
        feature=1,
        explanation_set="real",
        control=None,
        explanation_digest="d",
        scorer="detection",
        scorer_plugin="detection",
        scorer_version=1,
        primary_metric="auroc",
        status=status,
        metrics={"auroc": 0.5} if status == "scored" else {},
        coverage={"ok": 1} if status == "scored" else {},
    )


def item(unit: str, key: str) -> ItemLine:
    return ItemLine(
        unit=unit,
        subject="sae",
        feature=1,
        explanation_set="real",
        scorer="detection",
        key=key,
        kind="activating",
        decile=None,
        truth=True,
        prediction=True,
        value=0.9,
        outcome="ok",
    )


def units(path: Path) -> list[str]:
    return [json.loads(line)["unit"] for line in path.read_text().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    with RunFolder.open(tmp_path, "run-1") as opened:
        yield opened


def journal(folder: RunFolder) -> Journal:
    loaded = Journal(folder, lambda _stage, _line: None)
    loaded.load()
    return loaded


def test_what_was_written_is_there_for_the_next_process(folder: RunFolder) -> None:
    first = journal(folder)
    first.add_explanation(explanation("e1"))
    first.add_score(score("s1"), [item("s1", "a")])
    again = journal(folder)
    assert set(again.explanations) == {"e1"}
    assert set(again.scores) == {"s1"}


def test_failed_units_are_done_again(folder: RunFolder) -> None:
    first = journal(folder)
    first.add_explanation(explanation("e1", outcome="error"))
    first.add_explanation(explanation("e2", outcome="refused"))
    first.add_score(score("s1", status="error"), [])
    again = journal(folder)
    assert set(again.explanations) == {"e2"}
    assert not again.scores


def test_evidence_without_a_score_line_is_dropped_on_load(folder: RunFolder) -> None:
    first = journal(folder)
    first.add_score(score("s1"), [item("s1", "a"), item("s1", "b")])
    with folder.items.open("a") as stream:  # a crash between the evidence of s2 and its score line
        stream.write(folder.items.read_text().splitlines()[0].replace('"s1"', '"s2"') + "\n")
    journal(folder)
    assert units(folder.items) == ["s1", "s1"]


def test_a_torn_last_line_is_cut_off_and_kept_beside(folder: RunFolder) -> None:
    first = journal(folder)
    first.add_score(score("s1"), [])
    with folder.scores.open("a") as stream:
        stream.write('{"unit": "s2", "prot')
    assert set(journal(folder).scores) == {"s1"}
    assert units(folder.scores) == ["s1"]
    torn = folder.scores.with_name("scores.jsonl.torn")
    assert torn.read_text() == '{"unit": "s2", "prot\n'


@given(order=st.permutations(["s1", "s2", "s3", "s4"]))
def test_the_final_bytes_do_not_depend_on_the_order_of_work(
    tmp_path_factory: pytest.TempPathFactory, order: list[str]
) -> None:
    plan = ["s1", "s2", "s3", "s4"]
    written = []
    for sequence in (plan, order):
        with RunFolder.open(tmp_path_factory.mktemp("run"), "r") as folder:
            made = journal(folder)
            for unit in sequence:
                made.add_score(score(unit), [item(unit, "a"), item(unit, "b")])
            made.finalise([], plan)
            written.append((folder.scores.read_bytes(), folder.items.read_bytes()))
    assert written[0] == written[1]


def test_what_is_not_of_the_plan_is_left_out(folder: RunFolder) -> None:
    made = journal(folder)
    for unit in ("old", "s1"):
        made.add_score(score(unit), [item(unit, "a")])
    made.finalise([], ["s1"])
    assert units(folder.scores) == units(folder.items) == ["s1"]


def test_every_finished_unit_is_told(folder: RunFolder) -> None:
    told: list[tuple[str, str]] = []
    made = Journal(folder, lambda stage, line: told.append((stage, line.unit)))
    made.add_explanation(explanation("e1"))
    made.add_score(score("s1"), [])
    assert told == [("explain", "e1"), ("score", "s1")]
