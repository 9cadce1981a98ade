"""The one error hierarchy of the harness.

An error says *what* went wrong, *where*, and how to mend it. ``UserError`` and its children end a command in one line
and exit code 2, without a traceback. Everything that is not a ``HarnessError`` is a defect of ours and keeps its
traceback.
"""

from __future__ import annotations

import unicodedata
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BudgetError",
    "ConfigError",
    "CorpusError",
    "ExampleError",
    "FeatureSourceError",
    "HarnessError",
    "LLMError",
    "MaterialError",
    "PluginError",
    "ResultsError",
    "SubjectError",
    "UnknownNameError",
    "UserError",
    "closest",
]


class HarnessError(Exception):
    """Base of every error the harness raises on purpose.

    Args:
        what: One sentence: what went wrong.
        where: The file, config key, feature or endpoint it concerns.
        hint: What the reader can do about it.
        retryable: Whether the same call may succeed later (a busy endpoint, a dropped connection).
    """

    exit_code = 1

    def __init__(
        self, what: str, *, where: str | None = None, hint: str | None = None, retryable: bool = False
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint
        self.retryable = retryable

    def __str__(self) -> str:
        """Return the whole message on one line: ``where: what. Try: hint``."""
        message = _one_line(f"{self.where}: {self.what}" if self.where else self.what)
        return f"{message.rstrip('.')}. Try: {_one_line(self.hint)}" if self.hint else message


def _one_line(text: str) -> str:
    """Return ``text`` with single spaces and without control characters, which names of files may hold."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(map(_shown, line))


def _shown(character: str) -> str:
    unseen = unicodedata.category(character) in {"Cc", "Cf", "Cs"}
    return character.encode("unicode_escape", "surrogatepass").decode("ascii") if unseen else character


class UserError(HarnessError):
    """A mistake the user can mend; exit code 2, no traceback."""

    exit_code = 2


class ConfigError(UserError):
    """A configuration value is missing, of the wrong type, unknown or contradictory."""


class PluginError(UserError):
    """A plugin that the run needs is broken, missing or incompatible."""


class MaterialError(UserError):
    """A file, model or package the run names could not be found, fetched or verified."""


class SubjectError(UserError):
    """The subject model cannot be loaded or has no such module."""


class FeatureSourceError(SubjectError):
    """Feature-source weights are malformed, or do not fit the subject model or the requested feature."""


class CorpusError(UserError):
    """The corpus is empty, unreadable or too short."""


class ExampleError(UserError):
    """No feature of the run has enough examples to be explained and scored."""


class LLMError(UserError):
    """An explainer or judge endpoint refuses, cannot be reached or lacks a capability that is needed."""


class BudgetError(UserError):
    """A budget was reached; everything done so far is on disk."""


class ResultsError(UserError):
    """A results folder or file cannot be read, written, locked or trusted."""


class UnknownNameError(ConfigError):
    """A name that is not registered, with the nearest registered ones as the hint.

    Args:
        kind: What was looked up, for instance ``scorer``.
        name: The name given.
        known: The names that exist.
        where: Where the name was given.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: str | None = None) -> None:
        known = sorted(known)
        near = closest(name, known)
        hint = f"did you mean {' or '.join(near)}?" if near else f"one of: {', '.join(known) or '(none registered)'}"
        super().__init__(f"unknown {kind} '{name}'", where=where, hint=hint)
        self.kind = kind
        self.name = name


def closest(name: str, known: Iterable[str], *, limit: int = 3) -> list[str]:
    """Return the known names most like ``name``, best first, at most ``limit``."""
    return get_close_matches(name, list(known), n=limit, cutoff=0.6)
