"""What a judge predicts for one window, however it was read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.api import Outcome, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SCALE", "Simulated", "failed", "simulated"]

SCALE = 10.0
"""Predictions are from 0 to this."""

_LEAST_READ = 0.5  # of a window of which less is read, the rest is another text
_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Simulated:
    """The predictions for the tokens of one window.

    Attributes:
        values: One for each token, 0 to ``SCALE``; None where none could be read. Empty unless ``outcome`` is OK.
        outcome: What became of the window.
        usage: What its calls cost.
        reply: What was read or answered, for the reader of the evidence.
        error: What went wrong, if something did.
    """

    values: tuple[float | None, ...]
    outcome: Outcome
    usage: Usage = field(default_factory=Usage)
    reply: str | None = None
    error: str | None = None


def simulated(values: Sequence[float | None], usage: Usage, *, missing: str) -> Simulated:
    """Return predictions, or an unparsed window if less than half of its tokens have one.

    Args:
        values: One for each token, None where none could be read.
        usage: What they cost.
        missing: Why there is none where there is none.
    """
    reply = json.dumps([None if value is None else round(value, _DECIMALS) for value in values])
    n_read = sum(value is not None for value in values)
    if not n_read or n_read < _LEAST_READ * len(values):
        error = f"{missing}, on {len(values) - n_read} of {len(values)} tokens"
        return Simulated((), Outcome.UNPARSED, usage, reply, error)
    return Simulated(tuple(values), Outcome.OK, usage, reply)


def failed(outcome: Outcome, usage: Usage, error: str | None, reply: str | None = None) -> Simulated:
    """Return a window without predictions."""
    return Simulated((), outcome, usage, reply, error or outcome.value)
