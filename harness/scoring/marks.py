"""Tokens marked in a text that a judge reads: between ``<<`` and ``>>``, where nothing else can look like a mark."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from harness.text import NEWLINE, TAB, for_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CLOSE", "OPEN", "text_with_marks", "text_without_marks", "words_marked"]

OPEN, CLOSE = "<<", ">>"


def text_with_marks(tokens: Sequence[str], marked: Sequence[bool]) -> str:
    """Return the text of ``tokens``, its marked runs between ``<<`` and ``>>``, harmless in a prompt.

    White space before a run stays outside the marks. The text's own ``<<`` and ``>>`` are broken up by a space, so that
    no text can mark itself. Where the marks would complete a chat template's token (a marked ``s`` would read ``<s>``),
    a space stands inside them.
    """
    tight = _joined(tokens, marked, "")
    return tight if for_prompt(tight) == tight else for_prompt(_joined(tokens, marked, " "))


def words_marked(tokens: Sequence[str], marked: Sequence[bool]) -> str:
    """Return the marked runs alone, separated by commas."""
    return ", ".join(_harmless(text).strip(" ") for inside, text in _runs(tokens, marked) if inside)


def text_without_marks(shown: str) -> str:
    """Return what a judge wrote after the pattern of ``text_with_marks``, its marks gone and its glyphs resolved."""
    return shown.replace(OPEN, "").replace(CLOSE, "").replace(NEWLINE, "\n").replace(TAB, "\t")


def _joined(tokens: Sequence[str], marked: Sequence[bool], gap: str) -> str:
    pieces = []
    for inside, text in _runs(tokens, marked):
        shown = _harmless(text)
        lead = len(shown) - len(shown.lstrip(" "))
        pieces.append(f"{shown[:lead]}{OPEN}{gap}{shown[lead:]}{gap}{CLOSE}" if inside else shown)
    return "".join(pieces).strip()


def _runs(tokens: Sequence[str], marked: Sequence[bool]) -> list[tuple[bool, str]]:
    """Return the text as stretches of marked and unmarked text, in order."""
    pairs = zip(marked, tokens, strict=True)
    return [(inside, "".join(text for _, text in run)) for inside, run in groupby(pairs, key=lambda pair: pair[0])]


def _harmless(text: str) -> str:
    return for_prompt(text).replace(OPEN, "< <").replace(CLOSE, "> >")
