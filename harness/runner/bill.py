"""What the earlier processes of a run were billed, whichever way they ended."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.llm.budget import Cost
from harness.results.codec import InvalidRecordError, decode, to_json
from harness.results.manifest import Charge, RoleUsage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from harness.llm.protocol import Spending

__all__ = ["Bill", "Taken", "larger", "last_bill"]

_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Taken:
    """What this process took: the spending of each role, and what was charged to the budget."""

    roles: Mapping[str, Spending] = field(default_factory=dict)
    charged: Cost = field(default_factory=Cost)


@dataclass(frozen=True, slots=True)
class Bill:
    """What several processes took: the usage of each role, and what was charged to the budget, if that is known."""

    usage: Mapping[str, RoleUsage] = field(default_factory=dict)
    charged: Charge | None = None

    @property
    def cost(self) -> Cost:
        """Return what a budget has to count.

        That is what was charged to it. Where that was not noted yet, it is what was billed; dollars are None if any
        price was unknown.
        """
        billed = sum(role.billed.input_tokens + role.billed.output_tokens for role in self.usage.values())
        if self.charged is not None:
            return Cost(max(billed, self.charged.tokens), self.charged.usd)
        prices = [role.billed.usd for role in self.usage.values()]
        return Cost(billed, None if None in prices else sum(price for price in prices if price is not None))

    def plain(self) -> dict[str, Any]:
        """Return what an event says of it."""
        usage = {role: to_json(taken) for role, taken in self.usage.items()}
        return {"usage": usage} if self.charged is None else {"usage": usage, "charged": to_json(self.charged)}


def last_bill(events: Path) -> Bill:
    """Return the bill that the latest event with one states; an empty one if none does.

    The manifest is written now and then, an event after every unit and about every second: after a kill the events know
    more. Only the end of the file is read.
    """
    for line in _lines_from_the_end(events):
        bill = _bill(line)
        if bill is not None:
            return bill
    return Bill()


def larger(one: Bill, other: Bill) -> Bill:
    """Return of each role the usage that counts more, and the larger charge; of two alike that of ``one``."""
    roles = sorted({*one.usage, *other.usage})
    usage = {
        role: max(one.usage.get(role, RoleUsage()), other.usage.get(role, RoleUsage()), key=_calls) for role in roles
    }
    charges = [charge for charge in (one.charged, other.charged) if charge is not None]
    return Bill(usage, max(charges, key=lambda charge: charge.tokens, default=None))


def _calls(usage: RoleUsage) -> tuple[int, int]:
    return usage.billed.calls + usage.from_cache.calls, usage.failed_attempts


def _bill(line: bytes) -> Bill | None:
    try:
        event: Any = json.loads(line)
        usage = {role: decode(RoleUsage, taken) for role, taken in event["usage"].items()}
        return Bill(usage, decode(Charge, event["charged"]) if "charged" in event else None)
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
