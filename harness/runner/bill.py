"""What the earlier processes of a run were billed, whichever way they ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.results.codec import InvalidRecordError, decode
from harness.results.manifest import RoleUsage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["billed_tokens", "billed_usd", "larger", "last_usage"]

_BLOCK = 1 << 16


def last_usage(events: Path) -> dict[str, RoleUsage]:
    """Return the usage per role that the latest unit event states; empty if none does.

    The manifest is written now and then, an event after every unit: after a kill the events know more. Only the end of
    the file is read.
    """
    for line in _lines_from_the_end(events):
        usage = _usage(line)
        if usage is not None:
            return usage
    return {}


def larger(one: Mapping[str, RoleUsage], other: Mapping[str, RoleUsage]) -> dict[str, RoleUsage]:
    """Return of each role the usage that counts more calls; of two alike that of ``one``."""
    roles = sorted({*one, *other})
    return {role: max(one.get(role, RoleUsage()), other.get(role, RoleUsage()), key=_calls) for role in roles}


def billed_usd(usage: Mapping[str, RoleUsage]) -> float | None:
    """Return the dollars billed over all roles, None if any price was unknown."""
    prices = [role.billed.usd for role in usage.values()]
    return None if None in prices else sum(price for price in prices if price is not None)


def billed_tokens(usage: Mapping[str, RoleUsage]) -> int:
    """Return the tokens billed over all roles."""
    return sum(role.billed.input_tokens + role.billed.output_tokens for role in usage.values())


def _calls(usage: RoleUsage) -> int:
    return usage.billed.calls + usage.from_cache.calls


def _usage(line: bytes) -> dict[str, RoleUsage] | None:
    try:
        event: Any = json.loads(line)
        stated = event["usage"]
        return {role: decode(RoleUsage, usage) for role, usage in stated.items()}
    except (ValueError, KeyError, TypeError, AttributeError, InvalidRecordError):
        return None  # another event, or one that a crash cut off


def _lines_from_the_end(path: Path) -> Iterator[bytes]:
    if not path.exists():
        return
    with path.open("rb") as stream:
        end = stream.seek(0, 2)
        rest = b""
        while end > 0:
            begin = max(0, end - _BLOCK)
            stream.seek(begin)
            rest, *lines = (stream.read(end - begin) + rest).split(b"\n")
            yield from reversed(lines)
            end = begin
        yield rest
