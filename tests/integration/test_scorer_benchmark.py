"""The benchmark of scorers, as a user runs it: planted features, an oracle that errs, every distortion."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from scipy.stats import t

from harness.leaderboard import service
from harness.materials import cache_root
from harness.planted.catalogue import FEATURES
from tests.support.harness_process import run_harness

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

CHANCE = {
    "detection": 0.5,
    "detection_counterfactual": 0.5,
    "fuzzing": 0.5,
    "embedding": 0.5,
    "saebench": 0.5,
    "simulation": 0.0,
    "surprisal": 0.5,
    "generation": 0.5,
    "clarity": 0.0,
    "responsiveness": 0.0,
    "purity": 0.0,
}
"""What each scorer gives an explanation that says nothing, by its primary metric."""
READ_NO_EXPLANATION = {"intruder": 0.0, "example_embedding": 0.5}
"""Scorers of features, whatever is said of them: chance is what a feature without a meaning has."""
OF_OUTPUTS = ("intervention", "intervention_per_word", "output_tokens", "faithfulness")
EXCLUSIVE = {"simulation": 0.01}
"""How far below chance disjoint rules are. Two rules seldom match one token, and predictions that are never right
correlate with the truth by about -sqrt(p q) if they fire on the shares p and q of tokens, not by 0."""
WRONG = ("shuffled", "other", "empty")
N_FEATURES = 12
N_FEATURES_OF_OUTPUTS = 8
FEWEST = 3


def run(folder: Path, *overrides: str, experiment: str = "scorer_benchmark") -> Path:
    command = ["run", f"experiment={experiment}", "judge=oracle"]
    places = [f"paths.results={folder}", f"paths.cache={cache_root(None)}", "judge.engine.error_rate=0.1"]
    done = run_harness([*command, *places, *overrides], folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some features by all scorers that read inputs and explanations; the whole takes a quarter of an hour."""
    folder = tmp_path_factory.mktemp("benchmark")
    return run(
        folder,
        "features=sample",
        f"features.n={N_FEATURES}",
        "controls=[planted_wrong_token,planted_other,shuffled,empty]",
        f"scorers=[{','.join((*CHANCE, *READ_NO_EXPLANATION))}]",
    )


@pytest.fixture(scope="module")
def reports(results: Path) -> dict[str, dict[str, Any]]:
    return {report["scorer"]: report for report in json.loads(service.scorers([], results, "json"))}


def lines(results: Path, name: str) -> list[dict[str, Any]]:
    (folder,) = (results / "runs").iterdir()
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_every_planted_feature_has_examples_enough(tmp_path: Path) -> None:
    features = lines(run(tmp_path, "scorers=[fuzzing]", "controls=[planted_other]"), "features.jsonl")
    unusable = {FEATURES[line["feature"]].name: line["detail"] for line in features if line["status"] != "used"}
    assert unusable == {}
    assert len(features) == len(FEATURES)


def test_everything_is_explained_and_scored(results: Path) -> None:
    assert {line["outcome"] for line in lines(results, "explanations.jsonl")} == {"ok"}
    scores = lines(results, "scores.jsonl")
    assert {line["status"] for line in scores} == {"scored"}
    assert len(scores) == N_FEATURES * (len(CHANCE) + len(READ_NO_EXPLANATION)) * 5


def test_every_scorer_tells_true_explanations_from_other_ones(reports: dict[str, dict[str, Any]]) -> None:
    assert set(reports) == {*CHANCE, *READ_NO_EXPLANATION}
    for name in CHANCE:
        assert reports[name]["auroc"]["other"]["low"] > 0.5, name
        assert reports[name]["auroc"]["empty"]["low"] > 0.5, name


@pytest.mark.parametrize("scorer", READ_NO_EXPLANATION)
def test_a_scorer_of_features_tells_that_they_have_a_meaning(reports: dict[str, dict[str, Any]], scorer: str) -> None:
    scores = reports[scorer]["scores"]
    assert scores["true"]["low"] > READ_NO_EXPLANATION[scorer]
    assert scores["other"]["mean"] == scores["true"]["mean"]


def test_every_scorer_of_outputs_tells_true_explanations_from_other_ones(tmp_path: Path) -> None:
    """On the real model, with fewer and shorter continuations than by default."""
    few = ("prompts=10", "other_kl_targets=[]", "baseline_directions=0")
    small = [f"scorers.{name}.{one}" for name in OF_OUTPUTS[:2] for one in few]
    small += ["scorers.output_tokens.prompts=10", "scorers.faithfulness.factors=[0,10]"]
    small += ["scorers.faithfulness.n_prompts=12", "scorers.faithfulness.new_tokens=8"]
    small += ["features=sample", f"features.n={N_FEATURES_OF_OUTPUTS}"]
    controls = "controls=[planted_other,shuffled]"
    run(tmp_path, controls, f"scorers=[{','.join(OF_OUTPUTS)}]", *small, experiment="scorer_benchmark_output")
    reports = {report["scorer"]: report for report in json.loads(service.scorers([], tmp_path, "json"))}
    assert set(reports) == set(OF_OUTPUTS)
    for name, report in reports.items():
        assert report["auroc"]["other"]["low"] > 0.5, name
        assert report["auroc"]["shuffled"]["low"] > 0.5, name


@pytest.mark.parametrize("scorer", CHANCE)
@pytest.mark.parametrize("name", WRONG)
def test_scorers_are_at_chance_on_wrong_explanations(
    reports: dict[str, dict[str, Any]], scorer: str, name: str
) -> None:
    """The intervals are as wide as it takes for all of them together to hold chance in 95 of 100 benchmarks."""
    found = reports[scorer]["scores"][name]
    if found["n"] < FEWEST:
        pytest.skip("undefined for nearly all: a text that the explanation does not fit is seldom rated as holding it")
    level = 1 - 0.05 / (len(CHANCE) * len(WRONG))  # Bonferroni
    reach = t.ppf((1 + level) / 2, found["n"] - 1) * found["se"]
    assert found["mean"] == pytest.approx(CHANCE[scorer], abs=reach + EXCLUSIVE.get(scorer, 1e-9))


def test_only_a_scorer_that_asks_about_tokens_tells_a_wrong_token(reports: dict[str, dict[str, Any]]) -> None:
    assert reports["fuzzing"]["auroc"]["wrong_token"]["mean"] > 0.95
    assert reports["detection"]["auroc"]["wrong_token"]["mean"] < 0.9


def test_an_oracle_costs_nothing(reports: dict[str, dict[str, Any]]) -> None:
    assert {report["cost"]["usd"] for report in reports.values()} == {0.0}
    assert reports["detection"]["cost"]["calls"] > 20
    assert reports["embedding"]["cost"]["calls"] == 0
