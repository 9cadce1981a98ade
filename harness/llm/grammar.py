"""Grammars in llama.cpp's notation (GBNF): one for fixed choices, one for a JSON Schema. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["choice_grammar", "schema_grammar"]

_MOST_ITEMS = 512
_DEPTH = 16
_ANNOTATIONS = frozenset({"$schema", "$id", "title", "description", "default", "examples"})
_KEYWORDS = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "string": frozenset[str](),
    "integer": frozenset[str](),
    "number": frozenset[str](),
    "boolean": frozenset[str](),
    "null": frozenset[str](),
}
_RULES = {
    "string": r'"\"" ([^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" hex hex hex hex))* "\""',
    "hex": "[0-9a-fA-F]",
    # Bounded, since a model that has begun to write digits may never end; and so always finite.
    "integer": f'"-"? ("0" | [1-9]{" [0-9]?" * 15})',
    "number": f'integer ("." [0-9]{" [0-9]?" * 19})? ([eE] [-+]? [0-9] [0-9]?)?',
    "boolean": '"true" | "false"',
    "null": '"null"',
}
_NEEDS = {"string": ("string", "hex"), "number": ("number", "integer")}
_COMMA, _COLON = '"," " "?', '":" " "?'


class _UnsupportedError(Exception):
    """The schema says something that these grammars cannot say. Never leaves this module."""


def choice_grammar(choices: Sequence[str]) -> str:
    """Return the grammar whose only sentences are ``choices``."""
    return "root ::= " + " | ".join(map(_literal, choices))


def schema_grammar(schema: Mapping[str, Any]) -> str | None:
    """Return a grammar whose sentences are JSON values that ``schema`` allows, or None if it says too much for one.

    Sentences are JSON on one line, with at most one blank after a comma or colon. Objects have the properties of the
    schema, all of them and in its order, optional ones too. Known: fixed properties, arrays with ``minItems`` and
    ``maxItems``, ``enum``, ``const``, ``anyOf``, lists of types, strings, integers, numbers, booleans and null without
    further conditions; integers have at most 16 digits, numbers 20 after the point and two in the exponent.
    Anything else gives None rather than a grammar that allows what the schema forbids.
    """
    used: dict[str, str] = {}
    try:
        root = _value(schema, used, 0)
    except _UnsupportedError:
        return None
    return "\n".join([f"root ::= {root}", *(f"{name} ::= {body}" for name, body in sorted(used.items()))])


def _value(schema: Any, used: dict[str, str], depth: int) -> str:
    if not isinstance(schema, dict) or depth > _DEPTH:
        raise _UnsupportedError
    fields = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
    kind = fields.pop("type", None)
    for keyword in ("enum", "const", "anyOf"):
        if keyword in fields:
            return _alternatives(keyword, fields, kind, used, depth)
    if isinstance(kind, list) and kind:
        return _either(_value({**fields, "type": one}, used, depth + 1) for one in kind)
    if not isinstance(kind, str) or kind not in _KEYWORDS or set(fields) - _KEYWORDS[kind]:
        raise _UnsupportedError
    if kind == "object":
        return _object(fields, used, depth)
    if kind == "array":
        return _array(fields, used, depth)
    for name in _NEEDS.get(kind, (kind,)):
        used[name] = _RULES[name]
    return kind


def _alternatives(keyword: str, fields: Mapping[str, Any], kind: Any, used: dict[str, str], depth: int) -> str:
    if set(fields) != {keyword}:
        raise _UnsupportedError
    if keyword == "anyOf":
        # A type beside it would narrow every alternative.
        if kind is not None or not isinstance(fields["anyOf"], list) or not fields["anyOf"]:
            raise _UnsupportedError
        return _either(_value(one, used, depth + 1) for one in fields["anyOf"])
    values = fields["enum"] if keyword == "enum" else [fields["const"]]
    fitting = [value for value in values if _is_a(value, kind)] if isinstance(values, list) else []
    if not fitting or not all(value is None or isinstance(value, (bool, int, float, str)) for value in fitting):
        raise _UnsupportedError
    return _either(_literal(json.dumps(value, ensure_ascii=False)) for value in fitting)


def _is_a(value: Any, kind: Any) -> bool:
    if kind is None:
        return True
    kinds = kind if isinstance(kind, list) else [kind]
    found = {
        "null": value is None,
        "boolean": isinstance(value, bool),
        "string": isinstance(value, str),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, (int, float)) and not isinstance(value, bool),
    }
    return any(found.get(one, False) for one in kinds if isinstance(one, str))


def _either(alternatives: Any) -> str:
    return f"({' | '.join(alternatives)})"


def _object(fields: Mapping[str, Any], used: dict[str, str], depth: int) -> str:
    properties = fields.get("properties", {})
    required = fields.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        raise _UnsupportedError
    if any(name not in properties for name in required if isinstance(name, str)):
        raise _UnsupportedError
    if not isinstance(fields.get("additionalProperties", False), bool):
        raise _UnsupportedError
    members = [
        f"{_literal(json.dumps(name, ensure_ascii=False))} {_COLON} {_value(value, used, depth + 1)}"
        for name, value in properties.items()
    ]
    return f'"{{" {f" {_COMMA} ".join(members)} "}}"' if members else '"{}"'


def _array(fields: Mapping[str, Any], used: dict[str, str], depth: int) -> str:
    least, most = fields.get("minItems", 0), fields.get("maxItems")
    bounds = [least] if most is None else [least, most]
    if any(isinstance(bound, bool) or not isinstance(bound, int) for bound in bounds) or "items" not in fields:
        raise _UnsupportedError
    if not 0 <= least <= _MOST_ITEMS or (most is not None and not least <= most <= _MOST_ITEMS):
        raise _UnsupportedError
    if most == 0:
        return '"[]"'
    item = _value(fields["items"], used, depth + 1)
    further = f"{_COMMA} {item}"
    # Written out rather than with {m,n}, which older servers do not read.
    parts = [item, *[further] * (max(least, 1) - 1)]
    if most is None:
        parts.append(f"({further})*")
    else:
        free = most - max(least, 1)
        parts.append(f"({further} " * free + ")?" * free)
    items = " ".join(part for part in parts if part)
    return f'"[" {items} "]"' if least else f'"[" ({items})? "]"'


def _literal(text: str) -> str:
    return f'"{"".join(map(_char, text))}"'


def _char(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    code = ord(char)
    if 0x20 <= code < 0x7F:  # noqa: PLR2004 -- printable ASCII
        return char
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"  # noqa: PLR2004 -- end of the basic plane
