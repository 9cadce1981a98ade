"""Explaining: the units of the real explanation set, and how one is done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.explainers.protocol import Draft, ExplainerResources
from harness.identity import plain
from harness.llm.metered import MeteredLLM, usage_of
from harness.llm.open import llm_identity
from harness.outcome import Outcome
from harness.runner.failures import describe, ends_run
from harness.runner.identity import explain_unit_id, plugin_identity
from harness.runner.lines import explanation_line, provenance
from harness.seeding import derive_seed
from harness.subjects.identity import DIRECTIONS_VERSION
from harness.subjects.told_tokens import TOLD_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.config.resolve import ResolvedRun
    from harness.examples.record import FeatureRecord
    from harness.explainers.protocol import Explainer
    from harness.results.records import ExplanationLine
    from harness.runner.data import SubjectData
    from harness.runner.resources import RunResources

__all__ = ["ExplainUnit", "Explaining", "ExplanationSet", "plan_explanations"]


@dataclass(frozen=True)
class ExplainUnit:
    """One explanation to be written. ``place`` is its subject's and its feature's place in the plan."""

    unit: str
    record: FeatureRecord
    place: tuple[int, int]


@dataclass(frozen=True)
class ExplanationSet:
    """All explanations of a run under one name, as lines in plan order. ``control`` is None for the real set."""

    name: str
    control: str | None
    lines: tuple[ExplanationLine, ...]


def plan_explanations(
    resolved: ResolvedRun, subjects: Mapping[str, SubjectData], llm_modes: Mapping[str, Any] | None = None
) -> list[ExplainUnit]:
    """Return the explain units of a run in plan order: by subject, then feature.

    Args:
        resolved: The run.
        subjects: Its subjects with their records.
        llm_modes: How the explainer's language model is really asked (``harness.llm.modes``).
    """
    explainer = _explainer_identity(resolved, llm_modes)
    return [
        ExplainUnit(
            explain_unit_id(
                subject=subject.name,
                activations=subject.activations,
                feature=record.feature,
                examples=subject.examples,
                explainer=explainer,
                seed=resolved.seed,
            ),
            record,
            (subject_place, feature_place),
        )
        for subject_place, subject in enumerate(subjects.values())
        for feature_place, record in enumerate(subject.records)
    ]


class Explaining:
    """Writes explanations one by one; the explainer is made when the first is wanted."""

    def __init__(self, resolved: ResolvedRun, resources: RunResources) -> None:
        self._resolved = resolved
        self._resources = resources
        self._explainer: Explainer | None = None

    async def explain(self, unit: ExplainUnit) -> ExplanationLine:
        """Return the explanation of a unit, or why there is none.

        Raises:
            UserError: If no other explanation could be had either (see ``harness.runner.failures.ends_run``).
        """
        resolved, record = self._resolved, unit.record
        llm = await self._resources.explainer_llm()
        if self._explainer is None:
            self._explainer = resolved.explainer.registered.spec.resolve_factory()(resolved.explainer.config)
        seed = derive_seed(resolved.seed, "explain", record.subject, record.feature)
        draft = await _draft(self._explainer, record, ExplainerResources(seed=seed, llm=llm))
        model = {**llm.identity, **llm.modes} if llm else None
        by = provenance(resolved.explainer, draft, model)
        return explanation_line(unit.unit, record, resolved.set_name, draft, by)


async def _draft(explainer: Explainer, record: FeatureRecord, resources: ExplainerResources) -> Draft:
    meter = None if resources.llm is None else MeteredLLM(resources.llm)
    try:
        return await explainer.explain(record.for_explaining(), replace(resources, llm=meter))
    except HarnessError as error:
        if ends_run(error):
            raise
        why = str(error)
    except Exception as error:  # noqa: BLE001  -- a plugin's defect fails its unit, is recorded there, and no other
        why = describe(error)
    return Draft(None, Outcome.ERROR, usage=usage_of(meter), error=why)


def _explainer_identity(resolved: ResolvedRun, modes: Mapping[str, Any] | None) -> dict[str, Any]:
    identity = plugin_identity(resolved.explainer)
    spec: Any = resolved.explainer.registered.spec
    source = spec.resolve_identity()
    identity["source"] = plain(source(resolved.explainer.config)) if source else None
    llm = resolved.explainer_llm
    identity["llm"] = plain(llm_identity(llm, modes)) if llm is not None else None
    if getattr(resolved.explainer.config, "logit_weights", False):
        identity["directions"] = DIRECTIONS_VERSION
        identity["told"] = TOLD_VERSION
    return identity
