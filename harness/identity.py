"""Canonical JSON and fingerprints: the one way the harness says that two things are the same."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["LATER", "canonical_json", "file_sha256", "fingerprint", "parameters_of", "plain", "text_sha256"]

_BLOCK = 1 << 20
LATER: dict[str, bool] = {"later": True}
"""Metadata of a parameter that came after others had been in use; see ``parameters_of``."""


def parameters_of(config: Any) -> dict[str, Any]:
    """Return the parameters in a dataclass as plain data, for identities.

    One marked ``LATER`` is left out while it stands at its default: that it can be set made no earlier run a different
    one. Its default must mean what was done before. The same holds for those of a dataclass inside another.
    """
    kept = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.metadata.get("later") and value == _default(field):
            continue
        nested = dataclasses.is_dataclass(value) and not isinstance(value, type)
        kept[field.name] = parameters_of(value) if nested else plain(value)
    return kept


def _default(field: dataclasses.Field[Any]) -> Any:
    factory = field.default_factory
    return field.default if factory is dataclasses.MISSING else factory()


def plain(value: Any) -> Any:  # noqa: PLR0911  -- one return per kind of value reads best
    """Return ``value`` as plain JSON types.

    Dataclasses become objects, enums their value, tuples lists, sets sorted lists, paths strings.

    Raises:
        TypeError: If something has no faithful JSON form.
    """
    if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return value.item()
    message = f"no JSON form for {type(value).__name__}"
    raise TypeError(message)


def canonical_json(value: Any) -> str:
    """Return the one JSON text of ``value``: sorted keys, no white space, ASCII only, NaN and infinity refused."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def fingerprint(value: Any, *, length: int = 32) -> str:
    """Return the first ``length`` hex digits of the SHA-256 of the canonical JSON of ``value``."""
    return text_sha256(canonical_json(value))[:length]


def text_sha256(text: str) -> str:
    """Return the SHA-256 of ``text`` in UTF-8 (lone surrogates kept) as hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def file_sha256(paths: Path | Iterable[Path]) -> str:
    """Return the SHA-256, as hex, of a file's bytes or of several files' bytes one after the other."""
    digest = hashlib.sha256()
    for path in [paths] if isinstance(paths, PurePath) else paths:
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
