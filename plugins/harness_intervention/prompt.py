"""What the judge reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.api import Message, for_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CUE", "described", "description_words", "likelihood_prompt", "set_messages", "token_messages"]

CUE = "\nDescription:"
"""What stands right before the description. Shown texts are one line each, so nothing in them reads like it."""

LIKELIHOOD = """Each passage below was written by a language model while one of its internal features was turned up. \
The description says what this feature makes the model write.

Passage: of the boats in the bay, and the sails were
Description: sailing and the sea

Passage: )) { return null; } else { throw
Description: program code in a language with braces

Passage: 1987, and again in the spring of 1988
Description: years of the twentieth century

Passage: """

SET = """A feature of a language model was turned up, and the model then wrote short continuations of several texts. \
Given a description of what the feature makes the model write, and some continuations, say whether they show what is \
described. Answer with one word: Yes or No.

Description: sailing and the sea
Continuations:
- of the boats in the bay, and
- harbour, where the sails were
Answer: Yes

Description: sailing and the sea
Continuations:
- the minister said on Tuesday that
- is a number of small companies
Answer: No

Description: program code in a language with braces
Continuations:
- )) { return null; }
- the end of the first part
Answer: Yes"""

NAMING = """A feature of a language model, when it is active, makes certain next tokens more likely. Given a \
description of the feature and one token, say whether the token is among those that the description says the feature \
makes more likely. A token may be a word, a piece of a word or a sign. Answer with one word: Yes or No.

Description: names of fruit
Token: " mango"
Answer: Yes

Description: names of fruit
Token: " bridge"
Answer: No

Description: closing brackets in code
Token: "))"
Answer: Yes

Description: the endings of past-tense verbs
Token: " Monday"
Answer: No"""


def likelihood_prompt(text: str, explanation: str) -> str:
    """Return the text whose last part, behind ``CUE``, is the explanation; both are made harmless here."""
    return f"{LIKELIHOOD}{for_prompt(text.strip())}{CUE}{_described_end(explanation)}"


def description_words(explanation: str) -> tuple[str, ...]:
    """Return the explanation as the prompt shows it, cut into words with the blank before each."""
    return tuple(re.findall(r"\s*\S+", _described_end(explanation)))


def described(explanation: str) -> str:
    """Return the part of a chat prompt that all questions about an explanation share."""
    return f"Description: {for_prompt(explanation.strip())}\n"


def set_messages(texts: Sequence[str], explanation: str) -> tuple[Message, ...]:
    """Return the messages that ask whether continuations show what the explanation says."""
    shown = "\n".join(f"- {for_prompt(text.strip())}" for text in texts)
    return (Message("system", SET), Message("user", f"{described(explanation)}Continuations:\n{shown}\nAnswer:"))


def token_messages(token: str, explanation: str) -> tuple[Message, ...]:
    """Return the messages that ask whether the explanation says that a token is promoted."""
    return (
        Message("system", NAMING),
        Message("user", f'{described(explanation)}Token: "{for_prompt(token)}"\nAnswer:'),
    )


def _described_end(explanation: str) -> str:
    shown = for_prompt(explanation.strip())
    return f" {shown}" if shown else ""
