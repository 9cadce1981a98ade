"""What an engine in this process generated, judged by the same rule as what a server sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.llm.backend import Reply
from harness.llm.failures import AttemptError, Failure, FailureKind
from harness.llm.reply import parse_chat
from harness.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.llm.protocol import TokenAlternatives

__all__ = ["Generated", "prompt_reply", "room_for_answer"]


@dataclass(frozen=True, slots=True)
class Generated:
    """One answer of an engine.

    Attributes:
        text: The answer.
        finish: ``stop`` or ``length``.
        tokens: Its tokens with log-probabilities, empty if none were asked for.
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens generated.
        cached_input_tokens: Prompt tokens whose keys and values were had from another prompt.
    """

    text: str
    finish: str
    tokens: tuple[TokenAlternatives, ...]
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int

    def reply(self, *, short_answer: bool) -> Reply:
        """Return it as a reply; ``short_answer`` as in ``harness.llm.reply.parse_chat``."""
        return parse_chat(self._body(), short_answer=short_answer)

    def _body(self) -> dict[str, Any]:
        content = [
            {
                "token": token.token,
                "logprob": token.logprob,
                "top_logprobs": [{"token": text, "logprob": value} for text, value in token.alternatives.items()],
            }
            for token in self.tokens
        ]
        usage = {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_input_tokens},
        }
        message = {"role": "assistant", "content": self.text}
        choice = {"message": message, "finish_reason": self.finish, "logprobs": {"content": content}}
        return {"choices": [choice], "usage": usage}


def prompt_reply(tokens: Sequence[TokenAlternatives], cached_input_tokens: int) -> Reply:
    """Return the reply for a prompt whose tokens were scored."""
    return Reply(
        Outcome.OK,
        logprobs=tuple(tokens),
        finish_reason="length",
        input_tokens=len(tokens),
        output_tokens=0,
        cached_input_tokens=cached_input_tokens,
    )


def room_for_answer(prompt_tokens: int, wanted: int, context_tokens: int) -> int:
    """Return how many tokens an answer may have in what the prompt leaves of the context.

    Raises:
        AttemptError: If the prompt leaves nothing (kind ``context``), or has no tokens (kind ``bad_request``).
    """
    if not prompt_tokens:
        raise AttemptError(Failure(FailureKind.BAD_REQUEST, "the prompt has no tokens"))
    if prompt_tokens + min(wanted, 1) > context_tokens:
        what = f"the prompt has {prompt_tokens} tokens and the model's context holds {context_tokens}"
        raise AttemptError(Failure(FailureKind.CONTEXT, what))
    return min(wanted, context_tokens - prompt_tokens)
