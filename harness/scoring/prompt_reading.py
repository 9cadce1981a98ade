"""Reading a judge's log-probabilities of a prompt: who can be asked for them, and which belong to a part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import LLMError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.llm.protocol import LLM
    from harness.llm.readings import PlacedToken

__all__ = ["check_prompt_logprobs", "same_cut", "tokens_within"]


def check_prompt_logprobs(judge: LLM, where: str, otherwise: str | None = None) -> None:
    """Check that ``judge``, which was started, reports log-probabilities of prompt tokens.

    Args:
        judge: Who would be asked.
        where: The config key that asks for them.
        otherwise: What else the user can do, besides another judge.

    Raises:
        LLMError: If it does not; no question could be answered, so the run ends before anything is asked.
    """
    if judge.capabilities.prompt_logprobs:
        return
    what = "it reads the log-probabilities of prompt tokens, and this judge reports none"
    hint = "judge=transformers or judge=vllm, or a server that echoes them and judge.prompt_logprobs=true"
    raise LLMError(what, where=where, hint=f"{otherwise}; {hint}" if otherwise else hint)


def tokens_within(placed: Sequence[PlacedToken], start: int, end: int) -> tuple[PlacedToken, ...]:
    """Return the tokens that hold characters of the text from ``start`` up to ``end``, in whole or in part."""
    return tuple(one for one in placed if one.start < end and one.end > start)


def same_cut(first: Sequence[PlacedToken], second: Sequence[PlacedToken]) -> bool:
    """Return whether two runs of tokens cut their text alike, counted from their ends."""
    return _cut(first) == _cut(second)


def _cut(placed: Sequence[PlacedToken]) -> list[tuple[int, int]]:
    end = placed[-1].end if placed else 0
    return [(end - one.start, end - one.end) for one in placed]
