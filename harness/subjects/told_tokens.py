"""Which of a feature's promoted tokens an explainer may be told: the others are left to scorers to ask about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LOGIT_TOKENS", "PROMOTED_LOOKED_AT", "TOLD_VERSION", "readable_token", "told_tokens"]

LOGIT_TOKENS = 10
"""Most tokens an explainer is told."""

PROMOTED_LOOKED_AT = 100
"""How many of the most promoted tokens are split into told and others."""

TOLD_VERSION = 1
"""Raise it when other tokens are told."""


def told_tokens(promoted: Sequence[str], feature: int) -> tuple[int, ...]:
    """Return the places of the promoted tokens that explainers are told, at most ``LOGIT_TOKENS``.

    Every second word is told, in the order in which their first tokens are promoted; one word in different cases, with
    and without a blank, is one. Whether the first is told depends on the number of the feature alone: on no run and no
    explainer, so that who asks later about the others has never told them. What cannot be read by itself is told, as
    nothing can be asked about it.

    Args:
        promoted: The ``PROMOTED_LOOKED_AT`` most promoted tokens, most first.
        feature: The feature.
    """
    first = int(generator(0, "told tokens", feature).integers(2))
    order: dict[str, int] = {}
    told = []
    for place, text in enumerate(promoted):
        if readable_token(text):
            number = order.setdefault(text.strip().lower(), len(order))
            if number % 2 != first:
                continue
        told.append(place)
    return tuple(told[:LOGIT_TOKENS])


def readable_token(text: str) -> bool:
    """Return whether a token is text by itself: no blank, and no piece of a character."""
    return bool(text.strip()) and "\N{REPLACEMENT CHARACTER}" not in text
