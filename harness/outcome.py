"""What became of one question to a language model, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Outcome", "Usage"]


class Outcome(StrEnum):
    """The fate of one answer. Only ``OK`` is an answer; nothing else is ever counted as right or wrong."""

    OK = "ok"
    UNPARSED = "unparsed"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    ERROR = "error"
    SKIPPED = "skipped"
    """Nothing was asked, as there was nothing to ask about: what the subject wrote is no language, say."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and money of some model calls. Addable.

    ``usd`` is ``None`` when a price is unknown (never 0), and stays ``None`` in any sum it enters. The figures are
    those of the answers, whether they came from the endpoint or from the cache, so a record does not depend on the
    state of a cache; what was really billed in a run is in its manifest.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0

    def __add__(self, other: Usage) -> Usage:
        """Return the sum; an unknown price makes the sum's price unknown."""
        usd = None if self.usd is None or other.usd is None else self.usd + other.usd
        return Usage(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            usd,
        )
