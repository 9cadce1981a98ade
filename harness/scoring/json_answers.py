"""Reading the JSON in a model's reply, whatever surrounds it and however it is spelt.

Tolerant of form: reasoning and prose around the answer, code fences, single or typographic quotes, Python's True, False
and None, bare keys, trailing commas. Strict about content: nothing is evaluated, nothing is guessed, and what is not
plainly a value is none. One pass; the time is proportional to the length of the reply, whoever wrote it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

__all__ = ["ParsedJSON", "as_flag", "as_number", "parse_json", "parse_json_values", "without_reasoning"]

_DEPTH = 64
_LONGEST_NUMBER = 64
_READ_AGAIN = 20_000  # characters of broken values that are looked into once more
_SPACE = re.compile(r"\s*+")
_NUMBER = re.compile(r"[+-]?+(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+(?![\w.])")
_WORD = re.compile(r"[A-Za-z_$][\w$-]*+")
_BRACKET = re.compile(r"[\[{]")
_QUOTES = {
    '"': re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL),
    "'": re.compile(r"'((?:[^'\\]++|\\.)*+)'", re.DOTALL),
    "\u201c": re.compile("\u201c((?:[^\u201d\\\\]++|\\\\.)*+)\u201d", re.DOTALL),
}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v", "0": "\0", "\n": ""}
_UNICODE_END = 0x110000
_WORDS = {"true": True, "false": False, "null": None, "none": None}
_FENCE = re.compile(r"```(?:[A-Za-z0-9_-]*+(?=\s))?+")
_REASONING = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_FLAGS = {"0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


@dataclass(frozen=True, slots=True)
class ParsedJSON:
    """The value of a reply, or why there is none (``no_json``). ``null`` is a value: see ``failure``."""

    value: Any
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    start: int
    value: Any


class _NoValueError(Exception):
    """No value can be read; carries where to go on."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


def parse_json(reply: str) -> ParsedJSON:
    """Return the JSON value in ``reply``: the whole of it, or the last object or list that is not inside another one.

    A fenced block is preferred to what stands around it, and text before the end of a reasoning block is ignored.
    """
    values = parse_json_values(reply)
    return ParsedJSON(values[-1]) if values else ParsedJSON(None, "no_json")


def parse_json_values(reply: str) -> tuple[Any, ...]:
    """Return the JSON values of which ``parse_json`` takes the last: where they differ, any may be the answer."""
    text = without_reasoning(reply)
    # An answer comes last, so that of several blocks and values the last one is it.
    blocks = [block for block in _FENCE.split(text)[1::2] if block.strip()]
    for part in (*reversed(blocks), text):
        whole = _whole(part)
        if whole is not None:
            return (whole.value,)
        if found := _containers(part):
            return tuple(one.value for one in found)
    return ()


def without_reasoning(reply: str) -> str:
    """Return ``reply`` without its reasoning: what follows the last closing tag, up to one that was left open."""
    tags = list(_REASONING.finditer(reply))
    closed = max((place for place, tag in enumerate(tags) if tag.group(1)), default=-1)
    start = tags[closed].end() if closed >= 0 else 0
    end = tags[closed + 1].start() if closed + 1 < len(tags) else len(reply)
    return reply[start:end]


