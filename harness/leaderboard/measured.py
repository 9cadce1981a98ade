"""What one scorer measured of an explanation set, and which features two of them both call good or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.leaderboard.profile import Axis

__all__ = ["Measured", "goods_of"]


class Measured(NamedTuple):
    """One scorer's values of an explanation set, and what its plugin declared of them.

    Attributes:
        aspect: Which of FADE's aspects they are of; None if none was declared.
        published: Whether they are a paper's own numbers.
        axis: The values.
        texts: The text of each feature (its digest).
    """

    aspect: str | None
    published: bool
    axis: Axis
    texts: Mapping[int, str | None]


def goods_of(first: Measured, second: Measured) -> list[tuple[bool, bool]]:
    """Return whether a feature is good by either, of every feature for which both can say it of the same text."""
    left, right = (
        {one.feature: one.good for one in side.axis.values if one.good is not None} for side in (first, second)
    )
    shared = [feature for feature in left if feature in right and first.texts[feature] == second.texts[feature]]
    return [(left[feature], right[feature]) for feature in shared]
