"""Weights of feature sources: one reader per format, recognised by the files of a folder."""

from __future__ import annotations

from harness.subjects.weights.detect import read_header
from harness.subjects.weights.header import SourceHeader

__all__ = ["SourceHeader", "read_header"]
