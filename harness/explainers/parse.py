"""From a model's reply to an explanation, or to the outcome that says why there is none."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.outcome import Outcome

__all__ = ["MARKER", "MAX_CHARACTERS", "MAX_UNMARKED_WORDS", "ParsedReply", "parse_reply"]

MARKER = "[EXPLANATION]:"
"""What a reply is asked to write before the explanation."""

MAX_CHARACTERS = 600
"""A longer explanation is not one: it is left unparsed rather than cut."""

MAX_UNMARKED_WORDS = 40
"""A reply without the marker is taken for the explanation up to this many words."""

_MARKER = re.compile(
    r"[*_`#> ]*\[\s*explanation\s*\][*_`]*[ \t]*:?[*_`]*"
    r"|^[*_`#> ]*explanation[*_`]*[ \t]*:[*_`]*",
    re.IGNORECASE | re.MULTILINE,
)
_REFUSAL = re.compile(
    r"i(?:['\u2019]?m| am) (?:very |really )?sorry\b"
    r"|(?:sorry|unfortunately|my apologies|apologies)(?:,|\.|!| but | i )"
    r"|i (?:can(?:not|['\u2019]?t)|won['\u2019]?t|will not|must decline|am (?:unable|not able))\b"
    r"|i['\u2019]m (?:unable|not able)\b"
    r"|as an? (?:ai|artificial|large language|language) ",
    re.IGNORECASE,
)
_QUOTES = (('"', '"'), ("'", "'"), ("\u201c", "\u201d"), ("\u2018", "\u2019"), ("\u00ab", "\u00bb"))
_EMPHASIS = ("***", "**", "__", "*", "_", "`")
_PLACEHOLDER = re.compile(r"[\W_]*|<[^<>]*>|\[[^\[\]]*\]")


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """An explanation, or why there is none. ``text`` is None exactly when ``outcome`` is not OK."""

    text: str | None
    outcome: Outcome
    error: str | None = None


def parse_reply(reply: str, *, truncated: bool = False, marker_required: bool = False) -> ParsedReply:
    """Return the explanation in ``reply``.

    The text after the last marker, up to the end of its line (of the next one, if its own is blank). Without a marker,
    the whole reply if it is a single line of at most ``MAX_UNMARKED_WORDS`` words: small models often answer with the
    explanation alone. Quotes, Markdown emphasis and list bullets around it are taken off. Nothing is ever cut.

    Args:
        reply: What the model wrote.
        truncated: Whether the reply stopped at its token limit; only a line that ended before that is then taken.
        marker_required: Refuse replies without the marker, as where reasoning precedes the explanation.
    """
    if _REFUSAL.match(reply.lstrip()):
        return ParsedReply(None, Outcome.REFUSED, "the model declined to answer")
    found = list(_MARKER.finditer(reply))
    if not found and (marker_required or truncated):
        outcome = Outcome.TRUNCATED if truncated else Outcome.UNPARSED
        return ParsedReply(None, outcome, f"the reply has no {MARKER}")
    rest = reply[found[-1].end() :] if found else reply
    lines = [line.strip() for line in rest.splitlines() if line.strip()]
    if truncated and len(lines) <= 1 and not (lines and rest.endswith("\n")):
        return ParsedReply(None, Outcome.TRUNCATED, "the reply stopped at its token limit before the explanation ended")
    if not found and len(lines) > 1:
        return ParsedReply(None, Outcome.UNPARSED, f"the reply has several lines and no {MARKER}")
    return _checked(_clean(lines[0]) if lines else "", marked=bool(found))


def _checked(text: str, *, marked: bool) -> ParsedReply:
    if _PLACEHOLDER.fullmatch(text):
        return ParsedReply(None, Outcome.UNPARSED, "the explanation is blank")
    if _REFUSAL.match(text):
        return ParsedReply(None, Outcome.REFUSED, "the model declined to answer")
    if len(text) > MAX_CHARACTERS:
        return ParsedReply(None, Outcome.UNPARSED, f"the explanation is longer than {MAX_CHARACTERS} characters")
    if not marked and (len(text.split()) > MAX_UNMARKED_WORDS or text.endswith((":", "?"))):
        return ParsedReply(None, Outcome.UNPARSED, f"the reply has no {MARKER} and is no short sentence")
    return ParsedReply(text, Outcome.OK)


def _clean(line: str) -> str:
    text = " ".join(line.split())
    text = re.sub(r"^(?:[-*\u2022]|\d+[.)])\s+", "", text)
    previous = None
    while text != previous:
        previous = text
        text = _unwrap(text).strip()
    return text


def _unwrap(text: str) -> str:
    """Return ``text`` without one pair of quotes or emphasis around the whole of it."""
    for opening, closing in (*_QUOTES, *((mark, mark) for mark in _EMPHASIS)):
        inner = text[len(opening) : len(text) - len(closing)]
        whole = len(text) > len(opening) + len(closing) and text.startswith(opening) and text.endswith(closing)
        if whole and opening not in inner and closing not in inner:
            return inner
    # The other half of an emphasis that began before the marker.
    return text[:-2] if text.endswith("**") and text.count("**") == 1 else text
