"""Frozen events handed to lifecycle hooks (trackers, dashboards)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.results.records import ExplanationLine, ScoreLine

__all__ = ["RunFinished", "RunStarted", "UnitFinished"]


@dataclass(frozen=True)
class RunStarted:
    """A run begins or resumes."""

    run_id: str
    config: Mapping[str, Any]
    units_total: int
    units_done: int


@dataclass(frozen=True)
class UnitFinished:
    """One unit is on disk. ``stage`` is ``explain`` or ``score``; ``record`` is the line written."""

    run_id: str
    stage: str
    record: ExplanationLine | ScoreLine


@dataclass(frozen=True)
class RunFinished:
    """A run ended. ``manifest`` is the path of its manifest."""

    run_id: str
    status: str
    manifest: Path
