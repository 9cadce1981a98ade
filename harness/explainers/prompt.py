"""The prompt of the ``default`` explainer.

The part that is the same for every feature (instructions, then worked examples) comes first and whole, so that an
endpoint that keeps prefixes reads it once per run. Worked examples and the feature asked about go through the same
layout.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from harness.explainers.fewshots import FEW_SHOTS
from harness.explainers.highlight import DELIMITERS, choose_delimiters, marked_runs, render, strengths
from harness.explainers.parse import MARKER
from harness.llm.protocol import Message
from harness.text import for_prompt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.examples.record import Example, ExplainRecord
    from harness.explainers.config import DefaultConfig
    from harness.explainers.fewshots import FewShot
    from harness.explainers.highlight import Delimiters

__all__ = ["build_messages", "choose_windows", "shared_prefix"]

_MAX_STRENGTHS = 11
_MAX_LISTED = 10
_MAX_MARKED = 12
_MARKED = re.compile(f"{re.escape(DELIMITERS[0].opening)}(.*?){re.escape(DELIMITERS[0].closing)}")
_Strengths = tuple[tuple[str, int], ...]


def shared_prefix(config: DefaultConfig) -> tuple[Message, ...]:
    """Return the messages every feature's prompt begins with under ``config``."""
    messages = [Message("system", _instructions(config))]
    for shot in FEW_SHOTS[: config.few_shots]:
        messages += [Message("user", _shot_question(shot, config)), Message("assistant", _shot_answer(shot, config))]
    return tuple(messages)


def build_messages(record: ExplainRecord, config: DefaultConfig) -> tuple[Message, ...]:
    """Return the whole prompt for one feature: the shared prefix, then its windows."""
    examples = choose_windows(record.examples.activating, config.max_windows)
    windows = [marked_runs(example, config.threshold) for example in examples]
    marks = choose_delimiters(windows)
    largest = max((example.max_activation for example in examples), default=0.0)
    question = _question(
        [render(runs, marks) for runs in windows],
        [strengths(example, config.threshold, largest) for example in examples],
        _count_marked(run.text for runs in windows for run in runs if run.active),
        [for_prompt(token) for token in record.statistics.top_logit_tokens],
        [for_prompt(token) for token in record.statistics.bottom_logit_tokens],
        marks,
        config,
    )
    return (*shared_prefix(config), Message("user", question))


def choose_windows(examples: Sequence[Example], most: int) -> tuple[Example, ...]:
    """Return at most ``most`` examples, evenly spaced from the first (the strongest) to the last."""
    if len(examples) <= most:
        return tuple(examples)
    if most == 1:
        return (examples[0],)
    return tuple(examples[round(index * (len(examples) - 1) / (most - 1))] for index in range(most))


def _instructions(config: DefaultConfig) -> str:
    marks = DELIMITERS[0]
    parts = [
        (
            "You study one feature of a language model. You are shown short texts in which the feature is active; "
            f"the words it responds to stand between {marks.opening} and {marks.closing} and are counted below the "
            "texts. Find out what kind of thing most of the marked words are, by their meaning, form or use, and name "
            "that kind as specifically as the texts allow. Do not list the marked words."
        ),
    ]
    if config.show_activations:
        parts.append("Below each text stand the marked tokens with the strength of the feature on them, from 0 to 10.")
    if config.logit_weights:
        parts.append("Tokens the feature makes likelier to come next may be listed as well.")
    if config.suppressed_tokens:
        parts.append("So may tokens it makes less likely: they tell what it works against.")
    if config.chain_of_thought:
        parts.append("First reason in two or three sentences about the marked words and the words around them.")
        parts.append(f"Then end with one line: {MARKER} and a specific phrase of at most 20 words.")
    else:
        parts.append(f"Answer with one line: {MARKER} and a specific phrase of at most 20 words.")
    return " ".join(parts)


def _question(
    windows: Sequence[str],
    levels: Sequence[_Strengths],
    marked: Sequence[tuple[str, int]],
    promoted: Sequence[str],
    suppressed: Sequence[str],
    marks: Delimiters,
    config: DefaultConfig,
) -> str:
    lines = []
    if marks != DELIMITERS[0]:
        lines.append(f"(In these texts the marks are {marks.opening} and {marks.closing}.)")
    for number, (window, tokens) in enumerate(zip(windows, levels, strict=True), start=1):
        lines.append(f"Text {number}: {window}")
        if config.show_activations:
            lines.append("Strengths: " + ", ".join(f'"{token}" {level}' for token, level in tokens[:_MAX_STRENGTHS]))
    if config.logit_weights and promoted:
        lines.append("Made likelier: " + ", ".join(f'"{token}"' for token in promoted[:_MAX_LISTED]))
    if config.suppressed_tokens and suppressed:
        lines.append("Made less likely: " + ", ".join(f'"{token}"' for token in suppressed[:_MAX_LISTED]))
    lines.append("Marked: " + ", ".join(f'"{text}"' + (f" x{n}" if n > 1 else "") for text, n in marked[:_MAX_MARKED]))
    return "\n".join(lines)


def _count_marked(texts: Iterable[str]) -> list[tuple[str, int]]:
    """Return the distinct texts with their counts, commonest first, ties in order of appearance."""
    return Counter(texts).most_common()


def _shot_question(shot: FewShot, config: DefaultConfig) -> str:
    marked = _count_marked(text for window in shot.windows for text in _MARKED.findall(window))
    return _question(shot.windows, shot.strengths, marked, shot.promoted, shot.suppressed, DELIMITERS[0], config)


def _shot_answer(shot: FewShot, config: DefaultConfig) -> str:
    answer = f"{MARKER} {shot.explanation}"
    return f"{shot.reasoning}\n{answer}" if config.chain_of_thought else answer
