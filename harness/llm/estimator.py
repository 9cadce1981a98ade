"""How many tokens a request will take, before the endpoint has counted them; learns from what it counted before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.llm.protocol import PromptLogprobsRequest

if TYPE_CHECKING:
    from harness.llm.protocol import CompletionRequest

__all__ = ["TokenEstimator", "request_bytes"]

_TYPICAL = 0.25  # tokens per byte of English
_TEMPLATE_TOKENS = 64  # what a chat template adds, generously
_SAFETY = 1.25


class TokenEstimator:
    """Input tokens per byte of prompt at one endpoint: the usual number, and one that is not passed.

    Before anything was counted, a prompt is taken to have no more tokens than bytes, which holds for every byte-level
    tokenizer; afterwards a quarter more per byte than was ever counted.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self._tokens = 0
        self._densest: float | None = None

    def expected(self, size: int) -> int:
        """Return the tokens a prompt of ``size`` bytes probably has."""
        return round(size * (self._tokens / self._bytes if self._bytes else _TYPICAL))

    def at_most(self, size: int) -> int:
        """Return the tokens a prompt of ``size`` bytes will not pass."""
        if self._densest is None:
            return size + _TEMPLATE_TOKENS
        return round(size * min(1.0, self._densest * _SAFETY)) + _TEMPLATE_TOKENS

    def learn(self, size: int, tokens: int | None) -> None:
        """Note that a prompt of ``size`` bytes was counted as ``tokens``."""
        if tokens and size:
            self._bytes += size
            self._tokens += tokens
            self._densest = max(self._densest or 0.0, (tokens - _TEMPLATE_TOKENS) / size, _TYPICAL / 2)


def request_bytes(request: CompletionRequest | PromptLogprobsRequest) -> int:
    """Return the size of a request's prompt in bytes of UTF-8."""
    if isinstance(request, PromptLogprobsRequest):
        texts = [request.prompt]
    else:
        texts = [message.content for message in request.messages]
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
