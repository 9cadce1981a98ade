"""The published schemas: what the code says, complete, and valid themselves."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.results.manifest import Manifest
from harness.results.schemas import KINDS, SCHEMA_FOLDER, json_schema, render_schema, write_schemas

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "records.md"


@pytest.mark.parametrize("name", KINDS)
def test_the_published_file_has_not_drifted(name: str) -> None:
    published = (SCHEMA_FOLDER / f"{name}.json").read_text("utf-8")
    assert published == render_schema(KINDS[name]), "run: python -m harness.results.schemas"


def test_no_schema_of_a_kind_that_is_gone_is_published() -> None:
    assert sorted(path.stem for path in SCHEMA_FOLDER.iterdir()) == sorted(KINDS)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_is_a_valid_schema_of_its_dialect(kind: type) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema(kind))


def test_optional_fixed_and_nested_fields() -> None:
    properties = json_schema(KINDS["scores"])["properties"]
    assert properties["error"] == {"type": ["string", "null"]}
    assert properties["status"] == {"enum": ["scored", "error", "no_explanation"]}
    assert properties["metrics"] == {"type": "object", "additionalProperties": {"type": ["number", "null"]}}
    assert properties["usage"] == {"$ref": "#/$defs/UsageLine"}
    assert properties["schema_version"] == {"const": 1}


def test_fields_without_a_default_and_the_version_are_required() -> None:
    schema = json_schema(KINDS["items"])
    assert schema["required"][-1] == "schema_version"
    assert "truth" in schema["required"]
    assert "text" not in schema["required"]
    assert schema["additionalProperties"] is False


def test_writing_them_gives_one_file_per_kind(tmp_path: Path) -> None:
    paths = write_schemas(tmp_path / "new")
    assert [path.stem for path in paths] == list(KINDS)
    assert json.loads(paths[0].read_text())["$schema"].endswith("2020-12/schema")


def test_a_type_without_a_schema_is_a_defect_of_ours() -> None:
    @dataclasses.dataclass
    class Odd:
        when: complex

    with pytest.raises((TypeError, NameError)):
        json_schema(Odd)


def _documented(kind: Any) -> list[str]:
    return [f"`{field.name}`" for field in dataclasses.fields(kind)]


@pytest.mark.parametrize("kind", [*KINDS.values()], ids=KINDS)
def test_every_field_is_in_the_reference(kind: type) -> None:
    text = REFERENCE.read_text("utf-8")
    missing = [name for name in _documented(kind) if name not in text]
    assert not missing


def test_the_manifest_is_among_them() -> None:
    assert KINDS["manifest"] is Manifest
