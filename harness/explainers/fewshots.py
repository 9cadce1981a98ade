"""Our own worked examples for the ``default`` explainer: invented texts, three different kinds of feature."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FEW_SHOTS", "FewShot"]


@dataclass(frozen=True, slots=True)
class FewShot:
    """One worked example.

    Attributes:
        windows: Texts in which the active runs stand between ``<<`` and ``>>``.
        strengths: For each window its active tokens with their strength, 0 to 10.
        promoted: Tokens the feature promotes.
        suppressed: Tokens the feature suppresses.
        reasoning: Worked reasoning, for the chain of thought.
        explanation: The answer.
    """

    windows: tuple[str, ...]
    strengths: tuple[tuple[tuple[str, int], ...], ...]
    promoted: tuple[str, ...]
    suppressed: tuple[str, ...]
    reasoning: str
    explanation: str


FEW_SHOTS = (
    FewShot(
        windows=(
            "the old man tuned his <<violin>> before the guests came in",
            " sold the <<piano>> and two brass <<trumpets>> to pay the rent",
            "\u21b5Lessons: <<flute>> on Monday, <<cello>> on Thursday\u21b5",
            " could hear a <<drum>> somewhere behind the houses",
        ),
        strengths=(
            ((" violin", 9),),
            ((" piano", 10), (" trumpets", 7)),
            ((" flute", 8), (" cello", 9)),
            ((" drum", 5),),
        ),
        promoted=(" music", " played", " orchestra", " strings"),
        suppressed=(" voters", " acres", " enzyme", "();"),
        reasoning=(
            "The marked words are violin, piano, trumpets, flute, cello and drum. Every one of them is a thing that "
            "people play to make music; the words around them vary."
        ),
        explanation="musical instruments",
    ),
    FewShot(
        windows=(
            ' of it. "<<Who>> told you that?" she asked. The man who',
            "\u21b5\u21b5<<Why>> do the lamps flicker? Because the current",
            " and nobody knew what to say. <<Where>> had they gone? <<What>> was",
            " asked me: <<how>> can a wall be so thin? It was then",
        ),
        strengths=(
            (("Who", 9),),
            (("Why", 10),),
            ((" Where", 8), (" What", 9)),
            ((" how", 6),),
        ),
        promoted=(" is", " are", " did", " would"),
        suppressed=(" thereby", " Ltd", " namely", "'ll"),
        reasoning=(
            "The marked words are who, why, where, what and how. Each opens a question; in the man who and knew what "
            "to say, where nothing is asked, the same words are unmarked."
        ),
        explanation='question words such as "who", where they open a question',
    ),
    FewShot(
        windows=(
            " total = add(first, second<<)>>\u21b5    return total",
            "print(name.upper(<<))>>\u21b5",
            " (see the notes) and then call close(handle<<)>> once",
            "    items.append(value<<)>>\u21b5    count",
        ),
        strengths=(((")", 9),), (("))", 10),), ((")", 6),), ((")", 9),)),
        promoted=("\u21b5", ";", " #", ":"),
        suppressed=(" whom", " ourselves", " sadly", " twentieth"),
        reasoning=(
            "The marked tokens are closing brackets. Those of ordinary prose, as in (see the notes), are unmarked; the "
            "marked ones end the arguments of a call in program code."
        ),
        explanation="closing brackets that end a function call in program code",
    ),
)
"""The worked examples, in the order they are used."""
