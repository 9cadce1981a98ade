"""What a run may spend: a limit that is kept while calls are in flight, not noticed after it was passed."""

from __future__ import annotations

__all__ = ["Budget"]


class Budget:
    """The limits of one run, over all its roles and processes.

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
        self.usd = usd
        self.tokens = tokens
        self.spent_usd = spent_usd
        self.spent_tokens = spent_tokens
