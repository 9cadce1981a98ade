"""Fakes and the conformance kit for authors of scorer plugins. Nothing here is used by a run."""

from __future__ import annotations

from harness.llm.readings import digit_alternatives, read_off
from harness.testing.checks import Check, check_scorer
from harness.testing.embedders import FakeEmbedder
from harness.testing.judges import FailingJudge, OracleJudge, ScriptedJudge, last_message
from harness.testing.records import make_example, make_explanation, make_record
from harness.testing.subjects import FakeSubject

__all__ = [
    "Check",
    "FailingJudge",
    "FakeEmbedder",
    "FakeSubject",
    "OracleJudge",
    "ScriptedJudge",
    "check_scorer",
    "digit_alternatives",
    "last_message",
    "make_example",
    "make_explanation",
    "make_record",
    "read_off",
]
