"""What the fuzzing judge reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api import ClassifierPrompt, TaskKind, text_with_marks, words_marked

if TYPE_CHECKING:
    from harness_fuzzing.marking import Marked

__all__ = ["PROMPT", "marked_text", "marked_words", "shown_alone", "shown_in_list"]

SINGLE = """A feature of a language model responds to certain words or patterns. Given a description of the feature \
and an excerpt in which some words are marked with << and >>, say whether the marked words are the ones the feature \
responds to. Answer with one word: Yes or No.

Description: Names of fruit
Excerpt: she bought two ripe <<mangoes>> and a bag of rice
Marked: mangoes
Answer: Yes

Description: Names of fruit
Excerpt: she bought two ripe mangoes <<and>> a bag of rice
Marked: and
Answer: No

Description: Closing brackets in code
Excerpt: return <<max>>(a, b); } // end of helper
Marked: max
Answer: No

Description: Past-tense verbs of motion
Excerpt: the dog <<ran>> over the bridge and <<climbed>> the bank
Marked: ran, climbed
Answer: Yes"""

SEVERAL = """A feature of a language model responds to certain words or patterns. You are given a description of the \
feature and numbered excerpts in which some words are marked with << and >>. For each excerpt, decide whether the \
marked words are the ones described: 1 if they are, 0 if not. Answer only with a JSON list holding one 0 or 1 per \
excerpt, in order.

Description: names of fruit
1. she bought two ripe <<mangoes>> and a bag of rice
2. an apple <<a day keeps>> the doctor away
3. they <<planted>> pears behind the house
4. <<cherry>> pie with cream, and <<plum>> jam
[1, 0, 0, 1]"""

PROMPT = ClassifierPrompt(single=SINGLE, several=SEVERAL, cue="\nAnswer:", asks=TaskKind.MARKED_RIGHT)


def marked_text(marked: Marked) -> str:
    """Return the part of the window shown, its marked runs between ``<<`` and ``>>``, harmless in a prompt."""
    return text_with_marks(marked.tokens, marked.flags)


def marked_words(marked: Marked) -> str:
    """Return the marked runs alone, separated by commas."""
    return words_marked(marked.tokens, marked.flags)


def shown_alone(marked: Marked) -> str:
    """Return the example as a call of its own shows it: the marked text, then the marked runs once more.

    The repetition adds no information; it spares a small judge the search for the marks.
    """
    return f"Excerpt: {marked_text(marked)}\nMarked: {marked_words(marked)}"


def shown_in_list(marked: Marked) -> str:
    """Return the example as a list shows it: the marked text alone."""
    return marked_text(marked)
