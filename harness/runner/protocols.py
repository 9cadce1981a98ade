"""The protocol of every scorer of a run: what must be equal before its scores may be ranked with others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.embedding import embedder_identity
from harness.examples.negative_sources import uses_embedder
from harness.identity import fingerprint, plain
from harness.llm.open import llm_identity
from harness.runner.identity import protocol_fields
from harness.scoring.protocol import Need

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.config.resolve import ResolvedRun

__all__ = ["Protocol", "scorer_protocols"]


@dataclass(frozen=True)
class Protocol:
    """The plain data that must be equal, and its fingerprint."""

    fields: dict[str, Any]
    fingerprint: str


def scorer_protocols(resolved: ResolvedRun, judge_modes: Mapping[str, Any] | None = None) -> dict[str, Protocol]:
    """Return each scorer's protocol by scorer name.

    Args:
        resolved: The run.
        judge_modes: How its judge is really asked (``harness.llm.modes``).
    """
    corpus = _corpus(resolved)
    protocols = {}
    judge, embedder = resolved.judge, resolved.embedder
    chooses = uses_embedder(resolved.examples.negatives)  # then the windows of every scorer depend on the embedder
    for name, scorer in resolved.scorers.items():
        spec: Any = scorer.registered.spec
        fields = protocol_fields(
            resolved,
            scorer,
            corpus=corpus,
            judge=llm_identity(judge, judge_modes) if judge and Need.JUDGE in spec.needs else None,
            embedder=embedder_identity(embedder) if embedder and (chooses or Need.EMBEDDER in spec.needs) else None,
        )
        protocols[name] = Protocol(fields, fingerprint(fields))
    return protocols


def _corpus(resolved: ResolvedRun) -> dict[str, Any]:
    """Return what determines the texts, whatever the tokenizer, so that subjects of different models compare."""
    spec: Any = resolved.corpus.registered.spec
    return {
        "reader": spec.name,
        "version": spec.version,
        "documents": plain(spec.resolve_identity()(resolved.corpus.config)),
        "cutting": plain(resolved.corpus_tokens),
    }
