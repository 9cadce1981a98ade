"""What the detection judge reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api import ClassifierPrompt, Question, TaskKind, for_prompt

if TYPE_CHECKING:
    from harness.api import Example

__all__ = ["FRAME_TOKENS", "PROMPT", "REWRITE", "shown", "window_question"]

SINGLE = """A feature of a language model responds to certain words or patterns in a text. Given a description of the \
feature and a short excerpt, say whether the excerpt contains at least one such word or pattern. Answer with one word: \
Yes or No.

Description: Names of fruit
Excerpt: she bought two ripe mangoes and a bag of rice before the
Answer: Yes

Description: Past-tense verbs of motion
Excerpt: is the largest lake in the region and supplies water to
Answer: No

Description: Closing brackets in code
Excerpt: return max(a, b); } // end of helper
Answer: Yes

Description: Legal terms
Excerpt: the soup should simmer for an hour, stirring now and then
Answer: No"""

SEVERAL = """A feature of a language model responds to certain words or patterns. You are given a description of the \
feature and numbered excerpts. For each excerpt, decide whether it contains what is described: 1 if it does, 0 if not. \
Answer only with a JSON list holding one 0 or 1 per excerpt, in order.

Description: names of fruit
1. she bought two ripe mangoes and a bag of rice
2. the soup should simmer for an hour, stirring now
3. return max(a, b); } // end of helper
4. cherry pie with cream, and plum jam
[1, 0, 0, 1]"""

REWRITE = """You are given numbered excerpts in which some words are marked with << and >>. In all of them the marked \
words have something in common. Write each excerpt again so that it no longer contains the marked words, nor anything \
like them: put other words in their place, and change as little as possible of the rest. Leave out the marks. Answer \
only with a JSON list of the new excerpts, in order.

1. she bought two ripe <<mangoes>> and a bag of rice
2. they planted <<pears>> and <<cherries>> behind the house
["she bought two red cushions and a bag of rice", "they planted roses and ivy behind the house"]"""

PROMPT = ClassifierPrompt(single=SINGLE, several=SEVERAL, cue="\nAnswer:", asks=TaskKind.CONTAINS)

FRAME_TOKENS = 3
"""Tokens of "Excerpt:" before a window."""


def shown(text: str, mode: str) -> str:
    """Return a window as a call of its own shows it (``single``), or as a list does (``list``): one harmless line."""
    line = for_prompt(text).strip()
    return f"Excerpt: {line}" if mode == "single" else line


def window_question(example: Example, mode: str) -> Question:
    """Return the question about a window of the record."""
    return Question(
        key=example.key,
        kind=str(example.kind),
        decile=example.decile,
        truth=example.activating,
        shown=shown(example.text, mode),
        text=example.text,
    )
