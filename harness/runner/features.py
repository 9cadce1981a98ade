"""features.jsonl: every feature that was looked at, used or passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.examples.negative_sources import found_of
from harness.identity import plain
from harness.results.records import FeatureLine, SamplingLine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.examples.record import FeatureRecord, SkippedFeature
    from harness.runner.data import SubjectData

__all__ = ["feature_lines"]

_FACTS = ("n_active", "positional_mi", "positional_share", "token_share", "previous_share", "unigram_share")


def feature_lines(subjects: Mapping[str, SubjectData]) -> list[FeatureLine]:
    """Return one line per feature looked at: per subject the used ones, then the skipped ones with their reason."""
    lines = []
    for subject in subjects.values():
        sources = tuple(subject.facts.get("negatives", ()))
        lines += [_used(record, sources) for record in subject.records]
        lines += [_skipped(feature) for feature in subject.skipped]
    return lines


def _used(record: FeatureRecord, sources: Sequence[str]) -> FeatureLine:
    """Return the line of a used feature; ``sources`` are those of its negatives, none if all are random."""
    statistics = record.statistics
    return FeatureLine(
        subject=record.subject,
        feature=record.feature,
        status="used",
        density=statistics.density,
        max_activation=statistics.max_activation,
        n_activating_windows=statistics.n_activating_windows,
        top_tokens=[token for token, _ in statistics.top_tokens],
        examples_protocol=record.protocol,
        sampling=None if statistics.sampling is None else SamplingLine(**plain(statistics.sampling)),
        negatives={source: found_of([record], source)[0] for source in sources} or None,
        **_facts(record),
    )


def _facts(record: FeatureRecord) -> dict[str, Any]:
    """Return the facts of the whole corpus that a line carries. Tokens are not among them."""
    if record.facts is None:
        return {}
    return {**{name: getattr(record.facts, name) for name in _FACTS}, "flags": list(record.facts.flags)}


def _skipped(feature: SkippedFeature) -> FeatureLine:
    return FeatureLine(
        subject=feature.subject,
        feature=feature.feature,
        status="skipped",
        reason=feature.reason,
        detail=feature.detail,
    )
