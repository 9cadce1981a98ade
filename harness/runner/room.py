"""How many units are under way at once, and whether scoring waits for explaining."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from harness.scoring.protocol import ExampleShape

if TYPE_CHECKING:
    from harness.config.resolve import ResolvedPlugin, ResolvedRun
    from harness.config.schema import ExamplesConfig, LLMConfig

__all__ = ["calls_per_unit", "explain_room", "judged_room", "overlaps"]

UNASKING = 2
"""Units at once of a stage that asks no language model: one computes while another waits for the disk."""

_IN_PROCESS = frozenset({"local", "transformers", "vllm"})
_AHEAD = 1.5
"""Questions waiting for each that an endpoint may have in flight, so that it never waits for us."""


def overlaps(resolved: ResolvedRun) -> bool:
    """Return whether features are scored while others are explained.

    Unless configured they are, except where explainer and judge are one model in this process: it has one pair of
    hands, and the two roles would only push each other's prompt prefixes out of its memory.
    """
    if resolved.execution.overlap is not None:
        return resolved.execution.overlap
    explainer, judge = resolved.explainer_llm, resolved.judge
    return explainer is None or judge is None or not _one_model_of_this_process(explainer, judge)


def explain_room(resolved: ResolvedRun) -> int:
    """Return how many explanations are written at once: one question each, so as many as the explainer may be asked."""
    if resolved.execution.unit_concurrency is not None:
        return resolved.execution.unit_concurrency
    return UNASKING if resolved.explainer_llm is None else resolved.explainer_llm.concurrency


def judged_room(judge: LLMConfig) -> int:
    """Return up to how many questions of units under way further units are started."""
    return math.ceil(_AHEAD * judge.concurrency)


def calls_per_unit(scorer: ResolvedPlugin, examples: ExamplesConfig) -> int:
    """Return how many questions a scorer expects to ask of one unit."""
    made: Any = scorer.registered.spec.resolve_factory()(scorer.config)
    shape = ExampleShape(examples.score_activating, examples.score_non_activating, examples.window_tokens)
    return int(made.estimate(shape).calls)


def _one_model_of_this_process(one: LLMConfig, other: LLMConfig) -> bool:
    if one.backend not in _IN_PROCESS or one.backend != other.backend:
        return False
    return (one.path or one.model, one.revision) == (other.path or other.model, other.revision)
