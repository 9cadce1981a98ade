"""Between what plugins return and what is written: explanations to lines and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.explainers.protocol import Draft, Explanation, Provenance
from harness.identity import plain
from harness.results.records import ExplanationLine, UsageLine
from harness.text import part_shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.config.resolve import ResolvedPlugin
    from harness.examples.record import FeatureRecord

__all__ = ["explanation_line", "explanation_of", "provenance"]


def explanation_line(
    unit: str, record: FeatureRecord, set_name: str, draft: Draft, provenance: Provenance
) -> ExplanationLine:
    """Return the line that records ``draft`` as an explanation of ``record``'s feature in the set ``set_name``."""
    return ExplanationLine(
        unit=unit,
        subject=record.subject,
        feature=record.feature,
        explanation_set=set_name,
        text=draft.text,
        outcome=draft.outcome.value,
        explainer=provenance.explainer,
        explainer_version=provenance.version,
        model=plain(provenance.model),
        prompt_sha256=provenance.prompt_sha256,
        source_feature=provenance.source_feature,
        origin=provenance.origin,
        reply=draft.reply,
        error=draft.error,
        characters_read=_read_of(draft.text),
        usage=UsageLine(**plain(draft.usage)),
    )


def _read_of(text: str | None) -> int | None:
    """Return how many characters of a text are read, None if all are."""
    if text is None:
        return None
    shown = part_shown(text)
    return None if shown == text else len(shown) - 1  # the ellipsis is none of it


def explanation_of(line: ExplanationLine) -> Explanation | None:
    """Return the explanation a line records, or None if the line records why there is none."""
    if line.text is None:
        return None
    provenance = Provenance(
        line.explainer, line.explainer_version, line.model, line.prompt_sha256, line.source_feature, line.origin
    )
    return Explanation(line.subject, line.feature, line.explanation_set, line.text, provenance)


def provenance(plugin: ResolvedPlugin, draft: Draft, model: Mapping[str, Any] | None) -> Provenance:
    """Return who wrote ``draft``: an explainer with its language model, or a control."""
    spec = plugin.registered.spec
    return Provenance(spec.name, spec.version, model, draft.prompt_sha256, draft.source_feature, draft.origin)
