from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import ConfigError
from harness.examples.record import ExampleSet, ExplainRecord, FeatureStatistics
from harness.explainers.config import ContrastiveConfig
from harness.explainers.contrastive import Contrastive, contrastive_messages
from harness.explainers.protocol import ExplainerResources
from harness.outcome import Outcome
from harness.testing.judges import ScriptedJudge
from harness.testing.records import make_example

ACTIVE = (make_example([" to", " Paris"], [0.0, 8.0]), make_example([" from", " Rome"], [0.0, 2.0]))
SILENT = tuple(make_example([" to", f" sleep{number}"], document=9) for number in range(8))
RECORD = ExplainRecord("planted", 7, FeatureStatistics(100, 2, 2, 8.0), ExampleSet(ACTIVE, SILENT))


def test_active_and_silent_windows_stand_side_by_side() -> None:
    question = contrastive_messages(RECORD, ContrastiveConfig(max_silent=2))[-1].content
    assert question.splitlines() == [
        "Active text 1:  to <<Paris>>",
        "Active text 2:  from <<Rome>>",
        "Silent text 1:  to sleep0",
        "Silent text 2:  to sleep1",
    ]


def test_marks_in_a_silent_text_are_not_taken_for_marks() -> None:
    marked = make_example([" a", " <<b>>"], document=9)
    record = replace(RECORD, examples=ExampleSet(ACTIVE, (marked,)))
    question = contrastive_messages(record, ContrastiveConfig())[-1].content
    assert "(In these texts the marks are [[ and ]].)" in question
    assert "[[Paris]]" in question


async def test_the_explanation_comes_back() -> None:
    llm = ScriptedJudge(["[EXPLANATION]: capitals"])
    draft = await Contrastive(ContrastiveConfig()).explain(RECORD, ExplainerResources(1, llm))
    assert (draft.text, draft.outcome, draft.usage.calls) == ("capitals", Outcome.OK, 1)


async def test_without_silent_windows_nothing_is_asked() -> None:
    llm = ScriptedJudge(["[EXPLANATION]: capitals"])
    record = replace(RECORD, examples=ExampleSet(ACTIVE, ()))
    draft = await Contrastive(ContrastiveConfig()).explain(record, ExplainerResources(1, llm))
    assert (draft.text, draft.outcome, llm.requests) == (None, Outcome.ERROR, [])
    assert "explain_non_activating" in (draft.error or "")


@pytest.mark.parametrize(
    "options",
    [{"threshold": 1.0}, {"max_silent": 0}, {"max_windows": 0}, {"max_tokens": 0}, {"temperature": -1}, {"repeat": -1}],
)
def test_parameters_out_of_range_are_refused_by_name(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        ContrastiveConfig(**options)  # type: ignore[arg-type]  # parameters of mixed types
