from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from harness.api import (
    Completion,
    ConfigError,
    Counterfactuals,
    Outcome,
    Rewriting,
    TaskKind,
    Usage,
    estimate_counterfactuals,
    write_counterfactuals,
)
from harness.scoring.marks import text_with_marks, text_without_marks
from harness.testing import FailingJudge, FakeSubject, OracleJudge, ScriptedJudge, last_message, make_example
from harness.testing import make_record as planted

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api import CompletionRequest

EXAMPLES = planted(n_activating=20).score.activating


def judge_by(rewrite: Callable[[str, int], Any], **changes: Any) -> OracleJudge:
    """Return a judge that rewrites each text by a function of it and of its place in the reply."""

    def rule(request: CompletionRequest) -> str:
        assert request.task is not None
        assert request.task.reply is not None
        return request.task.reply([rewrite(text, place) for place, text in enumerate(request.task.texts)])

    return OracleJudge(rule, **changes)


def swapped(text: str, place: int = 0) -> str:  # noqa: ARG001
    return text.replace("harbour", "market")


async def written(judge: Any, examples: Any = EXAMPLES, subject: Any = None, **changes: Any) -> Counterfactuals:
    return await write_counterfactuals(
        examples, 0, "Write again.", Rewriting(**changes), judge, subject or FakeSubject()
    )


def counts(found: Counterfactuals) -> dict[str, float]:
    return {name: value for name, value in found.counts.items() if value and name not in {"yield", "mean_likeness"}}


async def test_silent_rewritings_of_windows_from_all_strengths_are_kept() -> None:
    judge = judge_by(swapped)
    found = await written(judge)
    shown = [EXAMPLES[place] for place in range(1, 20, 2)]
    assert [text.text for text in found.texts] == [swapped(one.text).strip() for one in shown]
    assert counts(found) == {"windows": 20, "asked": 10, "kept": 10}
    assert found.counts["yield"] == 1.0
    assert (found.counts["mean_likeness"] or 0) > 0.8
    assert (found.failures, found.why_none, found.usage.calls) == ((), None, 2)
    assert len({text.key for text in found.texts}) == 10
    first = judge.requests[0]
    assert first.temperature == 0.0
    assert first.seed is None
    assert last_message(first).count("<<") == sum(
        value > 0 and not (place and one.activations[place - 1])
        for one in shown[:5]
        for place, value in enumerate(one.activations)
    )
    task = first.task
    assert task is not None
    assert (task.kind, task.explanation, task.count) == (TaskKind.REWRITE_WITHOUT, "", 5)
    assert [[t for t, m in zip(*row, strict=True) if m] for row in zip(task.tokens, task.marked, strict=True)] == [
        [" harbour"] * sum(value > 0 for value in one.activations) for one in shown[:5]
    ]


@pytest.mark.parametrize(
    ("rewrite", "expected"),
    [
        (lambda text, place: text if place < 2 else swapped(text), {"still_active": 4, "kept": 6}),
        (lambda text, place: "lorem ipsum" * (place + 1) if place < 1 else swapped(text),
         {"duplicates": 1, "too_different": 1, "kept": 8}),
        (lambda text, place: place if place < 3 else swapped(text), {"malformed": 6, "kept": 4}),
        (lambda text, place: "<<>>" if place < 1 else swapped(text), {"duplicates": 1, "malformed": 1, "kept": 8}),
        (lambda text, place: swapped(text).replace("market", "<<market>>"), {"kept": 10}),  # noqa: ARG005
    ],
    ids=["as it was", "another text", "no text", "marks alone", "marks left"],
)  # fmt: skip
async def test_everything_that_is_not_kept_is_counted(
    rewrite: Callable[[str, int], Any], expected: dict[str, int]
) -> None:
    found = await written(judge_by(rewrite))
    assert counts(found) == {"windows": 20, "asked": 10, **expected}
    assert all("harbour" not in text.text and "<<" not in text.text for text in found.texts)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.TRUNCATED, Outcome.ERROR, Outcome.UNPARSED])
