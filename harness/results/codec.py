"""Between record dataclasses and JSON: one fast checker per dataclass, built once from its annotations.

``jsonschema`` takes a fifth of a millisecond and more per line, which is too slow for files of hundreds of thousands of
lines. The checkers made here accept exactly what the published schemas accept (a property test says so) and build the
record in the same pass.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import types
import typing
from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, NoReturn, TypeVar

from harness.errors import ResultsError
from harness.identity import plain
from harness.results.records import SCHEMA_VERSION

__all__ = ["InvalidRecordError", "decode", "encode", "is_required", "parse", "to_json"]

Record = TypeVar("Record")
Decoder = Callable[[Any], Any]

_SHOWN = 60
"""Longest piece of a wrong value that an error message repeats."""

_UNSAFE = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
"""Characters that JSON allows raw but that move a cursor, hide or reorder text, split lines, or are no characters."""


class InvalidRecordError(ResultsError):
    """A record that its schema does not allow. ``path`` says which field."""

    def __init__(self, what: str, path: tuple[str, ...] = ()) -> None:
        self.problem = what
        self.path = path
        super().__init__(f"{'.'.join(path)}: {what}" if path else what)

    def inside(self, name: str) -> InvalidRecordError:
        """Return the same error seen from the record that holds the field ``name``."""
        return InvalidRecordError(self.problem, (name, *self.path))


def to_json(record: Any) -> Any:
    """Return a record as JSON types: dataclass fields in their order, free-form objects sorted by key."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        values = ((name, getattr(record, name), omitted) for name, omitted in _names(type(record)))
        return {name: to_json(value) for name, value, omitted in values if not (omitted and value is None)}
    if isinstance(record, dict):
        return {str(key): to_json(record[key]) for key in sorted(record, key=str)}
    if isinstance(record, (list, tuple)):
        return [to_json(item) for item in record]
    return plain(record)


def encode(record: Any, *, indent: int | None = None) -> str:
    """Return a record as one line of JSON without the newline (several if ``indent``), checked against its schema.

    Letters of all scripts stay readable; control and direction characters and lone surrogates are escaped, so that a
    line is one line in every reader and harmless in a terminal.

    Raises:
        InvalidRecordError: If a field has a value its schema does not allow, NaN and infinity among them.
    """
    value = to_json(record)
    kind: Any = type(record)
    _decoder(kind)(value)
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=separators, indent=indent)
    return _UNSAFE.sub(_escape, text)


def decode(kind: type[Record], value: Any) -> Record:
    """Return the record of dataclass ``kind`` that the JSON value ``value`` is.

    Raises:
        InvalidRecordError: If the schema of ``kind`` does not allow it, or a newer harness wrote it.
    """
    if isinstance(value, dict):
        version = value.get("schema_version")
        if type(version) is int and version > SCHEMA_VERSION:
            raise InvalidRecordError(
                f"written by a newer harness (schema_version {version}; this one reads {SCHEMA_VERSION}): upgrade it"
            )
    hashable: Any = kind  # mypy takes a dataclass's type for one without a hash
    record: Record = _decoder(hashable)(value)
    return record


