"""The plugin that comes with the harness: built-in subjects, corpora, explainers and controls.

It is registered like any other, but from inside, so that it cannot be missing. The rooms are named by text because they
stand above the registry: they import its specs, and it must not import them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from harness._version import __version__
from harness.registry.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.registry.specs import ControlSpec, CorpusSpec, ExplainerSpec, Spec, SubjectSpec

__all__ = ["DISTRIBUTION", "NAME", "VERSION"]

NAME = "builtin"
DISTRIBUTION = "autointerp-harness"
VERSION = __version__


@hookimpl
def harness_subjects() -> Iterable[SubjectSpec]:
    """Return the built-in kinds of feature source."""
    return cast("Iterable[SubjectSpec]", _specs("harness.subjects.builtin", "SUBJECTS"))


@hookimpl
def harness_corpora() -> Iterable[CorpusSpec]:
    """Return the built-in corpus readers."""
    return cast("Iterable[CorpusSpec]", _specs("harness.activations.builtin", "CORPORA"))


@hookimpl
def harness_explainers() -> Iterable[ExplainerSpec]:
    """Return the built-in explainers."""
    return cast("Iterable[ExplainerSpec]", _specs("harness.explainers.builtin", "EXPLAINERS"))


@hookimpl
def harness_controls() -> Iterable[ControlSpec]:
    """Return the built-in controls."""
    return cast("Iterable[ControlSpec]", _specs("harness.explainers.builtin", "CONTROLS"))


def _specs(module: str, attribute: str) -> Iterable[Spec]:
    return cast("Iterable[Spec]", getattr(importlib.import_module(module), attribute))
