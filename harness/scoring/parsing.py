"""Reading a judge's reply: one strict reader of single words, one tolerant reader of 0/1 lists.

Tolerant of what surrounds the answer and of its spelling (``json_answers``), strict about the answer itself: a value
that is not plainly yes or no, or a list of another length than was asked for, is a failure with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.llm.wire import ANSWER
from harness.scoring.json_answers import as_flag, parse_json, without_reasoning

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ParsedList", "parse_choice", "parse_flags"]

_WRAPPING = " \t\r\n.,:;!\"'`*_()[]{}"


@dataclass(frozen=True, slots=True)
class ParsedList:
    """The flags of a reply, or why there are none (``no_list``, ``wrong_length``, ``not_binary``)."""

    flags: tuple[bool, ...] | None
    failure: str | None = None
    detail: str | None = None


def parse_choice(reply: str, choices: Sequence[str]) -> str | None:
    """Return the one of ``choices`` that ``reply`` is, ignoring reasoning, case and punctuation around, or None."""
    word = without_reasoning(reply).strip(_WRAPPING).lower()
    return next((choice for choice in choices if choice.lower() == word), None)


def parse_flags(reply: str, n: int) -> ParsedList:
    """Return the ``n`` flags of the last list in ``reply``, which may be the only list of an object.

    Elements are read by value: 0, 1, true, false, "yes" and "no" in any case, bare or quoted (words for yes and no only
    quoted). The length must be that of the batch shown, so a short last batch is read as well as a full one; a batch of
    one may be answered without a list.
    """
    parsed = parse_json(reply)
    elements = None if parsed.failure else _elements(parsed.value, n)
    if elements is None:
        return ParsedList(None, "no_list", "the reply holds no list")
    flags = [as_flag(element) for element in elements]
    if None in flags:
        unknown = str(elements[flags.index(None)])[:20]
        return ParsedList(None, "not_binary", f"'{unknown}' is neither 0 nor 1")
    if len(flags) != n:
        return ParsedList(None, "wrong_length", f"{len(flags)} answers to {n} questions")
    return ParsedList(tuple(flag is True for flag in flags))


def _elements(value: Any, n: int) -> list[Any] | None:
    if isinstance(value, dict):
        lists = [item for item in value.values() if isinstance(item, list)]
        single = lists[0] if len(lists) == 1 else next(iter(value.values())) if len(value) == 1 else None
        return _elements(value.get(ANSWER, single), n)
    while isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    if isinstance(value, list):
        return value
    return [value] if n == 1 and as_flag(value) is not None else None
