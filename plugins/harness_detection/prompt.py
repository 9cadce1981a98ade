"""What the detection judge reads."""

from __future__ import annotations

from harness.api import ClassifierPrompt, TaskKind, for_prompt

__all__ = ["PROMPT", "shown_alone", "shown_in_list"]

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

PROMPT = ClassifierPrompt(single=SINGLE, several=SEVERAL, cue="\nAnswer:", asks=TaskKind.CONTAINS)


def shown_alone(text: str) -> str:
    """Return a window as a call of its own shows it."""
    return f"Excerpt: {shown_in_list(text)}"


def shown_in_list(text: str) -> str:
    """Return a window as a list shows it: one harmless line."""
    return for_prompt(text).strip()
