"""The hooks a plugin may implement. Collection hooks return typed specs; nothing is registered by side effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.registry.events import RunFinished, RunStarted, UnitFinished
    from harness.registry.specs import ControlSpec, CorpusSpec, ExplainerSpec, ScorerSpec, SubjectSpec

__all__ = ["PROJECT", "hookimpl", "hookspec"]

PROJECT = "autointerp_harness"
"""Marker, plugin manager and entry-point group share this name."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def harness_scorers() -> Iterable[ScorerSpec]:  # type: ignore[empty-body]
    """Return the scorers this plugin provides."""


@hookspec
def harness_subjects() -> Iterable[SubjectSpec]:  # type: ignore[empty-body]
    """Return the kinds of feature source this plugin provides."""


@hookspec
def harness_explainers() -> Iterable[ExplainerSpec]:  # type: ignore[empty-body]
    """Return the explainers this plugin provides."""


@hookspec
def harness_controls() -> Iterable[ControlSpec]:  # type: ignore[empty-body]
    """Return the controls this plugin provides."""


@hookspec
def harness_corpora() -> Iterable[CorpusSpec]:  # type: ignore[empty-body]
    """Return the corpus readers this plugin provides."""


@hookspec
def harness_config_packages() -> Iterable[str]:  # type: ignore[empty-body]
    """Return importable packages holding YAML config groups, for instance ``my_plugin.conf``."""


@hookspec
def harness_run_started(event: RunStarted) -> None:
    """Called once when a run begins or resumes."""


@hookspec
def harness_unit_finished(event: UnitFinished) -> None:
    """Called after each unit is on disk."""


@hookspec
def harness_run_finished(event: RunFinished) -> None:
    """Called once when a run ends, whatever its status."""
