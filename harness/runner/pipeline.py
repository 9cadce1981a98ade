"""From feature records to scores: explaining and scoring of different features side by side.

A feature's scores become ready when its explanation is on disk; those of a control that is made from explanations when
all of its subject's are; those of any other control at once. What is ready is scored in plan order, so that the units
that share the longest part of their prompts (the scorer's instructions, then the explanation) follow one another, which
is what a judge's prefix cache lives on.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

from harness.runner.bars import Bars
from harness.runner.controls import control_lines, uses_explanations
from harness.runner.explain import Explaining, ExplainUnit, ExplanationSet
from harness.runner.flow import Flow, Lane
from harness.runner.garbage import AnswerWatch, explainer_watch, judge_watch
from harness.runner.identity import control_set_name
from harness.runner.room import UNASKING, calls_per_unit, explain_room, judged_room, overlaps
from harness.runner.score import ScoreUnit, Scoring, score_unit
from harness.scoring.protocol import Need

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.config.resolve import ResolvedPlugin, ResolvedRun
    from harness.progress import Progress
    from harness.results.records import ExplanationLine, ScoreLine
    from harness.runner.data import SubjectData
    from harness.runner.events import EventLog
    from harness.runner.journal import Journal
    from harness.runner.resources import RunResources

__all__ = ["Pipeline"]

_EXPLAINING = "explaining"


class Pipeline:
    """Explains and scores all features of a run.

    Args:
        resolved: The run.
        subjects: Its subjects with their records.
        planned: The explanations to be written, in plan order.
        protocols: Fingerprint of each scorer's protocol, by scorer name.
        resources: What units may use.
        journal: Holds what is done, and takes what is newly done.
        log: Told when the two stages begin and end; they may overlap.
        progress: Where bars are shown.
    """

    def __init__(
        self,
        resolved: ResolvedRun,
        subjects: Mapping[str, SubjectData],
        planned: Sequence[ExplainUnit],
        protocols: Mapping[str, str],
        resources: RunResources,
        journal: Journal,
        log: EventLog,
        progress: Progress,
    ) -> None:
        self._resolved = resolved
        self._subjects = subjects
        self._places = {name: place for place, name in enumerate(subjects)}
        self._protocols = protocols
        self._resources = resources
        self._journal = journal
        self._log = log
        self._explaining = Explaining(resolved, resources)
        self._scoring = Scoring(resolved, subjects, resources)
        self._control_names = {
            name: control_set_name(control, resolved.set_name) for name, control in resolved.controls.items()
        }
        self._lines: dict[str, dict[str, list[ExplanationLine]]] = {}
        self._units: dict[tuple[int, ...], ScoreUnit] = {}
        self._planned = tuple(planned)
        self._unexplained = Counter(unit.record.subject for unit in self._planned)
        self._watches: dict[str, AnswerWatch] = {}
        self._explainer_watch = explainer_watch(
            features=len(self._planned), trusted=any(line.outcome == "ok" for line in journal.explanations.values())
        )
        # Of each stage, its event and its bars: closed when it ends, whichever of the two ends first.
        self._explain_stage, self._score_stage = ExitStack(), ExitStack()
        self._score_begun = False
        self._explain_bars = Bars(progress, self._explain_stage)
        self._score_bars = Bars(progress, self._score_stage)
        self._explain_lane: Lane[ExplainUnit] = Lane(self._explain, explain_room(resolved))
        self._judged_lane, self._unjudged_lane = self._score_lanes()

    async def run(self) -> tuple[list[ExplanationSet], list[ScoreLine]]:
        """Do what is missing; return the explanation sets and the scores, both in plan order.

        Raises:
            UserError: If the run cannot go on; what is finished is on disk.
        """
        with self._score_stage, self._explain_stage:
            self._begin()
            flow = Flow((self._explain_lane, self._judged_lane, self._unjudged_lane))
            await flow.run()
            self._begin_scoring()
        units = [self._units[place] for place in sorted(self._units)]
        return self._sets(), [self._journal.scores[unit.unit] for unit in units]

    def _begin(self) -> None:
        """Put everything that is ready into its lane."""
        self._explain_stage.enter_context(self._log.stage("explain"))
        if not overlaps(self._resolved):
            self._judged_lane.is_open = self._unjudged_lane.is_open = False
        for control in self._resolved.controls.values():
            if not uses_explanations(control):
                for subject in self._subjects.values():
                    self._control_ready(control, subject)
        for unit in self._planned:
            if unit.unit in self._journal.explanations:
                self._explain_bars.was_done(_EXPLAINING)
                self._explained(unit)
            else:
                self._explain_lane.add(unit.place, unit)
        for subject in self._subjects.values():
            if not subject.records:
                self._subject_explained(subject)
        if not self._unexplained.total():
            self._all_explained()

    def _score_lanes(self) -> tuple[Lane[ScoreUnit], Lane[ScoreUnit]]:
        """Return the lane of the units that ask the judge, and that of the others."""
        fixed = self._resolved.execution.unit_concurrency
        if fixed is not None:
            return Lane(self._score, fixed), Lane(self._score, fixed)
        judge, examples = self._resolved.judge, self._resolved.examples
        asking = {
            name: max(1, calls_per_unit(scorer, examples))
            for name, scorer in self._resolved.scorers.items()
            if _asks(scorer)
        }
        judged = Lane(
            self._score,
            judged_room(judge) if judge is not None else UNASKING,
            load=lambda unit: asking[unit.scorer.name],
            least=2,
        )
        return judged, Lane(self._score, UNASKING)

    async def _explain(self, unit: ExplainUnit) -> None:
        self._explain_bars.open(_EXPLAINING, len(self._planned), "features")
        line = await self._explaining.explain(unit)
        self._journal.add_explanation(line)
        spending = self._resources.spending().get("explainer")
        self._explain_bars.done(_EXPLAINING, spending, failed=line.outcome != "ok")
        if self._resolved.explainer_llm is not None and line.outcome in {"ok", "error"}:
            reason = None if line.outcome == "ok" else line.error or line.outcome
            self._explainer_watch.saw((line.subject, line.feature), reason)
        self._explained(unit)
        if not self._unexplained.total():
            self._all_explained()

    async def _score(self, unit: ScoreUnit) -> None:
        name = unit.scorer.name
        self._begin_scoring()
        self._score_bars.open(f"scoring: {name}", len(self._planned) * (1 + len(self._resolved.controls)), "units")
        line, items = await self._scoring.score(unit)
        self._journal.add_score(line, items)
        judged = _asks(unit.scorer)
        spending = self._resources.spending().get("judge") if judged else None
        self._score_bars.done(f"scoring: {name}", spending, failed=line.status == "error")
        if judged and items:
            self._watch(name).saw((line.subject, line.feature), line.error)

    def _explained(self, unit: ExplainUnit) -> None:
        """Make the scores of an explanation ready, and what waits for the last explanation of its subject."""
        line = self._journal.explanations[unit.unit]
        subject = self._subjects[unit.record.subject]
        self._ready(subject, unit.place[1], 0, line, None)
        self._unexplained[subject.name] -= 1
        if not self._unexplained[subject.name]:
            self._subject_explained(subject)

    def _subject_explained(self, subject: SubjectData) -> None:
        mine = (unit for unit in self._planned if unit.record.subject == subject.name)
        real = [self._journal.explanations[unit.unit] for unit in mine]
        self._lines.setdefault(self._resolved.set_name, {})[subject.name] = real
        for control in self._resolved.controls.values():
            if uses_explanations(control):
                self._control_ready(control, subject, real)

    def _all_explained(self) -> None:
        self._explain_stage.close()
        self._judged_lane.is_open = self._unjudged_lane.is_open = True

    def _control_ready(
        self, control: ResolvedPlugin, subject: SubjectData, real: Sequence[ExplanationLine] = ()
    ) -> None:
        name = self._control_names[control.name]
        lines = control_lines(self._resolved, control, name, subject, real)
        self._journal.add_explanations([line for line in lines if self._journal.explanations.get(line.unit) != line])
        self._lines.setdefault(name, {})[subject.name] = lines
        set_place = 1 + list(self._resolved.controls).index(control.name)
        for place, line in enumerate(lines):
            self._ready(subject, place, set_place, line, control.name)

    def _ready(
        self, subject: SubjectData, place: int, set_place: int, line: ExplanationLine, control: str | None
    ) -> None:
        """Make the scores of one explanation ready: plan order is by scorer, subject, feature, explanation set."""
        for scorer_place, (name, scorer) in enumerate(self._resolved.scorers.items()):
            order = (scorer_place, self._places[subject.name], place, set_place)
            unit = score_unit(scorer, self._protocols[name], subject, subject.records[place], line, control)
            self._units[order] = unit
            if unit.unit in self._journal.scores:
                self._score_bars.was_done(f"scoring: {name}")
            else:
                (self._judged_lane if _asks(scorer) else self._unjudged_lane).add(order, unit)

    def _begin_scoring(self) -> None:
        if not self._score_begun:
            self._score_begun = True
            self._score_stage.enter_context(self._log.stage("score"))

    def _watch(self, scorer: str) -> AnswerWatch:
        if scorer not in self._watches:
            trusted = any(line.scorer == scorer for line in self._journal.scores.values() if line.status == "scored")
            self._watches[scorer] = judge_watch(scorer, features=len(self._planned), trusted=trusted)
        return self._watches[scorer]

    def _sets(self) -> list[ExplanationSet]:
        names = {self._resolved.set_name: None, **{name: key for key, name in self._control_names.items()}}
        return [
            ExplanationSet(
                name, control, tuple(line for subject in self._subjects for line in self._lines[name][subject])
            )
            for name, control in names.items()
        ]


def _asks(scorer: ResolvedPlugin) -> bool:
    """Return whether a scorer asks the judge."""
    return Need.JUDGE in scorer.registered.spec.needs  # type: ignore[attr-defined]  # scorers have ScorerSpecs
