"""All tokens of a window at once: the judge reads a list of tokens whose numbers are blank, and is asked nothing.

At each blank its own prediction of what stands there is looked up among the log-probabilities of the prompt. Bills et
al. 2023, the simulator that reads all tokens in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.api import (
    Outcome,
    PromptLogprobsRequest,
    Task,
    TaskKind,
    Usage,
    expected_value,
    for_prompt,
    gather_in_order,
    place_tokens,
)
from harness_simulation.shots import SHOTS
from harness_simulation.simulated import SCALE, failed, simulated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import LLM, Example, PlacedToken, PromptLogprobs
    from harness_simulation.simulated import Simulated

__all__ = ["FIRST", "Layout", "Listed", "frame_of", "listed", "simulate_all_at_once"]

_TOKEN_CHARACTERS = 80
_NEVER_READ = "no_number: no number from 0 to {top} is among the alternatives at a blank"
_JOINED = "joined_tokens: the judge's tokenizer joins the tab to what follows it, so no blank can be read"
_OTHER_TEXT = "other_text: the tokens of the reply are not those of the prompt"


@dataclass(frozen=True, slots=True)
class Layout:
    """How the list is written, as the judge's tokenizer needs it.

    Attributes:
        top: The largest number: 10, or 9 for tokenizers that cut "10" in two, where it could never be read.
        blank: What stands for an unknown number: a word, or a mark for tokenizers that join a tab to a word.
    """

    top: int = 10
    blank: str = "unknown"


FIRST = Layout()
NARROW_TOP = 9
MARK = "?"


@dataclass(frozen=True, slots=True)
class Listed:
    """A prompt, where its blanks are, and where its examples hold the largest number."""

    prompt: str
    blanks: tuple[tuple[int, int], ...]
    largest: tuple[int, int]


async def simulate_all_at_once(
    examples: Sequence[Example], explanation: str, judge: LLM, top_logprobs: int
) -> list[Simulated]:
    """Return the predictions for each window.

    The first window is read alone: its tokens show how the judge's tokenizer needs the list to be written, and the
    others are written so at once.
    """
    if not examples:
        return []
    first, layout = await _simulate(examples[0], explanation, judge, top_logprobs, FIRST)
    rest = await gather_in_order(
        _simulate(example, explanation, judge, top_logprobs, layout) for example in examples[1:]
    )
    return [first, *(one for one, _ in rest)]


def listed(tokens: Sequence[str], described: str, layout: Layout) -> Listed:
    """Return the prompt for the tokens of a window; ``described`` must already be harmless, on one line.

    Tabs and line breaks within tokens are shown as glyphs, so that a line has one tab and is one line.
    """
    before = frame_of(layout) + _heading(described)
    largest = before.index(f"\t{layout.top}\n") + 1
    lines: list[str] = []
    blanks: list[tuple[int, int]] = []
    place = len(before)
    for token in tokens:
        shown = f"{for_prompt(token, limit=_TOKEN_CHARACTERS)}\t"
        start = place + len(shown)
        blanks.append((start, start + len(layout.blank)))
        lines.append(f"{shown}{layout.blank}\n")
        place += len(lines[-1])
    # Without the last line break: nothing is read there.
    prompt = (before + "".join(lines)).removesuffix("\n") if lines else before
    return Listed(prompt, tuple(blanks), (largest, largest + len(str(layout.top))))


def frame_of(layout: Layout) -> str:
    """Return what every prompt begins with: what the lists are, and examples of features that do not exist."""
    shots = []
    for shot in SHOTS:
        numbers = [round(strength * layout.top / SCALE) for strength in shot.strengths]
        shown = [layout.blank if place < shot.n_blank else str(number) for place, number in enumerate(numbers)]
        lines = "".join(f"{token}\t{number}\n" for token, number in zip(shot.tokens, shown, strict=True))
        shots.append(f"{_heading(shot.described)}{lines}<end>\n\n")
    return (
        "A feature of a language model activates on some tokens of a text and not on others. Each block below names"
        " what a feature responds to, and lists the tokens of a text, one on a line, each followed by a tab and by how"
        f" strongly the feature activates on it: a whole number from 0 (not at all) to {layout.top} (as strongly as it"
        f' can). Most tokens have 0. "{layout.blank}" stands where the number was lost.\n\n' + "".join(shots)
    )


def _heading(described: str) -> str:
    return f"Feature: {described}\n<start>\n"


async def _simulate(
    example: Example, explanation: str, judge: LLM, top_logprobs: int, layout: Layout
) -> tuple[Simulated, Layout]:
    """Return the predictions for a window, and the layout in which they were read."""
    usage = Usage()
    while True:
        shown = listed(example.tokens, for_prompt(explanation).strip(), layout)
        task = Task(TaskKind.SIMULATE, explanation, texts=(example.text,), tokens=(example.tokens,), spans=shown.blanks)
        reply: PromptLogprobs = await judge.prompt_logprobs(PromptLogprobsRequest(shown.prompt, top_logprobs, task))
        usage += reply.usage
        if reply.outcome is not Outcome.OK:
            return failed(reply.outcome, usage, reply.error), layout
        placed = place_tokens(shown.prompt, reply.tokens or ())
        if placed is None:
            return failed(Outcome.UNPARSED, usage, _OTHER_TEXT), layout
        better = _fitting(placed, shown, layout)
        if better == layout:
            return _read(placed, shown, layout, usage), layout
        layout = better


def _fitting(placed: Sequence[PlacedToken], shown: Listed, layout: Layout) -> Layout:
    """Return the layout that the tokenizer which made these tokens needs; the one given if it does, or none will."""
    starts = {one.start for one in placed if one.end > one.start}
    if layout.top > NARROW_TOP and any(shown.largest[0] < start < shown.largest[1] for start in starts):
        layout = replace(layout, top=NARROW_TOP)
    if layout.blank != MARK and not any(start in starts for start, _ in shown.blanks):
        layout = replace(layout, blank=MARK)
    return layout


def _read(placed: Sequence[PlacedToken], shown: Listed, layout: Layout, usage: Usage) -> Simulated:
    at = {one.start: one.token for one in placed if one.end > one.start}
    found = [at.get(start) for start, _ in shown.blanks]
    if not any(found):
        return failed(Outcome.UNPARSED, usage, _JOINED)
    numbers = [None if one is None else expected_value(one.alternatives, layout.top) for one in found]
    values = [None if number is None else number * SCALE / layout.top for number in numbers]
    return simulated(values, usage, missing=_NEVER_READ.format(top=layout.top))
