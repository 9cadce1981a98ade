"""Input fidelity beside output fidelity: corrected for chance, counted in quadrants, never averaged over scorers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ResultsError, UnknownNameError
from harness.leaderboard import service
from harness.leaderboard.profile import StandIn, best_of, corrected, profiles
from harness.results.manifest import MetricFacts
from harness.stats import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.unit.leaderboard.conftest import FakeRun

GOLDEN = Path(__file__).parents[2] / "golden" / "profile.txt"
AUROC = MetricFacts(name="auroc", chance=0.5)
NATS = MetricFacts(name="nats", low=None, high=None, chance=0.0)
WON = MetricFacts(name="won", chance=0.5)
LOSS = MetricFacts(name="loss", chance=0.8, higher_is_better=False)
SHARE = MetricFacts(name="share")

READS = {1: 0.95, 2: 0.9, 3: 0.8, 4: 0.55, 5: 0.5, 6: 0.4, 7: 0.75, 8: None}
WRITES = {1: 0.9, 2: 0.5, 3: 0.85, 4: 0.95, 5: 0.45, 6: 0.5, 7: 0.75, 9: 0.9}


def write(
    make: Callable[..., FakeRun],
    root: Path,
    scorer: str,
    values: Any,
    fidelity: str | None,
    metric: MetricFacts = AUROC,
    others: Mapping[MetricFacts, Mapping[int, float]] = MappingProxyType({}),
    **more: Any,
) -> Path:
    """Write a run of one scorer whose primary metric has these values, and others have theirs."""
    metrics = (metric, *others)
    run = make(run_id=f"run-{scorer}", scorer=scorer, fidelity=fidelity, metrics=metrics, **more)
    run.add("default", values).add("shuffled", dict.fromkeys(values, 0.5), control="shuffled")
    for line in run.scores:
        line["metrics"] = {metric.name: line["metrics"]["auroc"]}
        line["metrics"] |= {other.name: given.get(line["feature"]) for other, given in others.items()}
    return run.write(root)


@pytest.fixture
def runs(fake_run: Callable[..., FakeRun], tmp_path: Path) -> list[Path]:
    """Return runs of a scorer of inputs, two of outputs, and one that declares nothing."""
    return [
        write(fake_run, tmp_path, "reads", READS, "input"),
        write(fake_run, tmp_path, "writes", WRITES, "output"),
        write(
            fake_run,
            tmp_path,
            "nats",
            {1: 3.0, 2: 0.1, 3: -0.5, 4: 7.0},
            "output",
            NATS,
            others={SHARE: {1: 0.5}, WON: {1: 0.75, 2: 0.6, 3: 0.4, 4: 0.9}},
        ),
        write(fake_run, tmp_path, "bare", {1: 3.0, 2: 0.1}, "output", NATS),
        write(fake_run, tmp_path, "old", {1: 0.4, 2: 0.6}, None, SHARE),
    ]


def test_quadrants_count_the_features_that_both_scored(runs: list[Path]) -> None:
    (found,) = profiles(runs)
    quadrants = {(one.input, one.output): one for one in found.quadrants}
    assert set(quadrants) == {("reads", "writes"), ("reads", "nats")}
    # Good from 0.75 on: 1, 3 and 7 by both (7 exactly at the bar), 2 by input, 4 by output, 5 and 6 by neither.
    pair = quadrants["reads", "writes"]
    assert pair.shared == 7
    assert pair.both == wilson_interval(3, 7)
    assert (pair.input_only, pair.output_only) == (wilson_interval(1, 7), wilson_interval(1, 7))
    assert pair.neither == wilson_interval(2, 7)
    # Nats have no best value, so another metric says what is good; a scorer that has none is in no quadrant.
    pair = quadrants["reads", "nats"]
    assert [one.mean for one in (pair.both, pair.input_only, pair.output_only, pair.neither)] == [0.25, 0.5, 0.25, 0]


def test_each_axis_has_its_scorers_with_quartiles_and_coverage(runs: list[Path]) -> None:
    (found,) = profiles(runs)
    axes = {axis.scorer: axis for axis in found.axes}
    assert {name: axis.side for name, axis in axes.items()} == {
        "reads": "input", "writes": "output", "nats": "output", "bare": "output", "old": None,
    }  # fmt: skip
    reads = axes["reads"]
    assert (reads.n, reads.features, reads.good_from) == (7, 8, 0.75)
    assert (reads.lower_quartile, reads.median, reads.upper_quartile) == pytest.approx((0.525, 0.75, 0.85))
    assert reads.corrected is not None
    assert reads.corrected.mean == pytest.approx(sum((value - 0.5) * 2 for value in READS.values() if value) / 7)
    assert reads.corrected.low is not None
    assert axes["nats"].corrected is None
    assert axes["nats"].uncorrected == "'nats' has no best value"
    assert axes["old"].uncorrected == "'share' has no chance level"
    assert axes["nats"].good_from is None
    assert axes["nats"].stand_in == StandIn("won", 0.75)
    assert [one.good for one in axes["nats"].values] == [True, False, False, True]
    assert [one.good for one in (*axes["bare"].values, *axes["old"].values)] == [None] * 4


def test_a_run_of_before_axes_were_recorded_is_read_and_stands_on_neither(
    fake_run: Callable[..., FakeRun], tmp_path: Path
) -> None:
    folder = write(fake_run, tmp_path, "reads", READS, "input")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["scorers"]["reads"]["fidelity"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (found,) = profiles([folder])
    assert [axis.side for axis in found.axes] == [None]
    assert "reads: on neither axis" in service.profile(tmp_path)


def test_features_scored_with_different_texts_are_not_paired(fake_run: Callable[..., FakeRun], tmp_path: Path) -> None:
    first = write(fake_run, tmp_path, "reads", READS, "input")
    run = fake_run(run_id="other", scorer="writes", fidelity="output", metrics=(AUROC,))
    run.add("default", {1: 0.9, 2: 0.9})
    for line in run.scores:
        line["metrics"] = {"auroc": 0.9}
    run.scores[0]["explanation_digest"] = "another text"
    (found,) = profiles([first, run.write(tmp_path)])
    assert [one.shared for one in found.quadrants] == [1]


def test_one_value_and_none_have_no_quartiles(fake_run: Callable[..., FakeRun], tmp_path: Path) -> None:
    one = write(fake_run, tmp_path, "one", {1: 0.9, 2: None}, "input")
    none = write(fake_run, tmp_path, "none", {1: None, 2: None}, "output")
    (found,) = profiles([one, none])
    axes = {axis.scorer: axis for axis in found.axes}
    assert (axes["one"].median, axes["one"].lower_quartile) == (0.9, None)
    assert (axes["none"].median, axes["none"].corrected) == (None, None)
    assert axes["none"].uncorrected == "no feature has a value"
    assert found.quadrants[0].shared == 0
    assert found.quadrants[0].both.mean is None
    assert "nan" not in service.profile(tmp_path, as_json=True).lower()


def test_what_may_not_be_compared_is_refused(
    fake_run: Callable[..., FakeRun], tmp_path: Path, runs: list[Path]
) -> None:
    fields = {"corpus": {"reader": "other"}, "examples": {}, "seed": 0}
    other = write(fake_run, tmp_path / "b", "other", READS, "input", fields=fields)
    with pytest.raises(ResultsError, match=r"differ in corpus\.cutting"):
        profiles([*runs, other])
    with pytest.raises(UnknownNameError, match="defualt"):
        profiles(runs, sets=["defualt"])
    with pytest.raises(ResultsError, match="no scores"):
        profiles([])


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.01, float("nan")])
def test_a_senseless_threshold_is_refused(runs: list[Path], threshold: float) -> None:
    with pytest.raises(ResultsError, match="is not a share"):
        profiles(runs, threshold=threshold)


def test_a_higher_threshold_never_makes_more_features_good(runs: list[Path]) -> None:
    shares = [profiles(runs, threshold=share)[0].quadrants[1].both.mean or 0.0 for share in (0.1, 0.5, 0.9, 1.0)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]


def test_controls_are_shown_when_asked_for(runs: list[Path]) -> None:
    (found,) = profiles(runs, sets=["shuffled"])
    assert found.control == "shuffled"
    reads = next(axis for axis in found.axes if axis.scorer == "reads")
    assert reads.corrected is not None
    assert reads.corrected.mean == 0.0


@given(st.floats(0, 1))
def test_correction_has_0_at_chance_and_1_at_the_best_and_keeps_the_direction(value: float) -> None:
    for metric in (AUROC, LOSS):
        best, share = best_of(metric), corrected(value, metric)
        assert best is not None
        assert metric.chance is not None
        assert share is not None
        assert corrected(metric.chance, metric) == 0.0
        assert corrected(best, metric) == 1.0
        better = value > metric.chance if metric.higher_is_better else value < metric.chance
        assert (share > 0) == better


def test_no_correction_without_chance_or_best() -> None:
    assert corrected(0.7, SHARE) is None
    assert corrected(0.7, NATS) is None
    assert corrected(0.7, MetricFacts(name="at the top", chance=1.0)) is None
    assert corrected(0.7, MetricFacts(name="unbounded", high=None, chance=0.0)) is None


def test_the_profile_is_as_published(runs: list[Path], tmp_path: Path) -> None:
    shown = service.profile(tmp_path, [run.name for run in runs]) + "\n"
    if os.environ.get("HARNESS_WRITE_GOLDEN"):
        GOLDEN.write_text(shown)
    assert shown == GOLDEN.read_text()


GINI = MetricFacts(name="signed_gini", low=-1.0, chance=0.0)
PAPER = MetricFacts(name="gini_of_the_paper", published=True)
ASPECTS: dict[str, dict[int, float | None]] = {
    "clarity": {1: 0.9, 2: 0.8, 3: 0.1, 4: -0.2, 5: 0.7, 6: None},
    "responsiveness": {1: 0.9, 2: 0.2, 3: 0.8, 4: 0.0, 5: 0.6, 6: 0.9},
    "purity": {1: 0.9, 2: 0.7, 3: 0.1, 4: 0.0, 5: 0.2, 6: 0.6},
    "faithfulness": {1: 0.8, 2: 0.6, 3: 0.0, 4: 0.1, 5: 0.5, 6: None},
}


@pytest.fixture
def fade(fake_run: Callable[..., FakeRun], tmp_path: Path) -> list[Path]:
    """Return a run of each of FADE's four scorers."""
    return [
        write(fake_run, tmp_path, name, values, "output" if name == "faithfulness" else "input", GINI, aspect=name)
        for name, values in ASPECTS.items()
    ]


