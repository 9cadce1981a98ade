"""How an answer is written down in the cache: one JSON text. Never a pickle."""

from __future__ import annotations

import json
from typing import Any

from harness.llm.backend import Reply
from harness.llm.protocol import TokenAlternatives
from harness.outcome import Outcome

__all__ = ["decode_reply", "encode_reply"]


def encode_reply(reply: Reply) -> str:
    """Return ``reply`` as one JSON text (ASCII, so that any text survives)."""
    fields: dict[str, Any] = {
        "text": reply.text,
        "finish_reason": reply.finish_reason,
        "input_tokens": reply.input_tokens,
        "output_tokens": reply.output_tokens,
        "logprobs": reply.logprobs and [[item.token, item.logprob, dict(item.alternatives)] for item in reply.logprobs],
    }
    # Only what is no answer says so: the field is how the cache tells the two apart, in files of any layout.
    if reply.outcome is not Outcome.OK:
        fields |= {"outcome": reply.outcome.value, "error": reply.error, "answered": reply.answered}
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)


def decode_reply(text: str) -> Reply:
    """Return the reply that ``encode_reply`` wrote.

    Raises:
        ValueError, KeyError, TypeError: If it did not write this.
    """
    fields: dict[str, Any] = json.loads(text)
    logprobs = fields.pop("logprobs")
    tokens = None if logprobs is None else tuple(TokenAlternatives(*item) for item in logprobs)
    return Reply(Outcome(fields.pop("outcome", Outcome.OK)), logprobs=tokens, **fields)