def parse(kind: type[Record], text: str | bytes) -> Record:
    """Return the record of dataclass ``kind`` written as the JSON ``text``.

    Raises:
        InvalidRecordError: If the text is not JSON, or as ``decode``.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InvalidRecordError(f"not JSON: {error.msg} at character {error.pos}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise InvalidRecordError(f"not JSON: {type(error).__name__}") from error
    return decode(kind, value)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x10000:  # noqa: PLR2004  -- the end of the basic plane, where one \u escape suffices
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidRecordError(f"{name} is not JSON; an undefined value is null")


@cache
def _names(kind: type) -> tuple[tuple[str, bool], ...]:
    """Return the name of each field, and whether it is left out where it is None."""
    return tuple((field.name, "omit" in field.metadata) for field in dataclasses.fields(kind))


@cache
def _decoder(kind: Hashable) -> Decoder:
    """Return the function that checks a JSON object and builds a ``kind``."""
    make: Any = kind
    hints = typing.get_type_hints(make)
    fields = [
        (field.name, _field_decoder(field, hints[field.name]), is_required(field)) for field in dataclasses.fields(make)
    ]
    known = frozenset(name for name, _, _ in fields)

    def decode_record(value: Any) -> Any:
        if type(value) is not dict:
            raise _wrong("an object", value)
        given: dict[str, Any] = {}
        for name, decoder, required in fields:
            if name in value:
                try:
                    given[name] = decoder(value[name])
                except InvalidRecordError as error:
                    raise error.inside(name) from None
            elif required:
                raise InvalidRecordError("is missing", (name,))
        if len(given) != len(value):
            unknown = ", ".join(sorted(str(name) for name in value if name not in known))
            raise InvalidRecordError(f"unknown field {_short(unknown)}")
        return make(**given)

    return decode_record


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Return whether a line must have the field: it has no default, or says which schema the line is of."""
    has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    return not has_default or field.name == "schema_version"


def _field_decoder(field: dataclasses.Field[Any], annotation: Any) -> Decoder:
    if field.name == "schema_version":
        return _one_of((SCHEMA_VERSION,))
    if "enum" in field.metadata:
        return _one_of(tuple(field.metadata["enum"]))
    return _for_type(annotation)


def _for_type(annotation: Any) -> Decoder:
    scalar = _SCALARS.get(annotation)
    if scalar is not None:
        return scalar
    if dataclasses.is_dataclass(annotation):
        kind: Any = annotation
        return _decoder(kind)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {types.UnionType, typing.Union}:
        inner = [argument for argument in arguments if argument is not type(None)]
        if len(inner) == 1 and len(arguments) > 1:
            return _optional(_for_type(inner[0]))
    if origin is list:
        return _list(_for_type(arguments[0]))
    if origin is dict and arguments[0] is str:
        return _map(_for_type(arguments[1]))
    message = f"a record field cannot be of type {annotation}"
    raise TypeError(message)


def _optional(inner: Decoder) -> Decoder:
    return lambda value: None if value is None else inner(value)


def _list(inner: Decoder) -> Decoder:
    def decode_list(value: Any) -> list[Any]:
        if type(value) is not list:
            raise _wrong("an array", value)
        items = []
        for index, item in enumerate(value):
            try:
                items.append(inner(item))
            except InvalidRecordError as error:
                raise error.inside(str(index)) from None
        return items

    return decode_list


def _map(inner: Decoder) -> Decoder:
    def decode_map(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _wrong("an object", value)
        entries = {}
        for key, item in value.items():
            try:
                entries[key] = inner(item)
            except InvalidRecordError as error:
                raise error.inside(_short(key)) from None
        return entries

    return decode_map


def _one_of(allowed: tuple[Any, ...]) -> Decoder:
    named = " or ".join(json.dumps(value) for value in allowed)

    def decode_choice(value: Any) -> Any:
        if isinstance(value, bool) or value not in allowed:
            raise _wrong(named, value)
        return value

    return decode_choice


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong("a string", value)
    return value


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    # JSON does not tell 3.0 from 3, and neither does JSON Schema.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise _wrong("an integer", value)


def _number(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _wrong("a number", value)
    if isinstance(value, float) and not math.isfinite(value):
        raise _wrong("a finite number (undefined is null)", value)
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong("true or false", value)
    return value


def _anything(value: Any) -> Any:
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, dict):
        return _map(_anything)(value)
    if isinstance(value, list):
        return _list(_anything)(value)
    return value


_SCALARS: dict[Any, Decoder] = {str: _text, int: _integer, float: _number, bool: _boolean, Any: _anything}


def _wrong(expected: str, value: Any) -> InvalidRecordError:
    return InvalidRecordError(f"expected {expected}, not {_short(repr(value))}")


def _short(text: str) -> str:
    shown = text.encode("unicode_escape").decode("ascii")
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
