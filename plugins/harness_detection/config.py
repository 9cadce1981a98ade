"""Parameters of the detection scorer."""

from __future__ import annotations

from dataclasses import dataclass

from harness.api import ClassifierConfig

__all__ = ["DetectionConfig"]


@dataclass(frozen=True)
class DetectionConfig(ClassifierConfig):
    """How the judge is asked; detection has no parameters beyond those."""
