"""The manifest: whole or not at all, checked, and free of the machine it was made on."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ResultsError
from harness.results.manifest import (
    Counts,
    ExplanationSetFacts,
    Manifest,
    MetricFacts,
    PluginVersion,
    RoleUsage,
    ScorerFacts,
    Versions,
    collect_versions,
    host_free,
    read_manifest,
    write_manifest,
)
from harness.results.records import UsageLine


def manifest(**changes: Any) -> Manifest:
    given: dict[str, Any] = {
        "run_id": "demo-1a2b",
        "name": "demo",
        "status": "success",
        "config": {"seed": 0, "nested": {"list": [1, None, "x"]}},
        "config_sha256": "0" * 64,
        "versions": Versions(harness="0.1", python="3.11.0"),
        "usage": {"judge": RoleUsage(answers=UsageLine(calls=3, input_tokens=5, output_tokens=1, usd=None))},
        "counts": Counts(total=4, done=2, failed=1, skipped=1),
        "protocols": {"p": {"seed": 0}},
        "explanation_sets": {"default": ExplanationSetFacts(explainer="default", explainer_model="m")},
        "scorers": {
            "detection": ScorerFacts(
                plugin="detection", version=1, metrics=[MetricFacts(name="auroc", chance=0.5)], primary_metric="auroc"
            )
        },
    }
    return Manifest(**{**given, **changes})


def test_a_manifest_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    write_manifest(path, manifest())
    assert read_manifest(path) == manifest()
    assert json.loads(path.read_text())["counts"] == {"total": 4, "done": 2, "failed": 1, "skipped": 1}
    assert path.read_text().endswith("}\n")
    assert [entry.name for entry in tmp_path.iterdir()] == ["manifest.json"]


def test_a_bad_manifest_is_not_written_over_a_good_one(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    write_manifest(path, manifest())
    with pytest.raises(ResultsError, match=r"not a valid manifest: status: expected \"running\""):
        write_manifest(path, manifest(status="finished"))
    with pytest.raises(ResultsError, match=r"timings.score: expected a finite number"):
        write_manifest(path, manifest(timings={"score": float("nan")}))
    assert read_manifest(path) == manifest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a valid manifest: not JSON"),
        ("{}", "is missing"),
        ('{"schema_version": 7}', "written by a newer harness"),
    ],
)
def test_a_manifest_that_cannot_be_read_says_why(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(content)
    with pytest.raises(ResultsError, match=message):
        read_manifest(path)


def test_a_folder_without_a_manifest_says_so(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no manifest here"):
        read_manifest(tmp_path / "manifest.json")
    with pytest.raises(ResultsError, match="cannot be read"):
        read_manifest(tmp_path)


def test_versions_come_from_metadata_without_imports() -> None:
    before = set(sys.modules)
    versions = collect_versions({"detection": PluginVersion(distribution="autointerp-harness", version="0.1")})
    assert versions.libraries["torch"] == version("torch")
    assert versions.python == ".".join(map(str, sys.version_info[:3]))
    assert versions.plugins["detection"].distribution == "autointerp-harness"
    assert not {"torch", "litellm", "transformers"} & (set(sys.modules) - before)


def test_the_folders_of_a_machine_get_names() -> None:
    roots = {"~": Path("/home/me"), "$CACHE": Path("/home/me/.cache/harness")}
    value = {
        "cache": "/home/me/.cache/harness/materials/x",
        "home": "/home/me",
        "list": ["/home/me/sae", "/home/meadow", "relative/home/me", 3],
    }
    assert host_free(value, roots) == {
        "cache": "$CACHE/materials/x",
        "home": "~",
        "list": ["~/sae", "/home/meadow", "relative/home/me", 3],
    }
