"""Counts what a role spends."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.llm.protocol import Spending
from harness.outcome import Usage

if TYPE_CHECKING:
    from harness.llm.backend import Reply
    from harness.llm.price import Price

__all__ = ["Ledger", "usage_of"]


class Ledger:
    """The spending of one role so far. Used from one event loop only."""

    def __init__(self) -> None:
        self._spending = Spending()

    @property
    def spending(self) -> Spending:
        """Return the spending so far."""
        return self._spending

    def bill(self, reply: Reply, price: Price) -> None:
        """Count an answer the endpoint gave, with its discount for prompt tokens it had cached."""
        usd = price.usd(reply.input_tokens, reply.output_tokens, reply.cached_input_tokens)
        self._spending = replace(
            self._spending,
            billed=self._spending.billed + replace(usage_of(reply, price), usd=usd),
            cached_input_tokens=self._spending.cached_input_tokens + reply.cached_input_tokens,
        )

    def reuse(self, reply: Reply, price: Price) -> None:
        """Count an answer that cost nothing because it was had before."""
        self._spending = replace(self._spending, from_cache=self._spending.from_cache + usage_of(reply, price))

    def fail(self) -> None:
        """Count a failed attempt."""
        self._spending = replace(self._spending, failed_attempts=self._spending.failed_attempts + 1)


def usage_of(reply: Reply, price: Price) -> Usage:
    """Return tokens and list price of an answer: the same whether it came from the endpoint or from a cache."""
    if not reply.answered:
        return Usage()
    return Usage(
        calls=1,
        input_tokens=reply.input_tokens or 0,
        output_tokens=reply.output_tokens or 0,
        usd=price.usd(reply.input_tokens, reply.output_tokens),
    )
