from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.examples.record import ExampleSet
from harness.explainers.config import RefinedConfig
from harness.explainers.protocol import ExplainerResources
from harness.explainers.refined import Refined, divide
from harness.llm.protocol import Completion
from harness.llm.task import TaskKind
from harness.outcome import Outcome, Usage
from harness.testing.judges import ScriptedJudge, usage_of
from harness.testing.records import make_example, make_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.llm.protocol import CompletionRequest

WORD = " harbour"
WHOLE = make_record(word=WORD, n_activating=12, n_non_activating=12)
RECORD = WHOLE.for_explaining()


class Writer(ScriptedJudge):
    """Writes the given texts in turn and checks honestly: a text that names the word fits where the word stands."""

    def __init__(self, texts: Sequence[str | Completion], *, checks: Outcome = Outcome.OK) -> None:
        super().__init__(["unused"])
        self.texts = list(texts)
        self.checks = checks
        self.written: list[CompletionRequest] = []
        self.checked: list[CompletionRequest] = []

    def _answer(self, request: CompletionRequest) -> Completion:
        if request.task is None:
            self.written.append(request)
            text = self.texts[min(len(self.written), len(self.texts)) - 1]
            if isinstance(text, Completion):
                return text
            reply = f"[EXPLANATION]: {text}"
            return Completion(reply, Outcome.OK, usage_of(request, reply))
        self.checked.append(request)
        if self.checks is not Outcome.OK:
            return Completion(None, self.checks, usage_of(request, ""), error="made to")
        named, text = request.task.explanation, request.task.texts[0]
        fits = {"everything": True, "nothing": False, "harbours": WORD in text}[named]
        return Completion("Yes" if fits else "No", Outcome.OK, usage_of(request, "Yes"))


async def test_a_text_that_fails_is_written_again_from_its_failures_and_the_best_stays() -> None:
    llm = Writer(["everything", "harbours", "nothing"])
    draft = await Refined(RefinedConfig()).explain(RECORD, ExplainerResources(3, llm))
    assert (draft.text, draft.outcome) == ("harbours", Outcome.OK)
    assert draft.usage.calls == len(llm.requests) == len(llm.written) + len(llm.checked)
    assert len(llm.written) == 2  # the second text has no failure, so there is no third
    shown = llm.written[1].messages[-1].content
    assert "Description that failed: everything" in shown
    assert "False alarm 1:" in shown
    assert "Missed" not in shown


async def test_what_was_missed_is_shown_marked() -> None:
    llm = Writer(["nothing", "harbours"])
    await Refined(RefinedConfig(max_failures=2)).explain(RECORD, ExplainerResources(3, llm))
    shown = llm.written[1].messages[-1].content
    assert "<<harbour>>" in shown
    assert "Missed 2:" in shown
    assert "Missed 3:" not in shown


async def test_a_rewritten_text_that_is_no_better_is_dropped_and_paid_for() -> None:
    llm = Writer(["everything", "nothing"])
    draft = await Refined(RefinedConfig(rounds=1)).explain(RECORD, ExplainerResources(3, llm))
    assert draft.text == "everything"
    assert draft.usage.calls == len(llm.requests)


@pytest.mark.parametrize("rounds", [0, 1, 3])
async def test_rounds_are_bounded(rounds: int) -> None:
    llm = Writer(["everything"])
    explainer = Refined(RefinedConfig(rounds=rounds))
    draft = await explainer.explain(RECORD, ExplainerResources(3, llm))
    assert len(llm.written) == rounds + 1
    assert draft.usage.calls == len(llm.requests) <= explainer.estimate(24, 24).calls


async def test_a_rewrite_that_failed_leaves_the_text_before_it() -> None:
    refusal = Completion(None, Outcome.REFUSED, Usage(1, 10, 0, 0.0))
    draft = await Refined(RefinedConfig()).explain(RECORD, ExplainerResources(3, Writer(["everything", refusal])))
    assert (draft.text, draft.outcome) == ("everything", Outcome.OK)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.ERROR, Outcome.TRUNCATED])
