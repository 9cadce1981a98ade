from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.registry.catalogue import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.conftest import Result

KINDS = {
    "scorer": "scorers",
    "subject": "subjects",
    "explainer": "explainers",
    "control": "controls",
    "corpus": "corpora",
}
EVERYTHING = [(kind, name) for kind, plural in KINDS.items() for name in load_catalogue().names(plural)]


@pytest.mark.parametrize(("kind", "name"), EVERYTHING)
def test_everything_registered_can_be_shown(harness: Callable[..., Result], kind: str, name: str) -> None:
    text = harness("show", kind, name)
    assert text.code == 0
    assert text.out.startswith(f"{kind} {name} (version ")
    facts = json.loads(harness("show", kind, name, "--json").out)
    assert facts["name"] == name
    assert facts["distribution_version"]


def test_a_scorer_shows_metrics_with_chance_parameters_and_citation(harness: Callable[..., Result]) -> None:
    facts = json.loads(harness("show", "scorer", "detection", "--json").out)
    auroc = next(metric for metric in facts["metrics"] if metric["name"] == "auroc")
    assert (auroc["chance"], auroc["low"], auroc["high"], auroc["higher_is_better"]) == (0.5, 0.0, 1.0, True)
    assert {"name": "re_asks", "type": "int", "default": 1} in facts["parameters"]
    assert "2410.13928" in facts["citation"]
    text = harness("show", "scorer", "detection").out
    assert "needs     a judge that reports log-probabilities of its answers" in text
    assert "auroc *" in text


def test_what_a_scorer_needs_and_looks_at_is_said_in_words(harness: Callable[..., Result]) -> None:
    text = harness("show", "scorer", "faithfulness").out
    assert "needs     a judge; the subject, with features that can be changed\n" in text
    assert "looks at  outputs (FADE's faithfulness)\n" in text
    assert "needs     an embedder\n" in harness("show", "scorer", "embedding").out


@pytest.mark.parametrize(
    ("kind", "name", "way"),
    [("scorer", "detection_list", "'scorers=[detection_list]'"), ("explainer", "cot", "'explainer=cot'")],
)
def test_a_config_option_is_not_taken_for_a_misspelt_name(
    harness: Callable[..., Result], kind: str, name: str, way: str
) -> None:
    found = harness("show", kind, name)
    assert found.code == 2
    assert f"'{name}' is a set of parameters of another {kind}: " in found.err
    assert f"harness run {way} --cfg job" in found.err
    assert f"unknown {kind} '{name}x'" in harness("show", kind, f"{name}x").err


GOLDEN = Path(__file__).parents[2] / "golden" / "show_scorer.txt"


def test_a_scorer_is_shown_whole(harness: Callable[..., Result]) -> None:
    shown = re.sub(r"(?m)^(from +\S+) .*$", r"\1 VERSION", harness("show", "scorer", "detection").out)
    if os.environ.get("HARNESS_WRITE_GOLDEN"):
        GOLDEN.write_text(shown, encoding="utf-8")
    assert shown == GOLDEN.read_text(encoding="utf-8")


def test_a_scorer_says_what_an_explanation_costs(harness: Callable[..., Result]) -> None:
    cost = json.loads(harness("show", "scorer", "detection", "--json").out)["cost"]
    assert (cost["calls"], cost["activating_windows"], cost["silent_windows"], cost["window_tokens"]) == (
        40,
        20,
        20,
        32,
    )
    assert cost["input_tokens"] > 40 * 32
    assert "no question to a judge" in harness("show", "scorer", "embedding").out
    assert "cost" not in json.loads(harness("show", "subject", "sae", "--json").out)


def test_nested_parameters_have_dotted_names_and_say_what_is_needed(harness: Callable[..., Result]) -> None:
    facts = json.loads(harness("show", "subject", "sae", "--json").out)
    parameters = {entry["name"]: entry for entry in facts["parameters"]}
    assert parameters["model.path"] == {"name": "model.path", "type": "str", "default": "???"}
    assert "model" not in parameters
    assert "(needed)" in harness("show", "subject", "sae").out


def test_a_qualified_name_is_a_name(harness: Callable[..., Result]) -> None:
    assert harness("show", "scorer", "autointerp-harness/detection").code == 0
