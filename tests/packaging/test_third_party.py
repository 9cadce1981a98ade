"""The wheel in a fresh environment, beside a good plugin and a broken one of third parties."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.identity import canonical_json

if TYPE_CHECKING:
    from tests.packaging.conftest import Environment

# Most of it is the installation of torch; a slow network gets its time.
pytestmark = [pytest.mark.packaging, pytest.mark.timeout(1500)]


OURS = sorted((Path(__file__).resolve().parents[2] / "plugins").glob("harness_*"))


def listed(environment: Environment, kind: str) -> dict[str, dict[str, Any]]:
    entries = json.loads(environment.run("harness", "list", kind, "--json").stdout)
    return {entry["name"]: entry for entry in entries}


def test_the_broken_plugin_is_listed_with_its_traceback(environment: Environment) -> None:
    plugins = listed(environment, "plugins")
    broken = plugins["broken"]
    assert (broken["distribution"], broken["version"]) == ("harness-broken", "0.2.0")
    assert (broken["status"], broken["stage"]) == ("broken", "load")
    assert "Traceback" in broken["traceback"]
    assert broken["traceback"].endswith("RuntimeError: this plugin is broken on purpose")
    whole = {name for name, plugin in plugins.items() if plugin["status"] == "ok"}
    assert whole == {"builtin", "length", *(folder.name.removeprefix("harness_") for folder in OURS)}


def test_the_good_plugin_is_registered_like_our_own(environment: Environment) -> None:
    scorers = listed(environment, "scorers")
    assert {name for name, scorer in scorers.items() if scorer["distribution"] != "autointerp-harness"} == {"length"}
    assert {"detection", "embedding", "fuzzing"} < set(scorers)
    assert (scorers["length"]["distribution"], scorers["length"]["distribution_version"]) == ("harness-length", "0.1.0")
    shown = environment.run("harness", "show", "scorer", "length").stdout
    assert "limit" in shown


def test_naming_the_broken_plugin_says_why_and_ends_with_2(environment: Environment) -> None:
    done = environment.run("harness", "run", "experiment=smoke", "scorers=[broken]", ok=False)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("harness: error: ")
    assert "harness-broken 0.2.0" in last
    assert "this plugin is broken on purpose" in last


def test_the_plugins_own_config_package_is_found(environment: Environment) -> None:
    assert {"demo", "demo_full", "short", "smoke"} <= set(listed(environment, "experiments"))
    composed = environment.run("harness", "run", "experiment=short", "--cfg", "job").stdout
    assert "length_strict" in composed
    where = environment.run("harness", "run", "--info", "searchpath").stdout
    assert "harness-length" in where


def test_a_plugin_can_be_left_out(environment: Environment) -> None:
    done = environment.run("harness", "list", "scorers", "-p", "no:length", "-p", "no:broken")
    assert "length" not in done.stdout
    assert done.stderr == ""


def test_the_smoke_benchmark_runs_with_the_third_partys_scorer(environment: Environment) -> None:
    done = environment.run(
        "harness", "run", "experiment=smoke", "scorers=[embedding,length]", "scorers.length.limit=80"
    )
    (run,) = (environment.elsewhere / "results" / "runs").iterdir()
    assert str(run.relative_to(environment.elsewhere)) in done.stdout
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["status"] == "success"
    assert '"limit":80' in canonical_json(manifest["config"])
    scores = [json.loads(line) for line in (run / "scores.jsonl").read_text().splitlines()]
    assert {score["scorer"] for score in scores} == {"embedding", "length"}
    assert {score["status"] for score in scores} == {"scored"}
    assert len(scores) == 8 * 2 * 2  # features, explanation sets, scorers
    for name in ("explanations.jsonl", "items.jsonl", "features.jsonl"):
        assert (run / name).stat().st_size > 0
    shown = environment.run("harness", "leaderboard", "show", "--json").stdout
    assert {row["scorer"] for row in json.loads(shown)} == {"embedding", "length"}
    leftovers = {path.name for path in environment.elsewhere.iterdir()}
    assert leftovers == {"results"}