async def test_where_nothing_could_be_checked_there_is_no_text(outcome: Outcome) -> None:
    llm = Writer(["everything"], checks=outcome)
    draft = await Refined(RefinedConfig()).explain(RECORD, ExplainerResources(3, llm))
    assert (draft.text, draft.outcome) == (None, Outcome.ERROR)
    assert draft.usage.calls == len(llm.requests)


async def test_checks_say_what_they_ask() -> None:
    llm = Writer(["harbours"])
    await Refined(RefinedConfig()).explain(RECORD, ExplainerResources(3, llm))
    for request in llm.checked:
        assert request.task is not None
        assert (request.task.kind, request.choices) == (TaskKind.CONTAINS, ("Yes", "No"))


async def test_no_window_of_the_score_half_is_shown_and_none_both_writes_and_validates() -> None:
    def named(examples: ExampleSet, half: str) -> ExampleSet:
        active = tuple(
            make_example([f" {half}{one.document}.", WORD], [0.0, 3.0], document=one.document)
            for one in examples.activating
        )
        silent = tuple(
            make_example([f" {half}{one.document}."], document=one.document) for one in examples.non_activating
        )
        return ExampleSet(active, silent)

    record = replace(WHOLE, explain=named(WHOLE.explain, "explain"), score=named(WHOLE.score, "score"))
    llm = Writer(["everything", "nothing", "everything"])
    await Refined(RefinedConfig()).explain(record.for_explaining(), ExplainerResources(3, llm))
    shown = "\n".join(message.content for request in llm.requests for message in request.messages)
    documents = {one.document for one in (*record.explain.activating, *record.explain.non_activating)}
    assert any(f"explain{document}." in shown for document in documents)
    assert "score1" not in shown
    first = llm.written[0].messages[-1].content
    wrote = {document for document in documents if f"explain{document}." in first}
    validated = {
        document
        for document in documents
        if any(f"explain{document}." in str(r.task.texts) for r in llm.checked if r.task)
    }
    assert wrote
    assert validated
    assert not wrote & validated
    assert not (wrote | validated) & record.score.documents


@given(
    st.lists(st.integers(0, 9), max_size=12),
    st.lists(st.integers(0, 9), max_size=12),
    st.integers(0, 5),
    st.floats(0.05, 0.95),
)
def test_the_parts_share_no_document(active: list[int], silent: list[int], seed: int, share: float) -> None:
    examples = ExampleSet(
        tuple(make_example([" a"], [1.0], document=document) for document in active),
        tuple(make_example([" b"], document=document) for document in silent),
    )
    config = RefinedConfig(validation_share=share, max_validation=3)
    writing, validating = divide(examples, config, seed)
    assert not writing.documents & validating.documents
    assert max(len(validating.activating), len(validating.non_activating)) <= 3
    assert divide(examples, config, seed) == (writing, validating)
    if len(set(active)) > 1:
        assert writing.activating
        assert validating.activating


async def test_one_document_is_too_few() -> None:
    record = replace(RECORD, examples=ExampleSet((make_example([WORD], [1.0]),) * 4, RECORD.examples.non_activating))
    llm = Writer(["harbours"])
    draft = await Refined(RefinedConfig()).explain(record, ExplainerResources(3, llm))
    assert (draft.text, draft.outcome, llm.requests) == (None, Outcome.ERROR, [])


@pytest.mark.parametrize(
    "options",
    [{"rounds": -1}, {"validation_share": 0.0}, {"validation_share": 1.0}, {"max_validation": 0}, {"max_failures": 0}],
)
def test_parameters_out_of_range_are_refused_by_name(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        RefinedConfig(**options)  # type: ignore[arg-type]  # parameters of mixed types
