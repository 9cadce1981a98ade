"""Runs made up for leaderboard tests, written by the harness's own writers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from harness.identity import fingerprint
from harness.results.jsonl import append_lines
from harness.results.manifest import (
    ExplanationSetFacts,
    Manifest,
    MetricFacts,
    ScorerFacts,
    Versions,
    write_manifest,
)
from harness.results.records import ScoreLine, UsageLine
from harness.results.runfolder import RunPaths

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FIELDS = {
    "corpus": {"reader": "jsonl", "version": 1, "documents": {"sha256": "ab" * 32}, "cutting": {"n_tokens": 200_000}},
    "examples": {"preset": "default", "window_tokens": 32},
    "judge": {"model": "judge-1.5b", "sha256": "cc" * 32},
    "scorer": {"plugin": "detection", "version": 1, "params": {}},
    "seed": 0,
}
METRICS = (MetricFacts(name="auroc", chance=0.5), MetricFacts(name="recall"))


@dataclass
class FakeRun:
    """A run to be written. ``scores`` holds what differs of each line from the plain one."""

    run_id: str
    fields: dict[str, Any] = field(default_factory=lambda: dict(FIELDS))
    metrics: tuple[MetricFacts, ...] = METRICS
    scorer: str = "detection"
    judge: str | None = "judge-1.5b"
    fidelity: str | None = None
    aspect: str | None = None
    status: str = "success"
    error: str | None = None
    models: dict[str, str | None] = field(default_factory=dict)
    subjects: dict[str, Any] = field(default_factory=dict)
    scores: list[dict[str, Any]] = field(default_factory=list)

    @property
    def protocol(self) -> str:
        """Return the fingerprint of the run's protocol."""
        return fingerprint(self.fields)

    def add(
        self,
        name: str,
        values: Mapping[int, float | None],
        *,
        subject: str = "sae",
        control: str | None = None,
        **more: Any,
    ) -> FakeRun:
        """Add one line per feature for the set ``name`` and return the run."""
        for feature, value in values.items():
            line = {
                "subject": subject,
                "feature": feature,
                "explanation_set": name,
                "control": control,
                "unit": fingerprint([self.protocol, subject, feature, name, more.get("text", "")]),
                "metrics": {"auroc": value, "recall": None if value is None else value / 2},
                **{key: item for key, item in more.items() if key != "text"},
            }
            self.scores.append(line)
        return self

    def write(self, root: Path) -> Path:
        """Write the run under ``root`` and return its folder."""
        paths = RunPaths(root / "runs" / self.run_id)
        paths.path.mkdir(parents=True)
        names = {line["explanation_set"]: line["control"] for line in self.scores}
        manifest = Manifest(
            run_id=self.run_id,
            name=self.run_id,
            status=self.status,
            error=self.error,
            config={},
            config_sha256="0" * 64,
            versions=Versions(harness="0", python="3"),
            subjects=self.subjects,
            protocols={self.protocol: self.fields},
            explanation_sets={
                name: ExplanationSetFacts(control=control, explainer_model=self.models.get(name))
                for name, control in names.items()
            },
            scorers={
                self.scorer: ScorerFacts(
                    plugin=self.scorer,
                    version=1,
                    metrics=list(self.metrics),
                    primary_metric=self.metrics[0].name,
                    judge=self.judge,
                    fidelity=self.fidelity,
                    aspect=self.aspect,
                )
            },
        )
        write_manifest(paths.manifest, manifest)
        append_lines(paths.scores, (self._line(line) for line in self.scores))
        return paths.path

    def _line(self, changes: dict[str, Any]) -> ScoreLine:
        plain: dict[str, Any] = {
            "protocol": self.protocol,
            "explanation_digest": "d",
            "scorer": self.scorer,
            "scorer_plugin": self.scorer,
            "scorer_version": 1,
            "primary_metric": self.metrics[0].name,
            "status": "scored",
            "coverage": {"ok": 39, "unparsed": 1},
            "usage": UsageLine(calls=40, input_tokens=4000, output_tokens=40, usd=0.0),
        }
        return ScoreLine(**{**plain, **changes})


@pytest.fixture
def fake_run() -> type[FakeRun]:
    """Return the maker of made-up runs."""
    return FakeRun