def as_flag(value: Any) -> bool | None:
    """Return yes or no by value (1, 0, true, false, "yes", "no", numbers as strings), or None if it is neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        flag = _FLAGS.get(value.strip().lower())
        return as_flag(as_number(value)) if flag is None else flag
    if isinstance(value, (int, float)) and value in {0, 1}:
        return bool(value)
    return None


def as_number(value: Any) -> float | None:
    """Return a finite number by value, from a number or a string that is one, or None. True and False are none."""
    if isinstance(value, str):
        text = value.strip()
        match = _NUMBER.fullmatch(text)
        value = _number(text) if match is not None else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _whole(text: str) -> ParsedJSON | None:
    """Return the value that ``text`` is, but for blanks and a full stop."""
    stripped = text.strip().removesuffix(".").strip()
    if not stripped or stripped[0] in "[{":
        return None
    try:
        value, place = _Reader(stripped).value(0, 0)
    except _NoValueError:
        return None
    return ParsedJSON(value) if place == len(stripped) else None


def _containers(text: str) -> list[_Found]:
    """Return the outermost objects and lists in ``text`` in order; of a broken one, the whole ones inside it."""
    reader = _Reader(text)
    match, again = _BRACKET.search(text), _READ_AGAIN
    while match is not None:
        try:
            _, place = reader.value(match.start(), 0)
        except _NoValueError as broken:
            # A bracket or quote that belongs to the prose may hide a value behind it, so reading begins again right
            # after the bracket; but only for so many characters, or many brackets would take the square of the time.
            place, cost = match.end(), broken.place - match.start()
            if cost > again:
                place = max(broken.place, place)
            else:
                again -= cost
        match = _BRACKET.search(text, place)
    return reader.found


class _Reader:
    """Reads values at places of one text, and keeps every object and list that it could read whole."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = len(text)
        self.found: list[_Found] = []

    def value(self, place: int, depth: int) -> tuple[Any, int]:
        """Return the value that begins at ``place`` and where it ends.

        Raises:
            _NoValueError: If there is none.
        """
        char = self._text[place] if place < self._end else ""
        if char == "[":
            return self._container(place, self._list(place, depth))
        if char == "{":
            return self._container(place, self._object(place, depth))
        if char in _QUOTES:
            return self._string(place)
        if (match := _NUMBER.match(self._text, place)) is not None:
            number = _number(match.group())
            if number is None:
                raise _NoValueError(match.end())
            return number, match.end()
        match = _WORD.match(self._text, place)
        if match is not None and (word := match.group().lower()) in _WORDS:
            return _WORDS[word], match.end()
        raise _NoValueError(place)

    def _container(self, start: int, read: tuple[Any, int]) -> tuple[Any, int]:
        while self.found and self.found[-1].start >= start:
            self.found.pop()
        self.found.append(_Found(start, read[0]))
        return read

    def _list(self, place: int, depth: int) -> tuple[list[Any], int]:
        values: list[Any] = []
        place = self._inside(place, depth)
        while self._at(place) != "]":
            value, place = self.value(place, depth + 1)
            values.append(value)
            place = self._next(place, "]")
        return values, place + 1

    def _object(self, place: int, depth: int) -> tuple[dict[str, Any], int]:
        values: dict[str, Any] = {}
        place = self._inside(place, depth)
        while self._at(place) != "}":
            name, place = self._name(place)
            place = self._skip(place)
            if self._at(place) != ":":
                raise _NoValueError(place)
            values[name], place = self.value(self._skip(place + 1), depth + 1)
            place = self._next(place, "}")
        return values, place + 1

    def _name(self, place: int) -> tuple[str, int]:
        if self._at(place) in _QUOTES:
            return self._string(place)
        if (match := _WORD.match(self._text, place)) is None:
            raise _NoValueError(place)
        return match.group(), match.end()

    def _string(self, place: int) -> tuple[str, int]:
        match = _QUOTES[self._text[place]].match(self._text, place)
        if match is None:
            raise _NoValueError(place + 1)
        return _unescaped(match.group(1)), match.end()

    def _inside(self, place: int, depth: int) -> int:
        if depth >= _DEPTH:
            raise _NoValueError(place + 1)
        return self._skip(place + 1)

    def _next(self, place: int, closing: str) -> int:
        """Return where the next value or the closing bracket stands; one comma between, or before the bracket."""
        place = self._skip(place)
        if self._at(place) == ",":
            return self._skip(place + 1)
        if self._at(place) != closing:
            raise _NoValueError(place)
        return place

    def _skip(self, place: int) -> int:
        match = _SPACE.match(self._text, place)
        return place if match is None else match.end()

    def _at(self, place: int) -> str:
        return self._text[place] if place < self._end else ""


def _number(text: str) -> int | float | None:
    if len(text) > _LONGEST_NUMBER:
        return None
    if text.lstrip("+-").isdecimal():
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else None


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(_escape, text)
    # Two escapes that are halves of one character become it; a half alone is no character.
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _escape(match: re.Match[str]) -> str:
    said = match.group(1)
    if len(said) == 1:
        return _ESCAPES.get(said, said)
    code = int(said[1:], 16)
    return chr(code) if code < _UNICODE_END else "\ufffd"
