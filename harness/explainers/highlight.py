"""Windows with the active tokens marked."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from harness.text import for_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.examples.record import Example

__all__ = ["DELIMITERS", "Delimiters", "Run", "characters", "choose_delimiters", "marked_runs", "render", "strengths"]

STRENGTHS = 10


@dataclass(frozen=True, slots=True)
class Delimiters:
    """What stands before and after a run of active tokens."""

    opening: str
    closing: str


DELIMITERS = (Delimiters("<<", ">>"), Delimiters("[[", "]]"), Delimiters("{{", "}}"), Delimiters("\u27e6", "\u27e7"))
"""The delimiters, in the order they are tried."""


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of a window that is active throughout, or silent throughout. ``text`` is fit for a prompt."""

    text: str
    active: bool


def marked_runs(example: Example, threshold: float) -> tuple[Run, ...]:
    """Return the window as runs: tokens above ``threshold`` x the window's largest activation are active.

    Neighbouring active tokens make one run (the marking rule of Paulo et al. 2024, section 3.1). White space at the
    edges of an active run is moved out of it, unless the run is nothing else: a mark then surrounds the word itself.
    """
    floor = threshold * example.max_activation
    pieces = [(text, value > max(floor, 0.0)) for text, value in characters(example)]
    runs = [
        Run(for_prompt("".join(text for text, _ in group)), active)
        for active, group in groupby(pieces, key=lambda piece: piece[1])
    ]
    return tuple(_merge([part for run in runs for part in _trim(run)]))


def strengths(example: Example, threshold: float, largest: float) -> tuple[tuple[str, int], ...]:
    """Return every marked token with its strength ``min(10, floor(10 a / largest))``, in reading order.

    The floor rule of Bills et al. 2023 ("Language models can explain neurons in language models"): only the largest
    activation reaches 10. All are 0 where ``largest`` is not positive.
    """
    floor = threshold * example.max_activation
    return tuple(
        (for_prompt(text), min(STRENGTHS, math.floor(STRENGTHS * value / largest)) if largest > 0 else 0)
        for text, value in characters(example)
        if value > max(floor, 0.0)
    )


def render(runs: Sequence[Run], marks: Delimiters) -> str:
    """Return the window with ``marks`` around its active runs."""
    return "".join(f"{marks.opening}{run.text}{marks.closing}" if run.active else run.text for run in runs)


def choose_delimiters(windows: Sequence[Sequence[Run]]) -> Delimiters:
    """Return the first delimiters that can be told from the text of every window.

    Refused are those that occur in a text, that touch a character of their own kind, or that together with the text
    make something a chat template would obey. If all are refused, the last kind is repeated until it is longer than
    any stretch of itself in the text.
    """
    for marks in DELIMITERS:
        if all(_unambiguous(runs, marks) for runs in windows):
            return marks
    last = DELIMITERS[-1]
    text = "".join(run.text for runs in windows for run in runs)
    longest = max(len(found) for found in re.findall(f"[{last.opening}{last.closing}]*", text))
    return Delimiters(last.opening * (longest + 1), last.closing * (longest + 1))


def _unambiguous(runs: Sequence[Run], marks: Delimiters) -> bool:
    if any(marks.opening in run.text or marks.closing in run.text for run in runs):
        return False
    rendered = render(runs, marks)
    found = re.findall(f"{re.escape(marks.opening)}(.*?){re.escape(marks.closing)}", rendered)
    return found == [run.text for run in runs if run.active] and for_prompt(rendered) == rendered


def characters(example: Example) -> Iterator[tuple[str, float]]:
    """Yield texts with their activation; tokens that only begin a character lend theirs to the one that ends it."""
    pending = 0.0
    for text, value in zip(example.tokens, example.activations, strict=True):
        pending = max(pending, value)
        if text:
            yield text, pending
            pending = 0.0


def _trim(run: Run) -> Iterator[Run]:
    core = run.text.strip(" ")
    if not run.active or not core:
        yield run
        return
    start = run.text.index(core)
    parts = (run.text[:start], False), (core, True), (run.text[start + len(core) :], False)
    yield from (Run(text, active) for text, active in parts if text)


def _merge(runs: Sequence[Run]) -> Iterator[Run]:
    for active, group in groupby(runs, key=lambda run: run.active):
        yield Run("".join(run.text for run in group), active)
