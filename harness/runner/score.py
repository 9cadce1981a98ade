"""Scoring: one unit is one scorer on one explanation of one feature."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from harness.errors import HarnessError
from harness.identity import plain
from harness.llm.metered import MeteredLLM, usage_of
from harness.results.records import ItemLine, OriginLine, ScoreLine, UsageLine
from harness.runner.failures import describe, ends_run
from harness.runner.garbage import unusable
from harness.runner.identity import score_unit_id
from harness.runner.lines import explanation_of
from harness.seeding import derive_seed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.config.resolve import ResolvedPlugin, ResolvedRun
    from harness.examples.record import FeatureRecord
    from harness.explainers.protocol import Explanation
    from harness.outcome import Usage
    from harness.registry.specs import ScorerSpec
    from harness.results.records import ExplanationLine
    from harness.runner.data import SubjectData
    from harness.runner.resources import RunResources
    from harness.scoring.protocol import Score, Scorer

__all__ = ["ScoreUnit", "Scoring", "score_unit"]


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


def score_unit(
    scorer: ResolvedPlugin,
    protocol: str,
    subject: SubjectData,
    record: FeatureRecord,
    line: ExplanationLine,
    control: str | None,
) -> ScoreUnit:
    """Return the unit of one scorer on the explanation that ``line`` records.

    Args:
        scorer: The scorer.
        protocol: Fingerprint of its protocol.
        subject: The subject.
        record: The feature.
        line: Its explanation, or why there is none.
        control: Name of the control the explanation is of, None for the real set.
    """
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


class Scoring:
    """Scores unit by unit; each scorer is made when its first unit is."""

    def __init__(self, resolved: ResolvedRun, subjects: Mapping[str, SubjectData], resources: RunResources) -> None:
        self._resolved = resolved
        self._subjects = subjects
        self._resources = resources
        self._scorers: dict[str, Scorer] = {}

    async def score(self, unit: ScoreUnit) -> tuple[ScoreLine, list[ItemLine]]:
        """Return the score of a unit, or why there is none, and its evidence.

        Raises:
            UserError: If no other unit could be scored either (see ``harness.runner.failures.ends_run``).
        """
        resolved, record = self._resolved, unit.record
        scorer = self._scorer(unit.scorer)
        if unit.explanation is None:
            why = unit.line.error or f"no explanation: {unit.line.outcome}"
            return _line(unit, scorer, status="no_explanation", error=why), []
        seed = derive_seed(resolved.seed, "score", unit.scorer.registered.spec.name, record.subject, record.feature)
        given = await self._resources.for_scorer(unit.scorer, self._subjects[record.subject].plugin, seed)
        meter = None if given.judge is None else MeteredLLM(given.judge)
        given = replace(given, judge=meter)
        try:
            result = await scorer.score(record.for_scoring(), unit.explanation, given)
            reason = unusable(result, resolved.execution.max_failed_share)
            line = _line(unit, scorer, status="error" if reason else "scored", result=result, error=reason)
        except HarnessError as error:
            if ends_run(error):
                raise
            return _line(unit, scorer, status="error", error=str(error), taken=usage_of(meter)), []
        except Exception as error:  # noqa: BLE001  -- a plugin's defect fails its unit, is recorded there, and no other
            return _line(unit, scorer, status="error", error=describe(error), taken=usage_of(meter)), []
        return line, _items(unit, result)

    def _scorer(self, plugin: ResolvedPlugin) -> Scorer:
        if plugin.name not in self._scorers:
            self._scorers[plugin.name] = plugin.registered.spec.resolve_factory()(plugin.config)
        return self._scorers[plugin.name]


def _line(
    unit: ScoreUnit,
    scorer: Scorer,
    *,
    status: str,
    result: Score | None = None,
    error: str | None = None,
    taken: Usage | None = None,
) -> ScoreLine:
    spec = unit.spec
    measured: dict[str, Any] = {} if taken is None else {"usage": UsageLine(**plain(taken))}
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
    origins = {example.key: example.origin for example in unit.record.score.non_activating if example.origin}
    return [
        ItemLine(
            unit=unit.unit,
            subject=unit.record.subject,
            feature=unit.record.feature,
            explanation_set=unit.line.explanation_set,
            scorer=unit.scorer.name,
            **plain(item),
            origin=OriginLine(**plain(origins[item.key])) if item.key in origins else None,
        )
        for item in result.items
    ]