def of_before(folder: Path) -> Path:
    """Return the folder of a run whose manifest now lacks what older ones lack of aspects and forms."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for facts in manifest["scorers"].values():
        del facts["aspect"]
        for metric in facts["metrics"]:
            del metric["published"]
    path.write_text(json.dumps(manifest))
    return folder


def test_fade_s_four_sides_are_as_published(fade: list[Path], tmp_path: Path) -> None:
    shown = service.profile(tmp_path, [run.name for run in fade]) + "\n"
    golden = GOLDEN.with_name("profile_fade.txt")
    if os.environ.get("HARNESS_WRITE_GOLDEN"):
        golden.write_text(shown)
    assert shown == golden.read_text()


def test_pairs_of_fade_s_sides_are_counted_and_read(fade: list[Path], tmp_path: Path) -> None:
    (told,) = json.loads(service.profile(tmp_path, as_json=True))
    (block,) = told["fade"]
    assert [one["aspect"] for one in block["aspects"]] == list(ASPECTS)
    clarity = block["aspects"][0]
    assert (clarity["n"], clarity["features"], clarity["median"], clarity["good_from"]) == (5, 6, 0.7, 0.5)
    counts: dict[tuple[str, str], list[int]] = {}
    for one in block["readings"]:
        counts.setdefault((one["first"], one["second"]), []).append(round(one["share"]["mean"] * one["shared"]))
    # Good by both, by the first, by the second, by neither.
    assert counts == {
        ("clarity", "responsiveness"): [2, 1, 1, 1],
        ("responsiveness", "purity"): [2, 2, 1, 1],
        ("responsiveness", "faithfulness"): [2, 1, 1, 1],
    }
    # A single side is no profile.
    assert profiles(fade[:1])[0].fade == ()


def test_sides_of_other_judges_or_forms_are_not_mixed_and_two_of_a_kind_are_in_no_pair(
    fade: list[Path], fake_run: Callable[..., FakeRun], tmp_path: Path
) -> None:
    def aspect(scorer: str, of: str, metric: MetricFacts = GINI, **more: Any) -> Path:
        return write(fake_run, tmp_path / scorer, scorer, ASPECTS[of], "input", metric, aspect=of, **more)

    papers = [aspect("paper_purity", "purity", PAPER), aspect("paper_clarity", "clarity", PAPER)]
    assert [one.form for one in profiles([*fade[:2], papers[0]])[0].fade] == ["ours"]
    assert [one.form for one in profiles([*fade[:2], *papers])[0].fade] == ["ours", "paper"]
    other = aspect("other", "responsiveness", judge="b")
    assert [one.judge for one in profiles([fade[0], other, fade[2]])[0].fade] == ["judge-1.5b"]
    (found,) = profiles([*fade, aspect("clarity_b", "clarity")])[0].fade
    assert found.ambiguous == ("clarity",)
    assert {(one.first, one.second) for one in found.readings} == {
        ("responsiveness", "purity"), ("responsiveness", "faithfulness"),
    }  # fmt: skip


def test_any_scorer_may_declare_an_aspect_and_no_name_makes_one(
    fade: list[Path], fake_run: Callable[..., FakeRun], tmp_path: Path
) -> None:
    values = ASPECTS["purity"]
    third = write(fake_run, tmp_path / "third", "acme_clean", values, "input", AUROC, aspect="purity")
    (found,) = profiles([fade[1], third])[0].fade
    assert [(one.aspect, one.scorer) for one in found.aspects] == [
        ("responsiveness", "responsiveness"), ("purity", "acme_clean"),
    ]  # fmt: skip
    assert {(one.first, one.second) for one in found.readings} == {("responsiveness", "purity")}
    # Named like an aspect's scorer and the paper's metric, and declaring nothing; or declaring what is no aspect here.
    named = write(fake_run, tmp_path / "named", "purity", values, "input", MetricFacts(name="fade_purity"))
    newer = write(fake_run, tmp_path / "newer", "newer", values, "input", GINI, aspect="novelty")
    assert profiles([fade[1], named, newer])[0].fade == ()


def test_runs_of_before_aspects_were_recorded_are_read_without_their_block(fade: list[Path], tmp_path: Path) -> None:
    before = service.profile(tmp_path)
    for folder in fade:
        of_before(folder)
    block = before.index("\n\n   FADE, ")
    assert service.profile(tmp_path) == before[:block]


@pytest.mark.parametrize("older_first", [True, False])
def test_an_older_run_takes_what_a_newer_one_of_its_protocol_declares(
    fake_run: Callable[..., FakeRun], tmp_path: Path, *, older_first: bool
) -> None:
    old = fake_run(run_id="old", scorer="clarity", metrics=(PAPER,)).add("default", {7: 0.5})
    new = fake_run(run_id="new", scorer="clarity", metrics=(PAPER,), fidelity="input", aspect="clarity")
    new.add("default", {8: 0.5})
    for run in (old, new):
        run.scores[0]["metrics"] = {PAPER.name: 0.5}
    both = [of_before(old.write(tmp_path)), new.write(tmp_path)]
    purity = write(fake_run, tmp_path / "paper", "purity", ASPECTS["purity"], "input", PAPER, aspect="purity")
    (found,) = profiles([*(both if older_first else both[::-1]), purity])
    assert [(one.form, one.aspects[0].aspect, one.aspects[0].n) for one in found.fade] == [("paper", "clarity", 2)]
    assert found.axes[0].side == "input"
