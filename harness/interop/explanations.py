"""Explanation sets from files: JSONL or CSV with a feature and a text, or the ``explanations.jsonl`` of a run."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError
from harness.identity import file_sha256
from harness.interop.lines import read_rows
from harness.text import for_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.interop.lines import Row

__all__ = ["MAX_TEXT_CHARACTERS", "Columns", "ImportedExplanation", "ImportedSet", "read_explanations"]

MAX_TEXT_CHARACTERS = 2_000
"""Longest explanation accepted. Within it a text is kept as it is, control characters included."""

_MAX_AUTHOR_CHARACTERS = 200
_SET = "explanation_set"
_OUTCOME = "outcome"
_UNIT = "unit"
_INDEX = re.compile(r"[0-9]{1,18}")
_END = 10**18
_FAILED = frozenset({"unparsed", "refused", "truncated", "error"})
_Key = tuple[str | None, int]


@dataclass(frozen=True, slots=True)
class Columns:
    """What the fields are called."""

    feature: str = "feature"
    text: str = "text"
    subject: str = "subject"
    author: str = "author"


@dataclass(frozen=True, slots=True)
class ImportedExplanation:
    """One explanation of a file.

    Attributes:
        subject: The subject it is about, or None for whatever subject has the feature.
        feature: The feature it is about.
        text: The explanation; None where the file says that there is none.
        outcome: What the file says became of it, ``ok`` where it says nothing.
        author: Who wrote it, if the file says so.
        explanation_set: The set it belongs to, if the file says so.
        unit: Its id in the run that wrote it: a later line with the same id replaces an earlier one.
        where: ``file:line``.
    """

    subject: str | None
    feature: int
    text: str | None
    outcome: str
    author: str | None
    explanation_set: str | None
    unit: str | None
    where: str


class ImportedSet:
    """The explanations of one file, by subject and feature."""

    def __init__(self, entries: Mapping[_Key, ImportedExplanation]) -> None:
        self._entries = dict(entries)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, subject: str, feature: int) -> ImportedExplanation | None:
        """Return the explanation of a feature: the one that names its subject before the one that names none."""
        return self._entries.get((subject, feature)) or self._entries.get((None, feature))


def read_explanations(
    path: Path,
    *,
    columns: Columns | None = None,
    explanation_set: str | None = None,
    on_duplicate: str = "error",
    sha256: str | None = None,
) -> ImportedSet:
    """Return the explanations in ``path``.

    Args:
        path: A JSONL or CSV file, plain or gzipped.
        columns: What its fields are called.
        explanation_set: The set to take; may be None if the file holds one only.
        on_duplicate: ``error``, ``first`` or ``last``: what to do with several explanations of one feature.
        sha256: Digest the file must have.

    Raises:
        ConfigError: Naming file and line: a malformed line, a missing field, a feature that is no index, a text that
            is too long or no text, a duplicate; or naming the file: another digest, no explanation, several sets.
    """
    if sha256 is not None and (found := file_sha256(path)) != sha256:
        raise ConfigError(f"has the SHA-256 {found}, not {sha256}", where=str(path))
    named = columns or Columns()
    read = [_entry(row, named) for row in read_rows(path)]
    chosen = _one_set(path, read, explanation_set)
    if not chosen:
        raise ConfigError("holds no explanation", where=str(path))
    return ImportedSet(_by_key(_latest(chosen), on_duplicate))


def _one_set(path: Path, entries: list[ImportedExplanation], wanted: str | None) -> list[ImportedExplanation]:
    sets = sorted({entry.explanation_set or "" for entry in entries})
    names = ", ".join(for_terminal(name) or "(unnamed)" for name in sets)
    if wanted is None and len(sets) > 1:
        raise ConfigError(f"holds several sets: {names}", where=str(path), hint="name one as explainer.explanation_set")
    chosen = [entry for entry in entries if wanted is None or entry.explanation_set == wanted]
    if entries and not chosen:
        raise ConfigError(f"holds no set '{wanted}'", where=str(path), hint=f"it holds: {names}")
    return chosen


def _latest(entries: Iterable[ImportedExplanation]) -> list[ImportedExplanation]:
    """Return the entries without those that a later line of the same unit replaced."""
    kept: dict[str, ImportedExplanation] = {}
    for entry in entries:
        kept[entry.unit or entry.where] = entry
    return list(kept.values())


def _by_key(entries: Iterable[ImportedExplanation], on_duplicate: str) -> dict[_Key, ImportedExplanation]:
    found: dict[_Key, ImportedExplanation] = {}
    for entry in entries:
        key = (entry.subject, entry.feature)
        if key not in found or on_duplicate == "last":
            found[key] = entry
        elif on_duplicate == "error":
            earlier = found[key].where.rpartition(":")[2]
            raise ConfigError(
                f"feature {entry.feature} was explained before, in line {earlier}",
                where=entry.where,
                hint="explainer.on_duplicate=first or last",
            )
    return found


def _entry(row: Row, columns: Columns) -> ImportedExplanation:
    for column in (columns.feature, columns.text):
        if column not in row.values:
            known = ", ".join(for_terminal(str(name)) for name in row.values)
            raise ConfigError(f"no field '{column}'", where=row.where, hint=f"it has: {known}")
    outcome = _optional(row, _OUTCOME) or "ok"
    return ImportedExplanation(
        subject=_optional(row, columns.subject),
        feature=_feature(row, columns.feature),
        text=_text(row, columns.text, failed=outcome in _FAILED),
        outcome=outcome,
        author=_optional(row, columns.author),
        explanation_set=_optional(row, _SET),
        unit=_optional(row, _UNIT),
        where=row.where,
    )


def _feature(row: Row, column: str) -> int:
    value = row.values[column]
    if isinstance(value, str) and _INDEX.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)  # data frames write the indices of a column with gaps as 3.0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _END:
        raise ConfigError(f"{column} is {_shown(value)}", where=row.where, hint="an index: 0, 1, 2, ...")
    return value


def _text(row: Row, column: str, *, failed: bool) -> str | None:
    value = row.values[column]
    if failed:
        return None
    if not isinstance(value, str):
        raise ConfigError(f"{column} is {_shown(value)}, not a text", where=row.where)
    if len(value) > MAX_TEXT_CHARACTERS:
        message = f"{column} has {len(value):,} characters, more than {MAX_TEXT_CHARACTERS:,}"
        raise ConfigError(message, where=row.where, hint="shorten it")
    _refuse_surrogates(row, column, value)
    return value


def _optional(row: Row, column: str) -> str | None:
    value = row.values.get(column)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ConfigError(f"{column} is {_shown(value)}, not a text", where=row.where)
    if len(value) > _MAX_AUTHOR_CHARACTERS:
        raise ConfigError(f"{column} has more than {_MAX_AUTHOR_CHARACTERS} characters", where=row.where)
    _refuse_surrogates(row, column, value)
    return value


def _refuse_surrogates(row: Row, column: str, value: str) -> None:
    """Half a character cannot be written to any file: refuse it here, where the line is known."""
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ConfigError(f"{column} holds half a surrogate pair", where=row.where)


def _shown(value: Any) -> str:
    return for_terminal(repr(value), limit=60)
