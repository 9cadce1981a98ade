"""Foreign text made harmless to show: to a language model, or on a terminal.

Windows of a corpus, replies of a model and imported explanations are written by strangers. Shown as they are, they
could end a line of a prompt, pose as a chat template's own tokens, reorder a line (bidirectional marks) or drive a
terminal (escape sequences). Records keep such text as it came; only what is shown goes through here, and only here.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["NEWLINE", "TAB", "for_prompt", "for_terminal"]

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


def for_prompt(text: str, *, limit: int = 4_000, keep_end: bool = False) -> str:
    """Return ``text`` on one line, fit to stand inside a prompt; text made fit already is returned unchanged.

    Line breaks and tabs become glyphs, other unseen characters (control, format, private use, lone surrogates) their
    escape, and a space breaks up whatever a chat template would take for one of its own tokens.

    Args:
        text: Any text.
        limit: Most characters to return; longer text is cut and ends in an ellipsis.
        keep_end: Cut off the beginning instead, where it is the end that matters; the ellipsis then stands first.
    """
    shown = _CONTROL_TOKEN.sub(r"\g<0> ", _seen(text))
    return _ELLIPSIS + shown[len(shown) - limit + 1 :] if keep_end and len(shown) > limit else _cut(shown, limit)


def for_terminal(text: str, *, limit: int = 200) -> str:
    """Return ``text`` on one line, free of anything a terminal would obey.

    Args:
        text: Any text.
        limit: Most characters to return; longer text is cut and ends in an ellipsis.
    """
    return _cut(_seen(text), limit)


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