async def test_a_call_that_failed_is_an_item_and_the_rest_is_kept(outcome: Outcome) -> None:
    found = await written(FailingJudge(judge_by(swapped), outcome=outcome, share=0.5, seed=3), windows_per_call=1)
    assert {item.outcome for item in found.failures} == {outcome}
    assert {(item.kind, item.truth, item.prediction, item.value) for item in found.failures} == {
        ("not_written", None, None, None)
    }
    assert 0 < len(found.failures) == found.counts["failed_calls"] == 10 - len(found.texts) < 10
    assert found.lost == (len(found.failures) / 10 if outcome is Outcome.ERROR else 0.0)
    uneven = await written(FailingJudge(judge_by(swapped), outcome=outcome, share=0.5, seed=3), windows_per_call=3)
    assert 0 < len(uneven.texts) < 10
    assert uneven.lost == ((10 - len(uneven.texts)) / 10 if outcome is Outcome.ERROR else 0.0)
    none = await written(FailingJudge(judge_by(swapped), outcome=outcome))
    assert none.texts == ()
    assert none.why_none == "no rewriting was kept of 10 asked for: 2 failed_calls, 0 too_different, 0 still_active"


async def test_a_window_that_needs_what_stood_before_it_is_not_rewritten() -> None:
    """On windows without the word the record says it fires, and the subject alone does not."""
    elsewhere = [make_example([" old", " stone"] * 6, [0.0, 1.0] * 6, document=90 + n) for n in range(3)]
    judge = judge_by(swapped)
    found = await written(judge, [*EXAMPLES[:2], *elsewhere])
    assert counts(found) == {"windows": 5, "silent_alone": 3, "asked": 2, "kept": 2}
    none = await written(judge, elsewhere)
    assert none.counts["yield"] is None
    assert none.why_none == "no activating window fires when the subject reads it by itself"
    assert (await written(judge, ())).usage == Usage()
    few = await written(judge, counterfactuals=3)
    assert counts(few) == {"windows": 6, "asked": 3, "kept": 3}, "no more are read than may be needed"


async def test_hostile_windows_stay_one_line_and_come_back_as_they_were() -> None:
    tokens = ["a\n", "<<b>>", " harbour", "\t<|im_end|>", "\x00\u202e", " c", " d", " e", " f", " g"]
    example = make_example(tokens, [0.0, 0.0, 1.0] + [0.0] * 7)

    def copied(request: CompletionRequest) -> str:
        line = last_message(request).splitlines()[0].removeprefix("1. ")
        return json.dumps([line.replace("harbour", "market")])

    judge = OracleJudge(copied)
    found = await written(judge, [example])
    message = last_message(judge.requests[0])
    assert len(message.splitlines()) == 2
    assert message.count("<<") == 1
    assert not {"\x00", "\u202e"} & set(message)
    assert "<|" not in message
    (text,) = found.texts
    assert text.text.startswith("a\n< <b> > market\t")


def test_marks_can_be_taken_out_again() -> None:
    tokens, flags = (" old", " har", "bour", "\n", "wall"), (False, True, True, False, True)
    shown = text_with_marks(tokens, flags)
    assert shown == "old <<harbour>>\u21b5<<wall>>"
    assert text_without_marks(shown) == "".join(tokens).strip()


async def test_the_order_of_answers_does_not_matter_and_a_long_reply_is_cut() -> None:
    found = [await written(judge_by(swapped, shuffle_completion=order), windows_per_call=3) for order in (None, 1, 2)]
    assert found[0] == found[1] == found[2]
    long = await written(ScriptedJudge([Completion(json.dumps(["x " * 50_000] * 9), Outcome.OK, Usage(1, 1, 1, 0.0))]))
    assert Counter(text.text for text in long.texts) == Counter()


def test_what_cannot_be_asked_is_refused_and_an_estimate_counts_every_call() -> None:
    for bad in ({"counterfactuals": 0}, {"windows_per_call": 0}, {"min_likeness": 1.1}, {"re_asks": 4}):
        with pytest.raises(ConfigError) as caught:
            Rewriting(**bad)
        assert caught.value.where == next(iter(bad))
    few, many = (estimate_counterfactuals("Write.", Rewriting(), n, 32) for n in (4, 50))
    assert (few.calls, many.calls) == (1, 2)
    assert many.input_tokens > few.input_tokens > 0
    assert (few.output_tokens, many.output_tokens) == (4 * 37, 10 * 37)
