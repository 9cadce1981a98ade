"""One run from resolved configuration to leaderboard."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import ResultsError
from harness.leaderboard.build import build_rows
from harness.leaderboard.render import render_table
from harness.leaderboard.service import FILE_NAME
from harness.leaderboard.service import build as build_leaderboard
from harness.llm.budget import Budget
from harness.materials import cache_root
from harness.registry.events import RunFinished, RunStarted, UnitFinished
from harness.results.jsonl import rewrite_sorted
from harness.results.runfolder import RunFolder
from harness.runner.data import ModelPool, prepare
from harness.runner.events import EventLog
from harness.runner.explain import plan_explanations
from harness.runner.features import feature_lines
from harness.runner.identity import run_id
from harness.runner.interrupt import interruptible
from harness.runner.journal import Journal
from harness.runner.manifest import ManifestKeeper
from harness.runner.pipeline import Pipeline
from harness.runner.protocols import scorer_protocols
from harness.runner.resources import RunResources
from harness.runner.spending import SpendingLog
from harness.runner.undefined import has_value, undefined_of
from harness.text import MOST_SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.config.resolve import ResolvedRun
    from harness.progress import Progress
    from harness.registry.catalogue import Catalogue
    from harness.results.records import ExplanationLine, ScoreLine
    from harness.runner.data import SubjectData

__all__ = ["RunReport", "execute"]

_EXIT_CODES = {"success": 0, "failed": 1, "partial": 3}


@dataclass(frozen=True)
class RunReport:
    """What a finished run left behind.

    Attributes:
        run_id: Its id.
        run_dir: Its folder.
        status: How it went.
        table: Its leaderboard as text.
        leaderboard: The file of the leaderboard of all runs.
        failures: One line per unit that failed, and before them one per scorer without any value.
        undefined: One line per scorer and explanation set of which some features have no value, with the reason.
        notes: What to know of it besides.
    """

    run_id: str
    run_dir: Path
    status: str
    table: str
    leaderboard: Path
    failures: tuple[str, ...] = ()
    undefined: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """Return 0 for success, 3 if some of it failed, 1 if nothing came of it."""
        return _EXIT_CODES[self.status]


def execute(resolved: ResolvedRun, catalogue: Catalogue, progress: Progress) -> RunReport:
    """Do what is missing of a run, write its records and the leaderboard, and return what was left.

    A run killed at any moment is finished by calling this again with the same configuration.

    Raises:
        HarnessError: If the run cannot go on; whatever was finished is on disk and stays.
    """
    with RunFolder.open(resolved.paths.results, run_id(resolved)) as folder:
        run = _Run(resolved, catalogue, folder, progress)
        try:
            asyncio.run(run.work())
        finally:
            catalogue.emit("harness_run_finished", RunFinished(folder.run_id, run.status, folder.manifest))
        return run.report()


class _Run:
    """One process's work on a run whose folder is locked."""

    def __init__(self, resolved: ResolvedRun, catalogue: Catalogue, folder: RunFolder, progress: Progress) -> None:
        self.resolved = resolved
        self.catalogue = catalogue
        self.folder = folder
        self.progress = progress
        self.cache = cache_root(resolved.paths.cache)
        self.journal = Journal(folder, self._unit_finished)
        self.log = EventLog(folder.events)
        self.manifest = ManifestKeeper(folder, resolved, self.cache)
        self.models = ModelPool(self.cache, progress)
        self.resources = RunResources(resolved, self.cache, self.models, progress, self._budget())
        self.spending = SpendingLog(lambda: self.manifest.spent(self.resources.taken()), self.log)
        self.explanations: list[ExplanationLine] = []
        self.scores: list[ScoreLine] = []
        self.status = "failed"

    async def work(self) -> None:
        """Run the stages and leave finished records."""
        self.journal.load()
        self.manifest.start()
        try:
            async with self.spending.kept():
                await self._stages()
        except BaseException as error:
            self.status = self.manifest.stop(error, self.resources.started(), self.resources.taken(), self.log.seconds)
            raise
        finally:
            await self.resources.close()
        self.journal.finalise([line.unit for line in self.explanations], [line.unit for line in self.scores])
        self.status = self._status()
        self.manifest.finish(
            self.status,
            self.explanations,
            self.scores,
            self.resources.started(),
            self.resources.taken(),
            self.log.seconds,
        )

    def report(self) -> RunReport:
        """Build the leaderboard and return what the run left behind."""
        table = render_table(build_rows([self.folder.path]), "text")
        root = self.folder.path.parent.parent
        try:
            build_leaderboard(root)
        except ResultsError as error:
            # Another run in the folder is at fault; this one is finished and must be seen to be.
            self.progress.say(f"the leaderboard of all runs was not rebuilt: {error}")
        return RunReport(
            self.folder.run_id,
            self.folder.path,
            self.status,
            table,
            root / FILE_NAME,
            failures=(*self._without_value(), *self._failures()),
            undefined=tuple(map(str, undefined_of(self.scores))),
            notes=tuple(_notes(self.explanations)),
        )

    async def _stages(self) -> None:
        if not self.journal.explanations:
            await self.resources.check()
            self.manifest.opened(self.resources.started())
        else:
            self.resources.expect(self.manifest.recorded_modes)
        modes = await self.resources.modes()
        self.manifest.asked(modes)
        with interruptible():
            subjects = self._data()
        await self._explain_and_score(subjects, modes)

    def _data(self) -> Mapping[str, SubjectData]:
        with self.log.stage("data"):
            subjects = prepare(self.resolved, self.cache, self.models, self.progress)
            rewrite_sorted(self.folder.features, feature_lines(subjects))
        self.manifest.data(subjects)
        features = sum(len(subject.records) for subject in subjects.values())
        units = features * len(self.resolved.scorers) * (1 + len(self.resolved.controls))
        started = RunStarted(self.folder.run_id, self.resolved.plain(), units, len(self.journal.scores))
        self.catalogue.emit("harness_run_started", started)
        return subjects

    async def _explain_and_score(
        self, subjects: Mapping[str, SubjectData], modes: Mapping[str, Mapping[str, Any]]
    ) -> None:
        protocols = scorer_protocols(self.resolved, modes.get("judge"))
        self.manifest.protocols(protocols)
        fingerprints = {name: protocol.fingerprint for name, protocol in protocols.items()}
        planned = plan_explanations(self.resolved, subjects, modes.get("explainer"))
        pipeline = Pipeline(
            self.resolved, subjects, planned, fingerprints, self.resources, self.journal, self.log, self.progress
        )
        sets, self.scores = await pipeline.run()
        self.manifest.sets(sets)
        self.explanations = [line for explanations in sets for line in explanations.lines]

    def _unit_finished(self, stage: str, line: ExplanationLine | ScoreLine) -> None:
        self.log.write("unit", stage=stage, unit=line.unit, error=line.error, **self.spending.tell())
        self.catalogue.emit("harness_unit_finished", UnitFinished(self.folder.run_id, stage, line))

    def _budget(self) -> Budget:
        limits, spent = self.resolved.budget, self.manifest.earlier_cost
        return Budget(limits.usd, limits.tokens, spent_usd=spent.usd, spent_tokens=spent.tokens)

    def _status(self) -> str:
        """Return how the run went.

        Calls and units that failed make it ``partial``, and so does a scorer that has no value for any feature; answers
        that were bad do not. It is ``failed`` if nothing came of the real explanation set: no scorer has any value, or
        where no scorer was asked for, there is no explanation.
        """
        real = [line for line in self.scores if line.control is None]
        useful = any(has_value(line) for line in real)
        if not real:
            useful = any(line.text is not None for line in self._real_explanations())
        if not useful:
            return "failed"
        return "partial" if self._failures() or self._without_value() else "success"

    def _real_explanations(self) -> list[ExplanationLine]:
        return [line for line in self.explanations if line.explanation_set == self.resolved.set_name]

    def _without_value(self) -> list[str]:
        """Return one line per scorer that has no value for any feature of the real set."""
        return [
            f"{one.scorer} has a value for none of {one.features} features; for instance: {one.reason}"
            for one in undefined_of(self.scores)
            if one.real and one.everywhere
        ]

    def _failures(self) -> Sequence[str]:
        """Return one line per failed unit, after one that says so if none of the features came to anything."""
        each = self._failed_units()
        real = self._real_explanations()
        if each and real and not any(line.text is not None for line in real):
            first = next((line for line in real if line.error), real[0])
            said = first.error or first.outcome
            return [f"none of {len(real)} features could be explained; {first.subject}/{first.feature}: {said}", *each]
        return each

    def _failed_units(self) -> list[str]:
        # A control that had nothing to be made from is a consequence, not a failure of its own.
        explaining = [line for line in self._real_explanations() if line.outcome == "error"]
        scoring = [line for line in self.scores if line.status == "error"]
        return [
            *(
                f"explaining {line.subject}/{line.feature} ({line.explanation_set}): {line.error}"
                for line in explaining
            ),
            *(
                f"{line.scorer} {line.subject}/{line.feature} ({line.explanation_set}): {line.error}"
                for line in scoring
            ),
        ]


def _notes(explanations: Sequence[ExplanationLine]) -> Iterator[str]:
    long = [line for line in explanations if line.characters_read is not None]
    if long:
        first = f"{long[0].subject}/{long[0].feature} ({long[0].explanation_set})"
        yield (
            f"{len(long)} of {len(explanations)} explanations are too long: scorers read the beginning alone,"
            f" {MOST_SHOWN:,} characters as a prompt shows them, of {first} for instance"
            " (see characters_read in explanations.jsonl)"
        )
