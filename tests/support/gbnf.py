"""Reads the part of llama.cpp's grammar notation that ``harness.llm.grammar`` writes: into a regular expression.

Those grammars never recurse, so that every rule can be put in the place of its name.
"""

from __future__ import annotations

import re

__all__ = ["grammar_regex"]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|[A-Za-z][A-Za-z-]*|[()|?*+]| +')
_ESCAPE = re.compile(r"\\(x[0-9A-F]{2}|u[0-9A-F]{4}|U[0-9A-F]{8}|.)")


def grammar_regex(grammar: str) -> str:
    """Return a regular expression with the same sentences as ``grammar``.

    Raises:
        ValueError: If the grammar is not well formed.
    """
    rules = dict(line.split(" ::= ", 1) for line in grammar.split("\n"))
    return _expand("root", rules, ())


def _expand(name: str, rules: dict[str, str], above: tuple[str, ...]) -> str:
    if name in above or name not in rules:
        message = f"rule {name} is recursive or missing"
        raise ValueError(message)
    body, place, parts = rules[name], 0, []
    while place < len(body):
        match = _TOKEN.match(body, place)
        if match is None:
            message = f"cannot read {body[place : place + 20]!r}"
            raise ValueError(message)
        parts.append(_part(match.group(), rules, (*above, name)))
        place = match.end()
    return f"(?:{''.join(parts)})"


def _part(piece: str, rules: dict[str, str], above: tuple[str, ...]) -> str:
    if piece.isspace():
        return ""
    if piece[0] == '"':
        return f"(?:{re.escape(_ESCAPE.sub(_char, piece[1:-1]))})"
    if piece[0] == "[":
        return piece
    if piece == "(":
        return "(?:"
    return piece if piece in ")|?*+" else _expand(piece, rules, above)


def _char(match: re.Match[str]) -> str:
    found = match.group(1)
    return chr(int(found[1:], 16)) if len(found) > 1 else found
