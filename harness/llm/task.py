"""What a question asks, as data: for judges that are no language model and answer by a rule.

A language model reads ``messages`` and nothing else. A judge for planted features, which knows what each explanation
means, cannot read prompts; it answers the task that a scorer states beside its prompt. A scorer that states none can
only be judged by language models.

An answer to a ``PromptLogprobsRequest`` is read off the prompt, so a judge by rule must make a reply that can be read
so: tokens whose texts joined are the prompt, no character more or less, cut so that each of ``Task.spans`` begins one.

- ``SIMULATE``: a span is the slot of one token of the text, in order. The token that begins there is the span's text,
  and its alternatives carry digits ("0" to "10", without white space) whose expected value is the number; the scorer
  keeps the alternatives that are exactly such digits and normalises them. A slot without any is a missing prediction.
- ``LIKELIHOOD``: the one span is the text as the prompt shows it. The log-probabilities of the tokens that lie in it
  are summed; how many tokens they are is the judge's affair, and the same for every explanation.

Without spans the answers are of the task's tokens, which must be the prompt's end, as those of ``DESCRIBES`` are. A
task whose answers have no place by either is refused.

``harness.llm.readings.read_off`` makes such a reply from numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Task", "TaskKind"]


class TaskKind(StrEnum):
    """What is asked about ``Task.texts``, and what one answer is."""

    CONTAINS = "contains"
    """Does the text hold what the explanation names? bool"""
    MARKED_RIGHT = "marked_right"
    """Are the marked tokens of the text (``Task.marked``) those that the explanation names? bool"""
    RATING = "rating"
    """How clearly does the text hold what the explanation names? 0 absent, 1 partly or unclear, 2 clearly"""
    SIMULATE = "simulate"
    """How strongly does each token of the text (``Task.tokens``) activate? A list of numbers from 0 to 10"""
    WRITE = "write"
    """Write ``Task.count`` texts that hold what the explanation names. A list of texts, as the one answer"""
    WRITE_NEAR_MISSES = "write_near_misses"
    """Write ``Task.count`` texts that resemble such texts and do not hold it. A list of texts, as the one answer"""
    REWRITE_WITHOUT = "rewrite_without"
    """Write the text again without what its marked tokens (``Task.marked``) show. A text"""
    ODD_ONE_OUT = "odd_one_out"
    """Which of the texts does not belong with the others? The place of one, from 0, as the one answer"""
    NAMES_TOKEN = "names_token"  # noqa: S105  -- no password
    """Is the text, a single token, one that the explanation says the feature promotes? bool"""
    DESCRIBES = "describes"
    """How likely is the explanation, given the text? A log-probability for each of ``Task.tokens``, here those of the
    explanation, one sequence for each text"""
    LIKELIHOOD = "likelihood"
    """How likely are the tokens of the text (``Task.tokens``) given the explanation? A log-probability each"""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What a question asks.

    Attributes:
        kind: What is asked.
        explanation: The explanation it is about, as it was given, not as a prompt shows it; "" where it is about none.
        texts: What is to be judged, as it is, not as a prompt shows it.
        tokens: The same texts cut into the subject's tokens, where the question is about tokens; else empty. For
            ``DESCRIBES`` the explanation as the prompt shows it, cut into words, each with the blank before it.
        marked: Which of those tokens are marked, where some are; else empty.
        count: How many texts are to be written.
        reply: Returns the reply that gives these answers, one for each text or one in all, in the form the scorer
            reads. None where answers are among ``CompletionRequest.choices`` (yes first, then no) or are prompt
            log-probabilities.
        spans: Where in the prompt the answers stand, from a character up to another one, where they are read off the
            prompt's log-probabilities; else empty.
    """

    kind: TaskKind
    explanation: str
    texts: tuple[str, ...] = ()
    tokens: tuple[tuple[str, ...], ...] = ()
    marked: tuple[tuple[bool, ...], ...] = ()
    count: int = 1
    reply: Callable[[Sequence[Any]], str] | None = None
    spans: tuple[tuple[int, int], ...] = ()
