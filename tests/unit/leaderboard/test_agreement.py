"""Agreement of scorers: what is paired, what is refused, and the table as the golden file has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ResultsError, UnknownNameError
from harness.leaderboard.agreement import Agreement, agreements
from harness.leaderboard.agreement_table import agreement_json, agreement_text
from harness.leaderboard.service import agreement
from harness.results.manifest import MetricFacts
from tests.unit.leaderboard.conftest import FIELDS

GOLDEN = Path(__file__).parents[2] / "golden" / "agreement.txt"
VALUES = {0: 0.9, 1: 0.4, 2: 0.6, 3: 0.8, 4: 0.5, 5: 0.7}


def made(fake_run: Any, scorer: str, **changes: Any) -> Any:
    """Return a run by ``scorer``; ``fields`` are changes to those of its protocol."""
    fields = {**FIELDS, "scorer": {"plugin": scorer}, **changes.pop("fields", {})}
    return fake_run(f"run-{scorer}", fields=fields, scorer=scorer, **changes)


def sample(root: Path, fake_run: Any) -> list[Agreement]:
    """Return three scorers on two subjects: with gaps, another text, a constant one, and one where lower is better."""
    detection = made(fake_run, "detection").add("default", VALUES).add("default", {6: 0.55, 7: 0.65})
    detection.add("default", dict.fromkeys(range(3), 0.5), subject="mlp")
    detection.add("shuffled(default)", VALUES, control="shuffled")
    fuzzing = made(fake_run, "fuzzing").add("default", {0: 0.8, 1: 0.5, 2: 0.7, 3: 0.9, 4: 0.45, 5: 0.35, 8: 0.3})
    fuzzing.add("default", {6: 0.5}, explanation_digest="another").add("default", {7: None})
    fuzzing.add("default", dict.fromkeys(range(3), 0.7), subject="mlp").add("alone", VALUES)
    loss = made(fake_run, "loss", judge=None, metrics=(MetricFacts(name="auroc", higher_is_better=False),))
    loss.add("default", {feature: 1 - value for feature, value in VALUES.items()})
    loss.add("default", dict.fromkeys(range(3), 0.2), subject="mlp")
    return agreements([run.write(root) for run in (loss, fuzzing, detection)])


def test_the_table_is_as_the_golden_file(tmp_path: Path, fake_run: Any) -> None:
    assert agreement_text(sample(tmp_path, fake_run)) + "\n" == GOLDEN.read_text("utf-8")


def test_pairs_count_what_is_shared_and_what_either_lacks(tmp_path: Path, fake_run: Any) -> None:
    mlp, sae = sample(tmp_path, fake_run)
    assert (mlp.subject, sae.subject, sae.explanation_set) == ("mlp", "sae", "default")
    assert [measure.label for measure in sae.measures] == ["detection", "fuzzing", "loss"]
    pair = sae.pairs[0]
    assert (pair.a, pair.b) == ("detection", "fuzzing")
    assert (pair.shared, pair.only_a, pair.only_b, pair.other_text) == (6, 1, 1, 1)
    assert pair.spearman.value == pytest.approx(19 / 35)  # 1 - 6 * 16 / (6 * 35), by hand
    assert pair.spearman.low is not None
    apart = [(one.feature, one.rank_a, one.rank_b) for one in pair.differ_most]
    assert apart == [(5, 3, 6), (1, 6, 4), (0, 1, 2), (2, 4, 3), (3, 2, 1)]


def test_where_lower_is_better_agreement_is_still_positive(tmp_path: Path, fake_run: Any) -> None:
    _, sae = sample(tmp_path, fake_run)
    pair = sae.pairs[1]
    assert (pair.a, pair.b) == ("detection", "loss")
    assert pair.spearman.value == 1.0
    assert pair.differ_most == ()
    with_loss = sae.pairs[2].differ_most[0]
    assert with_loss.b == pytest.approx(1 - VALUES[with_loss.feature])  # as the scorer reported it


def test_too_few_features_have_a_reason_and_no_figure(tmp_path: Path, fake_run: Any) -> None:
    mlp, _ = sample(tmp_path, fake_run)
    assert {pair.spearman.value for pair in mlp.pairs} == {None}
    assert "no interval, 3 shared features, at least 4 are needed" in agreement_text([mlp])


def test_json_has_no_nan_and_all_pairs(tmp_path: Path, fake_run: Any) -> None:
    told = json.loads(agreement_json(sample(tmp_path, fake_run)))
    assert [len(one["pairs"]) for one in told] == [3, 3]
    assert told[0]["pairs"][0]["pearson"] == {
        "n": 3,
        "value": None,
        "level": 0.95,
        "low": None,
        "high": None,
        "method": "none: 3 shared features, at least 4 are needed",
    }


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"examples": {"preset": "default", "window_tokens": 64}}, r"differ in examples\.window_tokens \(32 and 64\)"),
        ({"seed": 1}, r"differ in seed \(0 and 1\)"),
        ({"corpus": {"reader": "other"}}, r"corpus\.cutting .*corpus\.reader"),
    ],
)
def test_what_may_not_be_compared_is_refused_by_the_names_of_the_fields(
    tmp_path: Path, fake_run: Any, changes: dict[str, Any], named: str
) -> None:
    runs = [
        made(fake_run, "detection").add("default", VALUES).write(tmp_path),
        made(fake_run, "fuzzing", fields=changes).add("default", VALUES).write(tmp_path),
    ]
    with pytest.raises(ResultsError, match=f"'detection' and 'fuzzing' cannot be compared: .*{named}"):
        agreements(runs)


def test_runs_on_another_subject_of_the_same_name_are_refused(tmp_path: Path, fake_run: Any) -> None:
    runs = [
        made(fake_run, scorer, subjects={"sae": {"activations": scorer}}).add("default", VALUES).write(tmp_path)
        for scorer in ("detection", "fuzzing")
    ]
    with pytest.raises(
        ResultsError, match=r"subject 'sae' is not the same in run-detection and run-fuzzing: .*activat"
    ):
        agreements(runs)


@pytest.mark.parametrize("field", ["judge", "embedder", "features"])
def test_judges_and_chosen_features_may_differ(tmp_path: Path, fake_run: Any, field: str) -> None:
    runs = [
        made(fake_run, scorer, fields={field: {"model": scorer}}).add("default", VALUES).write(tmp_path)
        for scorer in ("detection", "fuzzing")
    ]
    assert agreements(runs)[0].pairs[0].shared == 6


def test_two_judges_of_one_scorer_are_told_apart(tmp_path: Path, fake_run: Any) -> None:
    runs = []
    for judge in ("small", "large"):
        run = made(fake_run, "detection", fields={"judge": {"model": judge}}, judge=judge)
        run.run_id = judge
        runs.append(run.add("default", VALUES).write(tmp_path))
    labels = [measure.label for measure in agreements(runs)[0].measures]
    assert len(set(labels)) == 2
    assert all(label.startswith("detection@") for label in labels)


def test_sets_and_scorers_can_be_chosen(tmp_path: Path, fake_run: Any) -> None:
    for scorer in ("detection", "embedding", "fuzzing"):
        run = made(fake_run, scorer).add("default", VALUES).add("other", VALUES)
        run.add("shuffled(default)", VALUES, control="shuffled").write(tmp_path)
    every = json.loads(agreement(tmp_path, as_json=True))
    assert [one["explanation_set"] for one in every] == ["default", "other"]
    chosen = json.loads(
        agreement(
            tmp_path,
            ["run-fuzzing", str(tmp_path / "runs" / "run-detection")],
            sets=["shuffled(default)"],
            scorers=["fuzzing", "detection"],
            as_json=True,
        )
    )
    assert [(one["explanation_set"], one["control"]) for one in chosen] == [("shuffled(default)", "shuffled")]
    assert [measure["label"] for measure in chosen[0]["measures"]] == ["fuzzing", "detection"]


def test_mistakes_are_named(tmp_path: Path, fake_run: Any) -> None:
    with pytest.raises(ResultsError, match="no results folder here"):
        agreement(tmp_path / "none")
    made(fake_run, "detection").add("default", VALUES).write(tmp_path)
    made(fake_run, "fuzzing", status="running").add("default", VALUES).write(tmp_path)
    with pytest.raises(UnknownNameError, match=r"unknown run 'run-detectoin'.*did you mean run-detection"):
        agreement(tmp_path, ["run-detectoin"])
    with pytest.raises(ResultsError, match="has not ended"):
        agreement(tmp_path, ["run-fuzzing"])
    with pytest.raises(ResultsError, match="no two scorers"):
        agreement(tmp_path)
    with pytest.raises(UnknownNameError, match=r"unknown explanation set 'defualt'.*did you mean default"):
        agreement(tmp_path, sets=["defualt"])
    with pytest.raises(UnknownNameError, match="unknown scorer of these runs 'detect'"):
        agreement(tmp_path, scorers=["detect"])


def test_names_from_files_cannot_move_the_cursor(tmp_path: Path, fake_run: Any) -> None:
    hostile = "x\x1b[2J\u202e\n"
    for scorer in ("detection", "fuzzing"):
        made(fake_run, scorer).add(hostile, VALUES, subject=hostile).write(tmp_path)
    shown = agreement(tmp_path)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert r"x\x1b[2J\u202e\n" in shown
