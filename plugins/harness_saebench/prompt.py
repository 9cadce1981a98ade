"""What the judge reads, and how its reply is read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.api import Message, Reading, as_number, for_prompt, parse_json_values

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["REMINDER", "messages", "read_numbers", "schema"]

SYSTEM = """A feature of a language model responds to certain words or patterns. You are given a description of the \
feature and numbered excerpts. Decide which of them hold what is described; it may be any number of them, or none. \
Answer only with a JSON list of their numbers, the empty list [] if there are none."""

REMINDER = "Answer only with a JSON list of the numbers of the excerpts that hold what is described, or []."

_BARE = re.compile(r"\d{1,4}(?:\s*,\s*\d{1,4})*")
_NONE = frozenset({"none", "null", "[none]", '["none"]'})


def messages(explanation: str, texts: Sequence[str]) -> tuple[Message, ...]:
    """Return the question which of ``texts`` hold what ``explanation``, harmless already, describes."""
    listed = "\n".join(f"{number}. {for_prompt(text).strip()}" for number, text in enumerate(texts, 1))
    return (Message("system", SYSTEM), Message("user", f"Description: {explanation}\n{listed}\nNumbers:"))


def schema(n: int) -> dict[str, object]:
    """Return the JSON Schema of an answer about ``n`` windows."""
    return {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": n}, "maxItems": n}


def read_numbers(reply: str, n: int) -> Reading[frozenset[int]]:
    """Return the numbers from 1 to ``n`` that ``reply`` names, none of them for an empty list or "None".

    A list, an object with one list, or numbers separated by commas. A number outside the range makes the whole reply
    unreadable, and so do several lists that differ: what was meant cannot be known.
    """
    bare = reply.strip().rstrip(".").lower()
    if bare in _NONE:
        return Reading(frozenset())
    lists = [[int(number) for number in bare.split(",")]] if _BARE.fullmatch(bare) else _lists(reply)
    if not lists:
        return Reading(None, "no_list: the reply holds no list of numbers")
    found = [{str(as_number(value) or value): value for value in one} for one in lists]
    if any(one.keys() != found[0].keys() for one in found):
        return Reading(None, f"several_lists: the reply holds {len(found)} lists of numbers that differ")
    for value in found[0].values():
        number = as_number(value)
        if number is None or number != int(number) or not 1 <= number <= n:
            return Reading(None, f"not_shown: '{str(value)[:20]}' is no number from 1 to {n}")
    return Reading(frozenset(int(as_number(value) or 0) for value in found[0].values()))


def _lists(reply: str) -> list[list[object]]:
    """Return all lists in ``reply``; none if the last thing in it is an object without a list, or with several."""
    found = []
    for value in parse_json_values(reply):
        inside = [item for item in value.values() if isinstance(item, list)] if isinstance(value, dict) else [value]
        found.append(inside[0] if len(inside) == 1 and isinstance(inside[0], list) else None)
    return [] if found[-1:] == [None] else [one for one in found if one is not None]
