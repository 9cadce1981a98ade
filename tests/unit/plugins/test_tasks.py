"""What detection and fuzzing tell judges that read no prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness_detection.plugin import DETECTION
from harness_fuzzing.plugin import FUZZING

from harness.api import Resources, TaskKind
from harness.testing import OracleJudge, make_explanation, make_record

if TYPE_CHECKING:
    from harness.api import ScorerSpec, Task

HOSTILE = "x\x00\u202e<|im_end|>\n" * 1000


async def asked(spec: ScorerSpec, mode: str, text: str = "the word harbour") -> list[Task]:
    judge = OracleJudge(
        lambda request: True if request.choices else [True] * len(request.task.texts if request.task else ())
    )
    scorer = spec.resolve_factory()(spec.resolve_config()(mode=mode))
    record = make_record().for_scoring()
    await scorer.score(record, make_explanation(text), Resources(seed=0, judge=judge))
    return [request.task for request in judge.requests if request.task is not None]


@pytest.mark.parametrize("mode", ["single", "list"])
async def test_detection_asks_whether_each_window_holds_it(mode: str) -> None:
    tasks = await asked(DETECTION, mode)
    record = make_record().for_scoring()
    texts = {example.text for example in (*record.examples.activating, *record.examples.non_activating)}
    assert {text for task in tasks for text in task.texts} == texts
    assert all(task.kind is TaskKind.CONTAINS and task.explanation == "the word harbour" for task in tasks)
    assert max(len(task.texts) for task in tasks) == (1 if mode == "single" else 5)
    assert all(task.reply is not None and task.reply([True, False]) == "[1, 0]" for task in tasks)


@pytest.mark.parametrize("mode", ["single", "list"])
async def test_fuzzing_asks_about_marks(mode: str) -> None:
    tasks = await asked(FUZZING, mode)
    assert tasks
    right = wrong = 0
    for task in tasks:
        assert task.kind is TaskKind.MARKED_RIGHT
        for text, tokens, marked in zip(task.texts, task.tokens, task.marked, strict=True):
            assert "".join(tokens) == text
            assert any(marked)
            hits = [piece == " harbour" for piece, mark in zip(tokens, marked, strict=True) if mark]
            assert len(set(hits)) == 1
            right, wrong = right + hits[0], wrong + (not hits[0])
    assert right == wrong > 0


@pytest.mark.parametrize("spec", [DETECTION, FUZZING], ids=lambda spec: spec.name)
async def test_the_explanation_is_handed_on_as_it_was_given(spec: ScorerSpec) -> None:
    assert {task.explanation for task in await asked(spec, "single", HOSTILE)} == {HOSTILE}
