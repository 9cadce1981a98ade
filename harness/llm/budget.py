"""What a run may spend: a limit that is kept while calls are in flight, not noticed after it was passed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from harness.errors import BudgetError

__all__ = ["Budget", "Cost"]

_HINT = "what is finished is kept; the same command with a larger budget goes on"


@dataclass(frozen=True, slots=True)
class Cost:
    """Tokens and dollars of one call; ``usd`` None where no price is known."""

    tokens: int = 0
    usd: float | None = 0.0


class Budget:
    """The limits of one run, over all its roles and processes. Used from one event loop only.

    Args:
        usd: Dollars, or None for no limit.
        tokens: Input and output tokens, or None for no limit.
        spent_usd: What earlier processes of the run spent; None if that is unknown.
        spent_tokens: Likewise, in tokens.
    """

    def __init__(
        self,
        usd: float | None = None,
        tokens: int | None = None,
        *,
        spent_usd: float | None = 0.0,
        spent_tokens: int = 0,
    ) -> None:
        self._usd = usd
        self._tokens = tokens
        self._earlier_usd = spent_usd
        self._spent_usd = spent_usd
        self._spent_tokens = spent_tokens
        self._own = Cost()
        self._reserved_usd = 0.0
        self._reserved_tokens = 0
        self._in_flight = 0
        self._settled = asyncio.Event()

    @property
    def limited(self) -> bool:
        """Return whether there is any limit to keep."""
        return self._usd is not None or self._tokens is not None

    @property
    def spent(self) -> Cost:
        """Return what was charged in this process: answers, and what may have been billed without one."""
        return self._own

    def check_price(self, *, known: bool, endpoint: str, where: str) -> None:
        """Check that a limit in dollars can be kept for an endpoint.

        Raises:
            BudgetError: If its price, or what earlier processes spent, is unknown.
        """
        if self._usd is None:
            return
        if self._earlier_usd is None:
            what = "what earlier processes of this run spent is unknown, so a budget in dollars cannot be kept"
            raise BudgetError(
                what, where="budget.usd", hint="limit budget.tokens instead, or give the run another name"
            )
        if known:
            return
        what = f"the price of {endpoint} is unknown, so a budget in dollars cannot be kept"
        raise BudgetError(what, where="budget.usd", hint=f"state {where}=... or limit budget.tokens instead")

    async def reserve(self, cost: Cost) -> None:
        """Set ``cost``, the most a call can take, aside; wait while only calls in flight stand in the way.

        Raises:
            BudgetError: If a limit could be passed.
        """
        while (short := self._short(cost)) is not None:
            if not self._in_flight:
                raise BudgetError(short, where="budget", hint=_HINT)
            self._settled.clear()
            await self._settled.wait()
        self._reserved_tokens += cost.tokens
        self._reserved_usd += cost.usd or 0.0
        self._in_flight += 1

    def settle(self, reserved: Cost, spent: Cost) -> None:
        """Replace what was set aside for a call by what it took."""
        self._reserved_tokens -= reserved.tokens
        self._reserved_usd -= reserved.usd or 0.0
        self._in_flight -= 1
        usd = None if self._own.usd is None or spent.usd is None else self._own.usd + spent.usd
        self._own = Cost(self._own.tokens + spent.tokens, usd)
        self._spent_tokens += spent.tokens
        if self._spent_usd is not None:
            self._spent_usd = None if spent.usd is None else self._spent_usd + spent.usd
        self._settled.set()

    def _short(self, cost: Cost) -> str | None:
        """Return what would be passed, or None if ``cost`` fits."""
        if self._tokens is not None and self._spent_tokens + self._reserved_tokens + cost.tokens > self._tokens:
            spent = f"{self._spent_tokens:,} of {self._tokens:,} tokens are spent"
            return f"{spent}, and the next call may take {cost.tokens:,}"
        if self._usd is None:
            return None
        if self._spent_usd is None or cost.usd is None:
            return "the price of a call is unknown, so a budget in dollars cannot be kept"
        if self._spent_usd + self._reserved_usd + cost.usd > self._usd:
            return f"${self._spent_usd:.4f} of ${self._usd:g} are spent, and the next call may take ${cost.usd:.4f}"
        return None
