from __future__ import annotations

import pytest

from harness.errors import ConfigError
from harness.examples.record import ExampleSet, ExplainRecord, FeatureStatistics
from harness.explainers.config import DefaultConfig, LogitTokensConfig, MaxActivationLogitsConfig, RefinedConfig
from harness.explainers.logit_tokens import LogitTokens, logit_messages
from harness.explainers.max_activation_logits import MaxActivationLogits, label_messages
from harness.explainers.protocol import ExplainerResources
from harness.identity import parameters_of
from harness.outcome import Outcome
from harness.testing.judges import ScriptedJudge
from harness.testing.records import make_example

WINDOWS = (
    make_example([" one", " two", " Paris", " is", " far"], [0.0, 1.0, 8.0, 0.0, 0.0]),
    make_example([" one", " two", " Paris", " is", " far"], [0.0, 1.0, 7.0, 0.0, 0.0], document=1),
    make_example([" to", " Rome"], [0.0, 3.0], document=2),
)


def record(*promoted: str, suppressed: tuple[str, ...] = ()) -> ExplainRecord:
    statistics = FeatureStatistics(100, 2, 2, 8.0, top_logit_tokens=promoted, bottom_logit_tokens=suppressed)
    return ExplainRecord("planted", 7, statistics, ExampleSet(WINDOWS, ()))


def test_the_prompt_has_peaks_next_tokens_promoted_tokens_and_texts() -> None:
    question = label_messages(record(" city", "\n"), MaxActivationLogitsConfig(side_tokens=1))[-1].content
    assert question.splitlines() == [
        'Strongest tokens: " Paris", " Rome"',
        'Tokens after them: " is"',
        'Made likelier: " city", "\u21b5"',
        "Text 1:  two Paris is",
        "Text 2:  to Rome",
    ]


def test_what_is_not_known_or_not_wanted_is_left_out() -> None:
    assert "likelier:" not in label_messages(record(), MaxActivationLogitsConfig())[-1].content
    unwanted = MaxActivationLogitsConfig(logit_weights=False, max_windows=1)
    question = label_messages(record(" city"), unwanted)[-1].content
    assert "likelier:" not in question
    assert "Text 2" not in question


@pytest.mark.parametrize("reply", ["[EXPLANATION]: unclear", "Unclear.", "[EXPLANATION]: N/A", "none"])
async def test_no_label_is_an_outcome_and_never_becomes_a_token(reply: str) -> None:
    llm = ScriptedJudge([reply])
    draft = await MaxActivationLogits(MaxActivationLogitsConfig()).explain(record(), ExplainerResources(1, llm))
    assert (draft.text, draft.outcome, draft.reply) == (None, Outcome.UNPARSED, reply)


async def test_a_label_comes_back_as_it_was_written() -> None:
    llm = ScriptedJudge(["[EXPLANATION]: unclear handwriting"])
    draft = await MaxActivationLogits(MaxActivationLogitsConfig()).explain(record(), ExplainerResources(1, llm))
    assert draft.text == "unclear handwriting"


def test_promoted_tokens_are_all_that_logit_tokens_shows() -> None:
    known = record(" city", "\n", suppressed=(" goat",))
    unasked = logit_messages(known, LogitTokensConfig())
    assert unasked[-1].content == 'Made likelier: " city", "\u21b5"'
    assert "less likely" not in unasked[0].content


def test_suppressed_tokens_are_listed_apart_from_the_promoted_ones() -> None:
    known = record(" city", suppressed=(" goat", "\n"))
    system, question = logit_messages(known, LogitTokensConfig(suppressed_tokens=True))
    assert question.content.splitlines() == ['Made likelier: " city"', 'Made less likely: " goat", "\u21b5"']
    assert "less likely" in system.content
    unasked = label_messages(known, MaxActivationLogitsConfig())
    asked = label_messages(known, MaxActivationLogitsConfig(suppressed_tokens=True))
    assert asked[0].content.startswith(unasked[0].content)
    assert "less likely" in asked[0].content
    lines = asked[-1].content.splitlines()
    assert lines.pop(3) == 'Made less likely: " goat", "\u21b5"'
    assert lines == unasked[-1].content.splitlines()


async def test_without_promoted_tokens_nothing_is_asked() -> None:
    llm = ScriptedJudge(["[EXPLANATION]: cities"])
    draft = await LogitTokens(LogitTokensConfig()).explain(record(), ExplainerResources(1, llm))
    assert (draft.text, draft.outcome, llm.requests) == (None, Outcome.ERROR, [])


@pytest.mark.parametrize("options", [{"side_tokens": -1}, {"max_windows": 0}, {"repeat": -1}])
def test_parameters_out_of_range_are_refused_by_name(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        MaxActivationLogitsConfig(**options)  # type: ignore[arg-type]  # parameters of mixed types


@pytest.mark.parametrize("config", [DefaultConfig, RefinedConfig, MaxActivationLogitsConfig])
def test_suppressed_tokens_stand_beside_promoted_ones_only(config: type[DefaultConfig]) -> None:
    with pytest.raises(ConfigError, match="suppressed_tokens is True"):
        config(logit_weights=False, suppressed_tokens=True)


@pytest.mark.parametrize("config", [DefaultConfig, RefinedConfig, MaxActivationLogitsConfig, LogitTokensConfig])
def test_suppressed_tokens_are_part_of_an_identity_only_where_asked_for(config: type[DefaultConfig]) -> None:
    before = parameters_of(config(logit_weights=True))
    assert "suppressed_tokens" not in before
    assert parameters_of(config(logit_weights=True, suppressed_tokens=True)) == {**before, "suppressed_tokens": True}


def test_logit_tokens_cannot_do_without_them() -> None:
    with pytest.raises(ConfigError, match="logit_weights"):
        LogitTokensConfig(logit_weights=False)
