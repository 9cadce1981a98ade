"""What the model reads whose surprisal is measured: a text to go on with, not a chat."""

from __future__ import annotations

__all__ = ["before_window"]

_EXAMPLES = """Each excerpt below was cut out of a longer text. The note before it says what stands out in it.

Note: Names of fruit
Excerpt:
she bought two ripe mangoes and a bag of plums before the

Note: Various kinds of text
Excerpt:
 is the largest lake of the region and supplies water to

Note: Closing brackets in code
Excerpt:
 return max(a, b); } // end of helper

Note: Past-tense verbs of motion
Excerpt:
 and the dog ran over the bridge, climbed the bank and

Note: """


def before_window(described: str) -> str:
    """Return what stands before a window; ``described`` must already be harmless, on one line."""
    return f"{_EXAMPLES}{described}\nExcerpt:\n"
