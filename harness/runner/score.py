"""The score stage: every scorer on every explanation set, feature by feature."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from harness.errors import HarnessError, LLMError
from harness.identity import plain
from harness.results.records import ItemLine, ScoreLine, UsageLine
from harness.runner.failures import describe
from harness.runner.garbage import AnswerWatch, unusable
from harness.runner.identity import score_unit_id
from harness.runner.lines import explanation_of
from harness.runner.notes import progress_note
from harness.runner.pool import run_bounded
from harness.scoring.protocol import Need
from harness.seeding import derive_seed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.config.resolve import ResolvedPlugin, ResolvedRun
    from harness.examples.record import FeatureRecord
    from harness.explainers.protocol import Explanation
    from harness.progress import Progress
    from harness.registry.specs import ScorerSpec
    from harness.results.records import ExplanationLine
    from harness.runner.data import SubjectData
    from harness.runner.explain import ExplanationSet
    from harness.runner.journal import Journal
    from harness.runner.resources import RunResources
    from harness.scoring.protocol import Score, Scorer

__all__ = ["ScoreUnit", "plan_scores", "score"]


@dataclass(frozen=True)
class ScoreUnit:
    """One explanation to be scored by one scorer."""

    unit: str
    protocol: str
    scorer: ResolvedPlugin
    line: ExplanationLine
    explanation: Explanation | None
    control: str | None
    record: FeatureRecord

    @property
    def spec(self) -> ScorerSpec:
        """Return what is registered of the scorer."""
        return cast("ScorerSpec", self.scorer.registered.spec)


def plan_scores(
    resolved: ResolvedRun,
    subjects: Mapping[str, SubjectData],
    sets: Sequence[ExplanationSet],
    protocols: Mapping[str, str],
) -> list[ScoreUnit]:
    """Return the score units of a run in plan order: by scorer, subject, feature, explanation set.

    Units that share the longest part of their prompts (the scorer's instructions, then the explanation) so follow one
    another, which is what a judge's prefix cache lives on.

    Args:
        resolved: The run.
        subjects: Its subjects with their records.
        sets: The real set and the controls.
        protocols: Fingerprint of each scorer's protocol, by scorer name.
    """
    lines = {(line.subject, line.feature, s.name): line for s in sets for line in s.lines}
    return [
        _unit(scorer, protocols[name], subject, record, lines[record.subject, record.feature, explanations.name],
              explanations.control)
        for name, scorer in resolved.scorers.items()
        for subject in subjects.values()
        for record in subject.records
        for explanations in sets
    ]  # fmt: skip


async def score(
    resolved: ResolvedRun,
    subjects: Mapping[str, SubjectData],
    units: Sequence[ScoreUnit],
    resources: RunResources,
    journal: Journal,
    progress: Progress,
) -> None:
    """Score what is missing. A unit that fails is recorded with its error and does not stop the others.

    Raises:
        LLMError: If the judge cannot be used at all; what was scored stays.
    """
    for name, plugin in resolved.scorers.items():
        mine = [unit for unit in units if unit.scorer.name == name]
        missing = [unit for unit in mine if unit.unit not in journal.scores]
        if not missing:
            continue
        scorer: Scorer = plugin.registered.spec.resolve_factory()(plugin.config)
        with progress.task(f"scoring: {name}", len(mine), "units") as bar:
            bar.advance(len(mine) - len(missing))
            failed = 0
            watch = AnswerWatch(name, trusted=any(line.scorer == name for line in journal.scores.values()))

            async def work(unit: ScoreUnit, scorer: Scorer = scorer, watch: AnswerWatch = watch) -> None:
                nonlocal failed
                line, items = await _score_unit(resolved, subjects, unit, scorer, resources)
                journal.add_score(line, items)
                failed += line.status == "error"
                if Need.JUDGE in unit.spec.needs and items:
                    watch.saw((line.subject, line.feature), line.error)
                bar.advance(1, note=progress_note(failed, resources.spending().get("judge")))

            await run_bounded(missing, work, resolved.execution.unit_concurrency or 4)


def _unit(
    scorer: ResolvedPlugin,
    protocol: str,
    subject: SubjectData,
    record: FeatureRecord,
    line: ExplanationLine,
    control: str | None,
) -> ScoreUnit:
    explanation = explanation_of(line)
    unit = score_unit_id(
        subject=subject.name,
        activations=subject.activations,
        feature=record.feature,
        examples=subject.examples,
        set_name=line.explanation_set,
        explanation=explanation.digest if explanation else None,
        protocol=protocol,
    )
    return ScoreUnit(unit, protocol, scorer, line, explanation, control, record)


async def _score_unit(
    resolved: ResolvedRun,
    subjects: Mapping[str, SubjectData],
    unit: ScoreUnit,
    scorer: Scorer,
    resources: RunResources,
) -> tuple[ScoreLine, list[ItemLine]]:
    if unit.explanation is None:
        why = unit.line.error or f"no explanation: {unit.line.outcome}"
        return _line(unit, scorer, status="no_explanation", error=why), []
    record = unit.record
    seed = derive_seed(resolved.seed, "score", unit.scorer.registered.spec.name, record.subject, record.feature)
    given = await resources.for_scorer(unit.scorer, subjects[record.subject].plugin, seed)
    try:
        result = await scorer.score(record.for_scoring(), unit.explanation, given)
        reason = unusable(result, resolved.execution.max_failed_share)
        line = _line(unit, scorer, status="error" if reason else "scored", result=result, error=reason)
    except LLMError:
        raise
    except HarnessError as error:
        return _line(unit, scorer, status="error", error=str(error)), []
    except Exception as error:  # noqa: BLE001  -- a plugin's defect fails its unit, is recorded there, and no other
        return _line(unit, scorer, status="error", error=describe(error)), []
    return line, _items(unit, result)


def _line(
    unit: ScoreUnit, scorer: Scorer, *, status: str, result: Score | None = None, error: str | None = None
) -> ScoreLine:
    spec = unit.spec
    measured: dict[str, Any] = {}
    if result is not None:
        measured = {
            "metrics": plain(result.metrics),
            "reasons": plain(result.reasons),
            "breakdown": plain(result.breakdown),
            "coverage": dict(sorted(Counter(item.outcome.value for item in result.items).items())),
            "usage": UsageLine(**plain(result.usage)),
        }
    return ScoreLine(
        unit=unit.unit,
        protocol=unit.protocol,
        subject=unit.record.subject,
        feature=unit.record.feature,
        explanation_set=unit.line.explanation_set,
        control=unit.control,
        explanation_digest=unit.explanation.digest if unit.explanation else None,
        scorer=unit.scorer.name,
        scorer_plugin=spec.name,
        scorer_version=spec.version,
        primary_metric=scorer.primary_metric,
        status=status,
        error=error,
        **measured,
    )


def _items(unit: ScoreUnit, result: Score) -> list[ItemLine]:
    return [
        ItemLine(
            unit=unit.unit,
            subject=unit.record.subject,
            feature=unit.record.feature,
            explanation_set=unit.line.explanation_set,
            scorer=unit.scorer.name,
            **plain(item),
        )
        for item in result.items
    ]
