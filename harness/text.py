"""Foreign text made harmless to show: to a language model, or on a terminal.

Windows of a corpus, replies of a model and imported explanations are written by strangers. Shown as they are, they
could end a line of a prompt, pose as a chat template's own tokens, reorder a line (bidirectional marks) or drive a
terminal (escape sequences). Records keep such text as it came; only what is shown goes through here, and only here.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right

__all__ = ["MOST_SHOWN", "NEWLINE", "TAB", "for_prompt", "for_terminal", "part_shown"]

MOST_SHOWN = 4_000
"""Characters of one text, an explanation for instance, that a prompt shows at most."""

NEWLINE = "\u21b5"
"""What stands for a line break."""

TAB = "\u21e5"
"""What stands for a tab."""

_ELLIPSIS = "\u2026"
_SHOWN = {"\n": NEWLINE, "\t": TAB}
# Unassigned characters are left alone: which ones those are differs between versions of Python's Unicode tables.
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
# Openings of the control tokens of common chat templates: servers parse them wherever they stand in a rendered prompt.
_CONTROL_TOKEN = re.compile(
    r"(?P<bar><(?=[|\uff5c])|[|\uff5c](?=>))"
    r"|(?P<tag><(?=/?(?:s|bos|eos|pad|unk|sys|start_of_turn|end_of_turn|tool_call|tool_response|think)>))"
    r"|(?P<square>\[(?=/?(?:INST|TOOL_CALLS|AVAILABLE_TOOLS|SYSTEM_PROMPT)\]))",
    re.IGNORECASE,
)


def for_prompt(text: str, *, limit: int = MOST_SHOWN, keep_end: bool = False) -> str:
    """Return ``text`` on one line, fit to stand inside a prompt; text made fit already is returned unchanged.

    Line breaks and tabs become glyphs, other unseen characters (control, format, private use, lone surrogates) their
    escape, and a space breaks up whatever a chat template would take for one of its own tokens.

    Args:
        text: Any text.
        limit: Most characters to return; longer text is cut and ends in an ellipsis.
        keep_end: Cut off the beginning instead, where it is the end that matters; the ellipsis then stands first.
    """
    shown = _fit(text)
    return _ELLIPSIS + shown[len(shown) - limit + 1 :] if keep_end and len(shown) > limit else _cut(shown, limit)


def part_shown(text: str, *, limit: int = MOST_SHOWN) -> str:
    """Return ``text`` as it came, but no more of it than ``for_prompt`` shows; unchanged where it shows all.

    For what reads an explanation and no prompt, an embedder for instance, so that every scorer reads the same text.

    Args:
        text: Any text.
        limit: Most characters that a prompt shows; longer text is cut where a prompt cuts it and ends in an ellipsis.
    """
    if len(_fit(text)) <= limit:
        return text
    # A line break of two characters is shown as one; nothing else is shown as less than it is.
    ends = range(min(len(text), 2 * limit) + 1)
    return text[: bisect_right(ends, limit - 1, key=lambda end: len(_fit(text[:end]))) - 1] + _ELLIPSIS


def for_terminal(text: str, *, limit: int = 200) -> str:
    """Return ``text`` on one line, free of anything a terminal would obey.

    Args:
        text: Any text.
        limit: Most characters to return; longer text is cut and ends in an ellipsis.
    """
    return _cut(_seen(text), limit)


def _fit(text: str) -> str:
    return _CONTROL_TOKEN.sub(r"\g<0> ", _seen(text))


def _seen(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text.replace("\r\n", "\n")))


def _shown(character: str) -> str:
    if character in _SHOWN:
        return _SHOWN[character]
    if unicodedata.category(character) not in _UNSEEN:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + _ELLIPSIS
