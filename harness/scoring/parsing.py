"""Reading a judge's reply: one strict reader of single words, one tolerant reader of 0/1 lists.

Tolerant of what surrounds the answer (reasoning, code fences, Python spelling), strict about the answer itself: a
value that is not plainly yes or no, or a list of another length than was asked for, is a failure with its reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ParsedList", "parse_choice", "parse_flags"]

_LIST = re.compile(r"\[([^\[\]]*)\]")
_FLAGS = {"0": False, "false": False, "1": True, "true": True}
_WRAPPING = " \t\r\n.,:;!\"'`*_()[]{}"


@dataclass(frozen=True, slots=True)
class ParsedList:
    """The flags of a reply, or why there are none (``no_list``, ``wrong_length``, ``not_binary``)."""

    flags: tuple[bool, ...] | None
    failure: str | None = None
    detail: str | None = None


def parse_choice(reply: str, choices: Sequence[str]) -> str | None:
    """Return the one of ``choices`` that ``reply`` is, ignoring case and surrounding punctuation, or None."""
    word = reply.strip(_WRAPPING).lower()
    return next((choice for choice in choices if choice.lower() == word), None)


def parse_flags(reply: str, n: int) -> ParsedList:
    """Return the ``n`` flags of the last list in ``reply``.

    Elements are read by value: 0, 1, true and false in any case, bare or quoted. The length must be that of the batch
    shown, so a short last batch is read as well as a full one.
    """
    lists = _LIST.findall(reply)
    if not lists:
        return ParsedList(None, "no_list", "the reply holds no list")
    inner = lists[-1].strip().removesuffix(",")
    elements = [_unquoted(element) for element in inner.split(",")] if inner.strip() else []
    unknown = next((element for element in elements if element not in _FLAGS), None)
    if unknown is not None:
        return ParsedList(None, "not_binary", f"'{unknown[:20]}' is neither 0 nor 1")
    if len(elements) != n:
        return ParsedList(None, "wrong_length", f"{len(elements)} answers to {n} questions")
    return ParsedList(tuple(_FLAGS[element] for element in elements))


def _unquoted(element: str) -> str:
    text = element.strip()
    for quote in ('"', "'"):
        if len(text) > 1 and text[0] == quote and text[-1] == quote:
            text = text[1:-1].strip()
            break
    return text.lower()
