"""Noticing early that a judge's answers cannot be used at all, before a whole run is spent on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import LLMError
from harness.outcome import Outcome
from harness.text import for_terminal

if TYPE_CHECKING:
    from harness.scoring.protocol import Score

__all__ = ["AnswerWatch", "unusable"]

_PATIENCE = 3
_SHOWN = 80


def unusable(result: Score) -> str | None:
    """Return why no question of a unit has an answer that can be used, or None if one has (or none was asked)."""
    if not result.items or any(item.outcome is Outcome.OK for item in result.items):
        return None
    first = result.items[0]
    said = for_terminal(first.error or first.reply or "")[:_SHOWN]
    return f"none of {len(result.items)} answers could be used; the first was {first.outcome}: {said}"


class AnswerWatch:
    """Counts units whose every answer was unusable, until one is usable."""

    def __init__(self, scorer: str) -> None:
        self._scorer = scorer
        self._useless = 0
        self._trusted = False

    def saw(self, reason: str | None) -> None:
        """Take note of one unit.

        Raises:
            LLMError: If the first units of a scorer were all unusable: the rest would be too.
        """
        if reason is None:
            self._trusted = True
        elif not self._trusted:
            self._useless += 1
            if self._useless >= _PATIENCE:
                raise LLMError(
                    f"the judge's answers cannot be understood: {reason}",
                    where=f"scorer {self._scorer}",
                    hint="another judge=..., or the scorer's other mode (see `harness show scorer`)",
                )
