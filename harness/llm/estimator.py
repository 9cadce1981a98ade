"""How many tokens a request will take, before the endpoint has counted them; learns from what it counted before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.identity import plain
from harness.llm.protocol import PromptLogprobsRequest

if TYPE_CHECKING:
    from harness.llm.protocol import CompletionRequest

__all__ = ["TokenEstimator", "request_bytes"]

_TYPICAL = 0.25  # tokens per byte of English
_TEMPLATE_TOKENS = 64  # what a chat template adds, generously


class TokenEstimator:
    """Input tokens per byte of prompt at one endpoint: the usual number, and one that is not passed."""

    def __init__(self) -> None:
        self._bytes = 0
        self._tokens = 0

    def expected(self, size: int) -> int:
        """Return the tokens a prompt of ``size`` bytes probably has, by what was counted so far."""
        return round(size * (self._tokens / self._bytes if self._bytes else _TYPICAL))

    def at_most(self, size: int) -> int:
        """Return the tokens a prompt of ``size`` bytes will not pass.

        No tokenizer in use makes more tokens than there are bytes. What was counted before bounds nothing: a prompt of
        digits or of Chinese has several times the tokens of one of English.
        """
        return size + _TEMPLATE_TOKENS

    def learn(self, size: int, tokens: int | None) -> None:
        """Note that a prompt of ``size`` bytes was counted as ``tokens``."""
        if tokens and size:
            self._bytes += size
            self._tokens += tokens


def request_bytes(request: CompletionRequest | PromptLogprobsRequest) -> int:
    """Return the size of all that a request has the model read, in bytes of UTF-8; a schema counts as its JSON."""
    if isinstance(request, PromptLogprobsRequest):
        texts = [request.prompt]
    else:
        texts = [message.content for message in request.messages]
        if request.response_schema is not None:
            texts.append(json.dumps(plain(dict(request.response_schema))))
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
