"""The published JSON Schemas, derived from the record dataclasses.

``python -m harness.results.schemas`` writes them to ``harness/results/schema/``; a test fails if they have drifted.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
import typing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.results.codec import is_required
from harness.results.manifest import Manifest
from harness.results.records import (
    SCHEMA_VERSION,
    ExplanationLine,
    FeatureLine,
    ItemLine,
    LeaderboardRow,
    ScoreLine,
)

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

__all__ = ["DIALECT", "KINDS", "SCHEMA_FOLDER", "json_schema", "render_schema", "validator", "write_schemas"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

KINDS: dict[str, type] = {
    "explanations": ExplanationLine,
    "features": FeatureLine,
    "items": ItemLine,
    "leaderboard": LeaderboardRow,
    "manifest": Manifest,
    "scores": ScoreLine,
}
"""The record dataclass of each file of a results folder, by the file's name without its ending."""

SCHEMA_FOLDER = Path(__file__).parent / "schema"

_SCALARS: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def json_schema(kind: type) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a record dataclass.

    Fields without a default, and ``schema_version``, are required; no other fields are allowed.
    """
    definitions: dict[str, Any] = {}
    body = _object(kind, definitions)
    schema = {"$schema": DIALECT, "title": kind.__name__, "description": _summary(kind), **body}
    if definitions:
        schema["$defs"] = {name: definitions[name] for name in sorted(definitions)}
    return schema


def render_schema(kind: type) -> str:
    """Return the text of the published schema file of a record dataclass."""
    return json.dumps(json_schema(kind), indent=2) + "\n"


@cache
def validator(kind: type) -> Draft202012Validator:
    """Return the ``jsonschema`` validator of a record dataclass, made once.

    The harness itself checks with ``harness.results.codec``, which is faster and accepts the same.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415  -- only checkers of foreign files need it

    return Draft202012Validator(json_schema(kind))


def write_schemas(folder: Path = SCHEMA_FOLDER) -> list[Path]:
    """Write every published schema into ``folder`` and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, kind in KINDS.items():
        path = folder / f"{name}.json"
        path.write_text(render_schema(kind), "utf-8")
        paths.append(path)
    return paths


def _object(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    return {
        "type": "object",
        "properties": {field.name: _field(field, hints[field.name], definitions) for field in fields},
        "required": [field.name for field in fields if is_required(field)],
        "additionalProperties": False,
    }


def _field(field: dataclasses.Field[Any], annotation: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if field.name == "schema_version":
        return {"const": SCHEMA_VERSION}
    if "enum" in field.metadata:
        return {"enum": list(field.metadata["enum"])}
    return _type(annotation, definitions)


def _type(annotation: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if annotation is Any:
        return {}
    if annotation in _SCALARS:
        return {"type": _SCALARS[annotation]}
    if dataclasses.is_dataclass(annotation):
        return _reference(typing.cast("type", annotation), definitions)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {types.UnionType, typing.Union}:
        return _union(arguments, definitions)
    if origin is list:
        return {"type": "array", "items": _type(arguments[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(arguments[1], definitions)}
    message = f"no JSON Schema for {annotation}"
    raise TypeError(message)


def _reference(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}
        definitions[kind.__name__] = {"description": _summary(kind), **_object(kind, definitions)}
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _union(arguments: tuple[Any, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    options = [_type(argument, definitions) for argument in arguments if argument is not type(None)]
    if len(options) == 1 and isinstance(options[0].get("type"), str):
        return {**options[0], "type": [options[0]["type"], "null"]}
    return {"anyOf": [*options, {"type": "null"}]}


def _summary(kind: type) -> str:
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


if __name__ == "__main__":
    write_schemas()
