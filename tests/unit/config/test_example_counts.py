"""A run that cannot come to a value is refused when it is planned, with what would do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.config.compose import compose_run
from harness.config.example_counts import check_example_counts
from harness.config.resolve import resolve_run
from harness.config.resolved import ResolvedPlugin
from harness.config.schema import ExamplesConfig, NegativesConfig
from harness.errors import ConfigError
from harness.registry.catalogue import Registered
from harness.registry.specs import ScorerSpec
from harness.scoring.protocol import MetricSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.config.resolved import ResolvedRun
    from harness.registry.catalogue import Catalogue

SILENT, ACTIVATING = "examples.score_non_activating", "examples.score_activating"
HALF = NegativesConfig(random=1, cooccurring=1)
NONE = NegativesConfig(random=0, cooccurring=1)


@pytest.fixture(scope="session")
def planned(catalogue: Catalogue) -> ResolvedRun:
    return resolve_run(compose_run(["experiment=smoke"], catalogue), catalogue)


def check(run: ResolvedRun, catalogue: Catalogue, name: str, parameters: dict[str, Any], **examples: Any) -> None:
    registered: Any = catalogue.get("scorer", name)
    config = registered.spec.resolve_config()(**parameters)
    scorers = {name: ResolvedPlugin(name, registered, config)}
    check_example_counts(replace(run, scorers=scorers, examples=ExamplesConfig(**examples)))


@pytest.mark.parametrize(
    ("scorer", "parameters", "examples", "where", "hint"),
    [
        ("detection", {}, {"score_non_activating": 0}, SILENT, f"{SILENT}=1"),
        ("embedding", {}, {"score_non_activating": 0}, SILENT, f"{SILENT}=1"),
        ("example_embedding", {}, {"score_activating": 1}, ACTIVATING, f"{ACTIVATING}=2"),
        ("surprisal", {}, {"score_non_activating": 0}, SILENT, f"{SILENT}=1"),
        ("fuzzing", {"variant": "paper"}, {"score_non_activating": 0}, SILENT, f"{SILENT}=1"),
        ("fuzzing", {}, {"score_activating": 1}, ACTIVATING, f"{ACTIVATING}=2"),
        ("saebench", {}, {"score_activating": 3}, ACTIVATING, f"{ACTIVATING}=4"),
        ("saebench", {}, {"score_non_activating": 10, "negatives": HALF}, SILENT, f"{SILENT}=19"),
        ("saebench", {}, {"negatives": NONE}, "examples.negatives.random", "examples.negatives.random=1"),
        ("intruder", {}, {"score_activating": 3}, ACTIVATING, f"{ACTIVATING}=4"),
        ("intruder", {"activating": 2}, {"score_activating": 1}, ACTIVATING, f"{ACTIVATING}=2"),
        ("purity", {}, {"score_activating": 4, "score_non_activating": 4}, ACTIVATING, f"{ACTIVATING}=5 {SILENT}=5"),
        ("clarity", {}, {"negatives": NONE}, "examples.negatives.random", "examples.negatives.random=1"),
        ("faithfulness", {}, {"score_non_activating": 4}, SILENT, f"{SILENT}=5"),
        ("intervention", {}, {"score_activating": 4}, ACTIVATING, f"{ACTIVATING}=5"),
    ],
)
def test_too_few_windows_are_refused_and_the_mend_does(
    planned: ResolvedRun,
    catalogue: Catalogue,
    scorer: str,
    parameters: dict[str, Any],
    examples: dict[str, Any],
    where: str,
    hint: str,
) -> None:
    with pytest.raises(ConfigError, match=f"scorer '{scorer}' has no value") as refused:
        check(planned, catalogue, scorer, parameters, **examples)
    assert (refused.value.where, refused.value.hint) == (where, hint)
    keys = {key.removeprefix("examples."): float(value) for key, value in (one.split("=") for one in hint.split())}
    random = keys.pop("negatives.random", None)
    mended = {**examples, **{key: int(value) for key, value in keys.items()}}
    if random is not None:
        mended["negatives"] = replace(examples["negatives"], random=random)
    check(planned, catalogue, scorer, parameters, **mended)


@pytest.mark.parametrize("scorer", ["fuzzing", "detection_counterfactual", "generation", "simulation", "intervention"])
def test_scorers_that_need_no_silent_window_are_not_refused_one(
    planned: ResolvedRun, catalogue: Catalogue, scorer: str
) -> None:
    check(planned, catalogue, scorer, {}, score_non_activating=0)


def test_all_that_is_missing_is_said_at_once_in_one_line(resolve: Callable[..., ResolvedRun]) -> None:
    with pytest.raises(ConfigError) as refused:
        resolve("scorers=[saebench]", "judge=oracle", "examples.score_activating=3", f"{SILENT}=5")
    assert str(refused.value) == (
        "examples.score_activating: scorer 'saebench' has no value with fewer than 4 activating windows and 10 silent"
        " windows drawn at random per feature, and the run gives it 3 and 5."
        " Try: examples.score_activating=4 examples.score_non_activating=10"
    )


def test_a_scorer_that_declares_nothing_needs_one_activating_window(planned: ResolvedRun) -> None:
    metrics = (MetricSpec("m", "m"),)
    spec = ScorerSpec(name="s", summary="s", factory=dict, config=dict, metrics=metrics, primary_metric="m")
    assert spec.resolve_example_needs(None) is None
    scorers: Any = {"s": ResolvedPlugin("s", Registered(spec, "test", "1", "test"), None)}
    check_example_counts(replace(planned, scorers=scorers, examples=ExamplesConfig(score_non_activating=0)))
