"""What to say of a question that does not fit into a model's context: how long it is, the limit, and the mend."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.llm.diagnosis import Place
    from harness.llm.failures import Failure

__all__ = ["said_too_long"]

_COUNT = re.compile(r"\d{2,}")
_ENDS = " .\u2026"
_IN_PROCESS = frozenset({"local", "transformers", "vllm"})


def said_too_long(
    failure: Failure, place: Place, *, backend: str, expected_tokens: int, context_tokens: int | None
) -> str:
    """Return one line with the numbers as the endpoint gave them, or else as they are known here.

    Args:
        failure: What the endpoint said; its kind is ``context``.
        place: Where it stands in the configuration.
        backend: The role's backend: the context of a model run in this process can be configured.
        expected_tokens: What the prompt and the longest answer are estimated to take.
        context_tokens: What the endpoint takes, None if unknown.
    """
    said = failure.line
    if not _COUNT.search(failure.message):
        limit = "an unknown number" if context_tokens is None else f"{context_tokens:,}"
        said = f"{said.rstrip(_ENDS)}; prompt and answer take about {expected_tokens:,} tokens of {limit}"
    larger = f"a larger {place.key('context_tokens')}" if backend in _IN_PROCESS else "a model with a longer context"
    fewer = "explain_activating" if place.role == "explainer" else "score_activating"
    return f"{said.rstrip(_ENDS)}. Try: a smaller examples.window_tokens or examples.{fewer}, or {larger}"
