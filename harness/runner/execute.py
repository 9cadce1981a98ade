"""One run from resolved configuration to leaderboard."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.leaderboard.build import build_rows
from harness.leaderboard.render import render_table
from harness.leaderboard.service import build as build_leaderboard
from harness.materials import cache_root
from harness.registry.events import RunFinished, RunStarted
from harness.results.jsonl import rewrite_sorted
from harness.results.runfolder import RunFolder
from harness.runner.data import ModelPool, prepare
from harness.runner.events import EventLog
from harness.runner.explain import build_controls, explain, plan_explanations
from harness.runner.features import feature_lines
from harness.runner.identity import run_id
from harness.runner.journal import Journal
from harness.runner.manifest import ManifestKeeper
from harness.runner.protocols import scorer_protocols
from harness.runner.resources import RunResources
from harness.runner.score import plan_scores, score

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.config.resolve import ResolvedRun
    from harness.progress import Progress
    from harness.registry.catalogue import Catalogue
    from harness.results.records import ExplanationLine
    from harness.runner.score import ScoreUnit

__all__ = ["RunReport", "execute"]

_EXIT_CODES = {"success": 0, "failed": 1, "partial": 3}


@dataclass(frozen=True)
class RunReport:
    """What a finished run left behind. ``table`` is this run's leaderboard as text."""

    run_id: str
    run_dir: Path
    status: str
    table: str
    leaderboard: Path
    failures: tuple[str, ...] = field(default=())

    @property
    def exit_code(self) -> int:
        """Return 0 for success, 3 if some units failed, 1 if all did."""
        return _EXIT_CODES[self.status]


def execute(resolved: ResolvedRun, catalogue: Catalogue, progress: Progress) -> RunReport:
    """Do what is missing of a run, write its records and the leaderboard, and return what was left.

    A run killed at any moment is finished by calling this again with the same configuration.

    Raises:
        HarnessError: If the run cannot go on; whatever was finished is on disk and stays.
    """
    return asyncio.run(_execute(resolved, catalogue, progress))


async def _execute(resolved: ResolvedRun, catalogue: Catalogue, progress: Progress) -> RunReport:
    started = time.monotonic()
    cache = cache_root(resolved.paths.cache)
    with RunFolder.open(resolved.paths.results, run_id(resolved)) as folder:
        journal = Journal(folder)
        journal.load()
        manifest = ManifestKeeper(folder, resolved, catalogue)
        manifest.start()
        log = EventLog(folder.events)
        models = ModelPool(cache, progress)
        resources = RunResources(resolved, cache, models, progress)
        try:
            with log.stage("data"):
                subjects = prepare(resolved, cache, models, progress)
                rewrite_sorted(folder.features, feature_lines(subjects))
            manifest.data(subjects)
            catalogue.emit(
                "harness_run_started",
                RunStarted(folder.run_id, resolved.plain(), _total(resolved, subjects), len(journal.scores)),
            )
            with log.stage("explain"):
                real = await explain(resolved, plan_explanations(resolved, subjects), resources, journal, progress)
            sets = [real, *build_controls(resolved, subjects, real, journal)]
            protocols = scorer_protocols(resolved)
            units = plan_scores(resolved, subjects, sets, {name: p.fingerprint for name, p in protocols.items()})
            manifest.sets(sets, protocols)
            with log.stage("score"):
                await score(resolved, subjects, units, resources, journal, progress)
        except (HarnessError, KeyboardInterrupt, asyncio.CancelledError) as error:
            manifest.stop(error, resources.usage(), log.seconds)
            raise
        finally:
            await resources.close()
        lines = [line for explanations in sets for line in explanations.lines]
        journal.finalise([line.unit for line in lines], [unit.unit for unit in units])
        status, failures = _status(lines, units, journal)
        done = manifest.finish(status, resources.usage(), log.seconds, journal, seconds=time.monotonic() - started)
        rows = build_rows([folder.path])
        leaderboard = build_leaderboard(folder.path.parent.parent)
    catalogue.emit("harness_run_finished", RunFinished(folder.run_id, status, done))
    return RunReport(folder.run_id, folder.path, status, render_table(rows, "text"), leaderboard, failures)


def _total(resolved: ResolvedRun, subjects: Any) -> int:
    features = sum(len(subject.records) for subject in subjects.values())
    return features * len(resolved.scorers) * (1 + len(resolved.controls))


def _status(
    lines: Sequence[ExplanationLine], units: Sequence[ScoreUnit], journal: Journal
) -> tuple[str, tuple[str, ...]]:
    """Return the run's status and what failed: calls and units that ended in an error, not answers that were bad."""
    failed = [f"explaining {line.subject}/{line.feature}: {line.error}" for line in lines if line.outcome == "error"]
    scores = [journal.scores[unit.unit] for unit in units]
    failed += [
        f"{s.scorer} {s.subject}/{s.feature} {s.explanation_set}: {s.error}" for s in scores if s.status == "error"
    ]
    if not failed:
        return "success", ()
    useful = any(s.status == "scored" for s in scores) if units else len(failed) < len(lines)
    return ("partial" if useful else "failed"), tuple(failed)
