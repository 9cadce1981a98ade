"""The made-up features that show a judge what a simulation looks like."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SHOTS", "Shot"]


@dataclass(frozen=True, slots=True)
class Shot:
    """A feature that does not exist, and what it does on a text.

    Attributes:
        described: Its explanation.
        tokens: The text.
        strengths: 0 to 10 for each token.
        n_blank: How many tokens at the beginning are shown without their number where all are read at once, so that a
            judge sees both what is asked of it and what the answers look like.
    """

    described: str
    tokens: tuple[str, ...]
    strengths: tuple[int, ...]
    n_blank: int


SHOTS: tuple[Shot, ...] = (
    Shot(
        "Names of fruit",
        ("she", " bought", " two", " ripe", " man", "goes", " and", " a", " bag", " of", " plums", " before", " noon"),
        (0, 0, 0, 1, 6, 9, 0, 0, 0, 0, 10, 0, 0),
        4,
    ),
    Shot(
        "Closing brackets in code",
        (" return", " max", "(", "a", ",", " b", ");", " }", " //", " end", " of", " helper"),
        (0, 0, 1, 0, 0, 0, 8, 10, 0, 0, 0, 0),
        3,
    ),
    Shot(
        "Past-tense verbs of motion",
        (
            " and",
            " the",
            " dog",
            " ran",
            " over",
            " the",
            " bridge",
            ",",
            " climbed",
            " the",
            " bank",
            " and",
            " slept",
        ),
        (0, 0, 0, 10, 1, 0, 0, 0, 9, 0, 0, 0, 2),
        3,
    ),
)
