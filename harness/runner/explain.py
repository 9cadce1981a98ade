"""The explain stage: the real explanation set, then the control sets made beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, LLMError
from harness.explainers.protocol import Draft, ExplainerResources, Provenance
from harness.identity import fingerprint, plain
from harness.llm.open import llm_identity
from harness.outcome import Outcome
from harness.runner.failures import describe
from harness.runner.identity import control_set_name, explain_unit_id, plugin_identity
from harness.runner.lines import explanation_line, explanation_of
from harness.runner.notes import progress_note
from harness.runner.pool import run_bounded
from harness.seeding import derive_seed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.config.resolve import ResolvedPlugin, ResolvedRun
    from harness.examples.record import FeatureRecord
    from harness.explainers.protocol import Explainer
    from harness.progress import Progress
    from harness.results.records import ExplanationLine
    from harness.runner.data import SubjectData
    from harness.runner.journal import Journal
    from harness.runner.resources import RunResources

__all__ = ["ExplainUnit", "ExplanationSet", "build_controls", "explain", "plan_explanations"]


@dataclass(frozen=True)
class ExplainUnit:
    """One explanation to be written."""

    unit: str
    record: FeatureRecord


@dataclass(frozen=True)
class ExplanationSet:
    """All explanations of a run under one name, as lines in plan order. ``control`` is None for the real set."""

    name: str
    control: str | None
    lines: tuple[ExplanationLine, ...]


def plan_explanations(resolved: ResolvedRun, subjects: Mapping[str, SubjectData]) -> list[ExplainUnit]:
    """Return the explain units of a run in plan order: by subject, then feature."""
    explainer = _explainer_identity(resolved)
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
        )
        for subject in subjects.values()
        for record in subject.records
    ]


async def explain(
    resolved: ResolvedRun, units: list[ExplainUnit], resources: RunResources, journal: Journal, progress: Progress
) -> ExplanationSet:
    """Write the explanations that are missing and return the whole set.

    Raises:
        LLMError: If the explainer's endpoint cannot be used at all; what was written stays.
    """
    missing = [unit for unit in units if unit.unit not in journal.explanations]
    if missing:
        explainer: Explainer = resolved.explainer.registered.spec.resolve_factory()(resolved.explainer.config)
        llm = await resources.explainer_llm()
        with progress.task("explaining", len(units), "features") as bar:
            bar.advance(len(units) - len(missing))
            failed = 0

            async def work(unit: ExplainUnit) -> None:
                nonlocal failed
                record = unit.record
                seed = derive_seed(resolved.seed, "explain", record.subject, record.feature)
                draft = await _draft(explainer, record, ExplainerResources(seed=seed, llm=llm))
                model = dict(llm.identity) if llm else None
                provenance = _provenance(resolved.explainer, draft, model)
                journal.add_explanation(explanation_line(unit.unit, record, resolved.set_name, draft, provenance))
                failed += draft.outcome is not Outcome.OK
                bar.advance(1, note=progress_note(failed, resources.spending().get("explainer")))

            await run_bounded(missing, work, resolved.execution.unit_concurrency or 4)
    return ExplanationSet(resolved.set_name, None, tuple(journal.explanations[unit.unit] for unit in units))


def build_controls(
    resolved: ResolvedRun, subjects: Mapping[str, SubjectData], real: ExplanationSet, journal: Journal
) -> list[ExplanationSet]:
    """Return the control sets, built from the records and the real explanations; they are cheap and always rebuilt."""
    sets: list[ExplanationSet] = []
    for control in resolved.controls.values():
        name = control_set_name(control, real.name)
        lines = [
            line for subject in subjects.values() for line in _control_lines(resolved, control, name, subject, real)
        ]
        for line in lines:
            if journal.explanations.get(line.unit) != line:
                journal.add_explanation(line)
        sets.append(ExplanationSet(name, control.name, tuple(lines)))
    return sets


def _control_lines(
    resolved: ResolvedRun, control: ResolvedPlugin, name: str, subject: SubjectData, real: ExplanationSet
) -> list[ExplanationLine]:
    spec: Any = control.registered.spec
    mine = (explanation_of(line) for line in real.lines if line.subject == subject.name)
    explanations = {explanation.feature: explanation for explanation in mine if explanation is not None}
    seed = derive_seed(resolved.seed, "control", control.name, subject.name)
    records = [record.for_explaining() for record in subject.records]
    drafts = spec.resolve_factory()(control.config).build(records, explanations, seed)
    made_from: dict[str, Any] = {"set": name, "control": plugin_identity(control)}
    if spec.uses_explanations:
        made_from["explanations"] = fingerprint({str(key): value.text for key, value in explanations.items()})
    lines = []
    for record in subject.records:
        unit = explain_unit_id(
            subject=subject.name,
            activations=subject.activations,
            feature=record.feature,
            examples=subject.examples,
            explainer=made_from,
            seed=resolved.seed,
        )
        draft = drafts[record.feature]
        lines.append(explanation_line(unit, record, name, draft, _provenance(control, draft, None)))
    return lines


async def _draft(explainer: Explainer, record: FeatureRecord, resources: ExplainerResources) -> Draft:
    try:
        return await explainer.explain(record.for_explaining(), resources)
    except LLMError:
        raise
    except HarnessError as error:
        return Draft(None, Outcome.ERROR, error=str(error))
    except Exception as error:  # noqa: BLE001  -- a plugin's defect fails its unit, is recorded there, and no other
        return Draft(None, Outcome.ERROR, error=describe(error))


def _explainer_identity(resolved: ResolvedRun) -> dict[str, Any]:
    identity = plugin_identity(resolved.explainer)
    spec: Any = resolved.explainer.registered.spec
    source = spec.resolve_identity()
    identity["source"] = plain(source(resolved.explainer.config)) if source else None
    llm = resolved.explainer_llm
    identity["llm"] = plain(llm_identity(llm)) if llm is not None else None
    return identity


def _provenance(plugin: ResolvedPlugin, draft: Draft, model: dict[str, Any] | None) -> Provenance:
    spec = plugin.registered.spec
    return Provenance(spec.name, spec.version, model, draft.prompt_sha256, draft.source_feature, draft.origin)
