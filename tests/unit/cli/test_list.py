from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.conftest import Result


def listed(harness: Callable[..., Result], *arguments: str) -> list[dict[str, Any]]:
    result = harness("list", *arguments, "--json")
    assert (result.code, result.err) == (0, "")
    entries: list[dict[str, Any]] = json.loads(result.out)
    return entries


def test_scorers_say_what_they_measure_and_need(harness: Callable[..., Result]) -> None:
    entries = {entry["name"]: entry for entry in listed(harness, "scorers")}
    detection = entries["detection"]
    assert detection["distribution"] == "autointerp-harness"
    assert detection["needs"] == ["judge"]
    assert "auroc" in detection["metrics"]
    assert entries["embedding"]["needs"] == ["embedder"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [("subjects", "sae"), ("explainers", "imported"), ("controls", "shuffled"), ("corpora", "jsonl")],
)
def test_other_kinds_are_listed_too(harness: Callable[..., Result], kind: str, name: str) -> None:
    assert name in [entry["name"] for entry in listed(harness, kind)]
    assert name in harness("list", kind).out


def test_plugins_say_what_they_provide(harness: Callable[..., Result]) -> None:
    entries = {entry["name"]: entry for entry in listed(harness, "plugins")}
    assert entries["builtin"]["status"] == "ok"
    assert "subject sae" in entries["builtin"]["provides"]
    assert entries["detection"]["provides"] == ["scorer detection", "scorer detection_counterfactual"]


def test_a_plugin_left_out_is_listed_as_disabled(harness: Callable[..., Result]) -> None:
    entries = {entry["name"]: entry for entry in listed(harness, "plugins", "-p", "no:detection")}
    assert entries["detection"]["status"] == "disabled"
    assert "detection" not in [entry["name"] for entry in listed(harness, "scorers", "-p", "no:detection")]


def test_experiments_and_configs_come_with_their_comment(harness: Callable[..., Result]) -> None:
    experiments = listed(harness, "experiments")
    assert {"demo", "demo_full", "smoke"} <= {entry["name"] for entry in experiments}
    assert all(entry["summary"] for entry in experiments)
    groups = {entry["group"] for entry in listed(harness, "configs")}
    assert {"subject", "corpus", "examples", "features", "explainer", "judge", "llm", "scorers", "controls"} <= groups
    assert "smoke" in harness("list", "experiments").out
    assert "demo_sae" in harness("list", "configs").out


@pytest.fixture
def broken(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_here.py").write_text("raise RuntimeError('no\\x1b[31m licence')")
    info = tmp_path / "broken_here-0.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-here\nVersion: 0.2\n")
    (info / "entry_points.txt").write_text("[autointerp_harness]\nbrevity = broken_here\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("broken")
def test_a_broken_plugin_is_listed_with_its_traceback(harness: Callable[..., Result]) -> None:
    (entry,) = [entry for entry in listed(harness, "plugins") if entry["distribution"] == "broken-here"]
    assert (entry["name"], entry["version"], entry["status"], entry["stage"]) == ("brevity", "0.2", "broken", "load")
    assert "Traceback" in entry["traceback"]
    assert "broken_here.py" in entry["traceback"]
    text = harness("list", "plugins").out
    assert "brevity is broken at load" in text
    assert "Traceback" in text
    assert "\x1b" not in text


@pytest.mark.usefixtures("broken")
def test_other_verbs_warn_of_it_in_one_line_and_work(harness: Callable[..., Result]) -> None:
    result = harness("list", "scorers")
    assert result.code == 0
    assert "detection" in result.out
    assert result.err.startswith("harness: warning: plugin 'brevity' (broken-here 0.2) is broken at load: RuntimeError")
    assert result.err.count("\n") == 1


@pytest.mark.usefixtures("broken")
def test_naming_it_is_an_error_that_says_why(harness: Callable[..., Result]) -> None:
    result = harness("show", "scorer", "brevity")
    assert result.code == 2
    assert "RuntimeError: no" in result.err.splitlines()[-1]
