"""Planted features: a rule, its true explanation, and what somebody would expect who believed a distorted one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import UnknownNameError
from harness.planted.rules import NOTHING, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.planted.rules import Part

__all__ = [
    "BROAD",
    "EMPTY",
    "NARROW",
    "OTHER",
    "RELATED",
    "SETS",
    "TRUE",
    "WRONG_TOKEN",
    "Believed",
    "Planted",
    "plant",
]

TRUE, BROAD, NARROW, RELATED, WRONG_TOKEN, OTHER, EMPTY = SETS = (
    "true",
    "broad",
    "narrow",
    "related",
    "wrong_token",
    "other",
    "empty",
)
"""The explanation sets of planted features, the true one first."""

_CORE = (10.0, 7.0)
_REST = (6.0, 3.0)


@dataclass(frozen=True, slots=True)
class Believed:
    """An explanation and what somebody who believes it expects."""

    text: str
    rule: Rule


@dataclass(frozen=True)
class Planted:
    """A planted feature.

    Attributes:
        name: Its name, unique.
        family: What kind of thing it fires on.
        said: Its explanations by set: ``true`` and its own distortions, all of ``SETS`` but ``other`` and ``empty``.
    """

    name: str
    family: str
    said: Mapping[str, Believed]

    @property
    def rule(self) -> Rule:
        """Return what it fires on."""
        return self.said[TRUE].rule

    def explanation(self, name: str, other: Planted) -> Believed:
        """Return its explanation in the set ``name``.

        Args:
            name: One of ``SETS``.
            other: The feature whose true explanation it has in the set ``other``.

        Raises:
            UnknownNameError: If there is no such set.
        """
        if name == EMPTY:
            return Believed("", NOTHING)
        if name == OTHER:
            return other.said[TRUE]
        if name not in self.said:
            raise UnknownNameError("planted explanation set", name, SETS)
        return self.said[name]


def plant(
    name: str,
    family: str,
    true: str,
    core: Part,
    rest: Part,
    *,
    narrow: str,
    broad: tuple[str, Part],
    related: tuple[str, Part],
    beside: int = -1,
) -> Planted:
    """Return a feature that fires strongly on ``core`` and less on ``rest``.

    ``wrong_token`` names the right places and the wrong token: the word or sign beside every match.

    Args:
        name: Its name.
        family: Its family.
        true: What it fires on, in words, as a noun phrase.
        core: What it fires on most.
        rest: What else it fires on.
        narrow: ``core`` alone, in words.
        broad: A description of everything it fires on and of more, and that more.
        related: A description that goes near it and is wrong, and what that names.
        beside: The side of the wrong token: -1 before, 1 after.
    """
    strong, weak = core.graded(*_CORE), rest.graded(*_REST)
    side = "before" if beside < 0 else "after"
    return Planted(
        name,
        family,
        {
            TRUE: Believed(true, Rule((strong, weak))),
            BROAD: Believed(broad[0], Rule((strong, weak, broad[1].graded(*_REST)))),
            NARROW: Believed(narrow, Rule((strong,))),
            RELATED: Believed(related[0], Rule((related[1].graded(_CORE[0], _REST[1]),))),
            WRONG_TOKEN: Believed(f"the word or sign just {side} {true}", Rule((strong, weak), beside)),
        },
    )
