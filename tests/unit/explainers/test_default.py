from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import ConfigError, LLMError
from harness.explainers.config import DefaultConfig
from harness.explainers.default import DefaultExplainer
from harness.explainers.prompt import build_messages
from harness.explainers.protocol import ExplainerResources
from harness.llm.protocol import Completion
from harness.outcome import Outcome, Usage
from harness.testing.judges import ScriptedJudge
from harness.testing.records import make_example

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.examples.record import Example, ExplainRecord

SPENT = Usage(1, 400, 12, 0.5)


async def test_the_explanation_comes_with_all_that_is_known_of_it(
    make_explain_record: Callable[..., ExplainRecord],
) -> None:
    llm = ScriptedJudge([Completion("[EXPLANATION]: capitals", Outcome.OK, SPENT)])
    draft = await DefaultExplainer(DefaultConfig()).explain(make_explain_record(), ExplainerResources(1, llm))
    assert (draft.text, draft.outcome, draft.usage) == ("capitals", Outcome.OK, SPENT)
    assert draft.reply == "[EXPLANATION]: capitals"
    assert draft.prompt_sha256
    assert llm.requests[0].messages == build_messages(make_explain_record(), DefaultConfig())


@pytest.mark.parametrize(
    ("completion", "outcome"),
    [
        (Completion("I am not going to.\nNo.", Outcome.OK, SPENT), Outcome.UNPARSED),
        (Completion("", Outcome.OK, SPENT), Outcome.UNPARSED),
        (Completion("I'm sorry, I can't.", Outcome.OK, SPENT), Outcome.REFUSED),
        (Completion(None, Outcome.REFUSED, SPENT), Outcome.REFUSED),
        (Completion("[EXPLANATION]: capi", Outcome.TRUNCATED, SPENT), Outcome.TRUNCATED),
        (Completion(None, Outcome.TRUNCATED, SPENT), Outcome.TRUNCATED),
        (Completion(None, Outcome.ERROR, SPENT, error="timed out"), Outcome.ERROR),
        (Completion(None, Outcome.OK, SPENT), Outcome.ERROR),
    ],
)
async def test_what_is_no_explanation_has_no_text_and_a_reason(
    completion: Completion, outcome: Outcome, make_explain_record: Callable[..., ExplainRecord]
) -> None:
    resources = ExplainerResources(1, ScriptedJudge([completion]))
    draft = await DefaultExplainer(DefaultConfig()).explain(make_explain_record(), resources)
    assert (draft.text, draft.outcome, draft.usage) == (None, outcome, SPENT)
    assert draft.error == completion.error if completion.error else draft.error
    assert draft.reply == completion.text


async def test_an_explanation_finished_before_the_limit_counts(
    make_explain_record: Callable[..., ExplainRecord],
) -> None:
    llm = ScriptedJudge([Completion("[EXPLANATION]: capitals\nBecause the", Outcome.TRUNCATED, SPENT)])
    draft = await DefaultExplainer(DefaultConfig()).explain(make_explain_record(), ExplainerResources(1, llm))
    assert (draft.text, draft.outcome) == ("capitals", Outcome.OK)


async def test_a_record_without_an_active_window_asks_nothing(
    make_explain_record: Callable[..., ExplainRecord],
) -> None:
    llm = ScriptedJudge(["[EXPLANATION]: made up"])
    record = make_explain_record(make_example([" a", " b"], [0.0, 0.0]))
    draft = await DefaultExplainer(DefaultConfig()).explain(record, ExplainerResources(1, llm))
    assert (draft.text, draft.outcome, draft.usage.calls) == (None, Outcome.ERROR, 0)
    assert draft.error == "feature 7 has no activating example to explain"
    assert not llm.requests


async def test_without_a_language_model_the_error_names_the_key(
    make_explain_record: Callable[..., ExplainRecord],
) -> None:
    with pytest.raises(LLMError, match=r"explainer\.llm"):
        await DefaultExplainer(DefaultConfig()).explain(make_explain_record(), ExplainerResources(1))


async def test_a_greedy_question_has_no_seed_and_a_sampled_one_has_its_own(
    make_explain_record: Callable[..., ExplainRecord],
) -> None:
    llm = ScriptedJudge(["[EXPLANATION]: capitals"])
    for config in (DefaultConfig(), DefaultConfig(temperature=0.7, repeat=2, max_tokens=33)):
        await DefaultExplainer(config).explain(make_explain_record(), ExplainerResources(2**62 + 5, llm))
    greedy, sampled = llm.requests
    assert (greedy.seed, greedy.temperature, greedy.repeat, greedy.max_tokens) == (None, 0.0, 0, 80)
    assert (sampled.seed, sampled.temperature, sampled.repeat, sampled.max_tokens) == (5, 0.7, 2, 33)


async def test_reasoning_gets_room_and_needs_the_marker(make_explain_record: Callable[..., ExplainRecord]) -> None:
    llm = ScriptedJudge(["They are all capitals."])
    explainer = DefaultExplainer(DefaultConfig(chain_of_thought=True))
    draft = await explainer.explain(make_explain_record(), ExplainerResources(1, llm))
    assert draft.outcome is Outcome.UNPARSED
    assert llm.requests[0].max_tokens == 320


async def test_the_digest_tells_prompts_apart(
    make_explain_record: Callable[..., ExplainRecord], make_window: Callable[..., Example]
) -> None:
    records = [make_explain_record(), make_explain_record(), make_explain_record(make_window((" x", 1.0)))]
    llm = ScriptedJudge(["[EXPLANATION]: x"])
    explainer = DefaultExplainer(DefaultConfig())
    digests = [(await explainer.explain(record, ExplainerResources(1, llm))).prompt_sha256 for record in records]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("options", [{}, {"show_activations": True}, {"few_shots": 0}, {"chain_of_thought": True}])
def test_the_estimate_is_near_the_real_prompt(
    options: dict[str, bool | int], make_explain_record: Callable[..., ExplainRecord]
) -> None:
    config = DefaultConfig(**options)  # type: ignore[arg-type]  # parameters of mixed types
    windows = [
        make_example([" river", " stone", ",", "ing"] * 8, [0.0, 0.0, 0.0, 4.0] + [0.0] * 28, document=place)
        for place in range(20)
    ]
    real = sum(len(message.content) for message in build_messages(make_explain_record(*windows), config)) / 4
    estimate = DefaultExplainer(config).estimate(20, 32)
    assert estimate.calls == 1
    assert 0.75 < estimate.input_tokens / real < 1.35
    assert estimate.output_tokens <= (320 if config.chain_of_thought else 80)


def test_an_estimate_never_exceeds_the_limit_of_the_reply() -> None:
    assert DefaultExplainer(DefaultConfig(max_tokens=5)).estimate(10, 32).output_tokens == 5


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 1.0},
        {"threshold": -0.1},
        {"few_shots": 4},
        {"few_shots": -1},
        {"max_windows": 0},
        {"max_tokens": 0},
        {"temperature": -1.0},
        {"repeat": -1},
    ],
)
def test_parameters_out_of_range_are_refused_by_name(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        DefaultConfig(**options)  # type: ignore[arg-type]  # parameters of mixed types
