"""What the judge of intruders reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api import Message, for_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["REMINDER", "messages", "shown"]

SYSTEM = """You are shown numbered excerpts. All but one have something in common: a word, a kind of word, a form or a \
subject. Find the one that does not belong with the others. Answer with its number only."""

REMINDER = "Answer with one number only: that of the excerpt that does not belong."


def shown(texts: Sequence[str]) -> str:
    """Return the windows as the prompt lists them, one a line, harmless."""
    return "\n".join(f"{number}. {for_prompt(text).strip()}" for number, text in enumerate(texts, 1))


def messages(texts: Sequence[str]) -> tuple[Message, ...]:
    """Return the question about ``texts``."""
    return (Message("system", SYSTEM), Message("user", f"{shown(texts)}\nNumber:"))
