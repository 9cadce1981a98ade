"""The control sets made beside the real one: cheap, and always rebuilt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.identity import fingerprint
from harness.runner.identity import explain_unit_id, plugin_identity
from harness.runner.lines import explanation_line, explanation_of, provenance
from harness.seeding import derive_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.config.resolve import ResolvedPlugin, ResolvedRun
    from harness.results.records import ExplanationLine
    from harness.runner.data import SubjectData

__all__ = ["control_lines", "uses_explanations"]


def uses_explanations(control: ResolvedPlugin) -> bool:
    """Return whether a control is made from the real explanations, and has to wait for them."""
    spec: Any = control.registered.spec
    return bool(spec.uses_explanations)


def control_lines(
    resolved: ResolvedRun,
    control: ResolvedPlugin,
    set_name: str,
    subject: SubjectData,
    real: Sequence[ExplanationLine] = (),
) -> list[ExplanationLine]:
    """Return a control's explanations of one subject, in plan order.

    Args:
        resolved: The run.
        control: The control.
        set_name: Name of its explanation set.
        subject: The subject.
        real: The subject's real explanations, all of them; only a control that uses them is shown any.
    """
    spec: Any = control.registered.spec
    shown = (explanation_of(line) for line in real) if spec.uses_explanations else ()
    explanations = {explanation.feature: explanation for explanation in shown if explanation is not None}
    seed = derive_seed(resolved.seed, "control", control.name, subject.name)
    records = [record.for_explaining() for record in subject.records]
    drafts = spec.resolve_factory()(control.config).build(records, explanations, seed)
    made_from: dict[str, Any] = {"set": set_name, "control": plugin_identity(control)}
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
        lines.append(explanation_line(unit, record, set_name, draft, provenance(control, draft, None)))
    return lines
