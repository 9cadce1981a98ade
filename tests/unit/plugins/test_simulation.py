from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from harness_simulation.config import SimulationConfig
from harness_simulation.plugin import SIMULATION

from harness.api import (
    ConfigError,
    ExampleSet,
    ExampleShape,
    LLMError,
    Outcome,
    PromptLogprobsRequest,
    Resources,
    Score,
    Task,
    fingerprint,
)
from harness.testing import FailingJudge, OracleJudge, check_scorer, make_explanation, make_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import CompletionRequest

CONF = Path(__file__).parents[3] / "conf" / "scorers" / "simulation.yaml"
RECORD = make_record()
READOUTS = ["all_at_once", "token_by_token", "structured"]
UNBOUNDED = {"r2_zero", "r2_mean", "absdev_zero"}


def numbers(task: Task | None) -> Sequence[Sequence[float]]:
    """Expect the planted word if the explanation names it, something of one filler word in any case."""
    assert task is not None
    told = "harbour" in task.explanation
    wanted = {" harbour": 8.5 if told else 0.0, " the": 1.5}
    return [[wanted.get(token, 0.0) for token in tokens] for tokens in task.tokens]


def reply(request: CompletionRequest) -> str:
    assert request.task is not None
    assert request.task.reply is not None
    return request.task.reply(numbers(request.task))


def read(request: PromptLogprobsRequest) -> Sequence[Sequence[float]]:
    return numbers(request.task)


def judge(**changes: Any) -> OracleJudge:
    return OracleJudge(reply, **{"prompt_rule": read, **changes})


async def score(
    asked: Any, text: str = "the word harbour", record: Any = RECORD, seed: int = 5, **params: Any
) -> Score:
    scorer = SIMULATION.resolve_factory()(SimulationConfig(**params))
    result: Score = await scorer.score(record.for_scoring(), make_explanation(text), Resources(seed=seed, judge=asked))
    return result


def with_score(activating: Sequence[Any], silent: Sequence[Any]) -> Any:
    return dataclasses.replace(RECORD, score=ExampleSet(tuple(activating), tuple(silent)))


@pytest.mark.parametrize(
    ("readout", "prompt_rule"), [*((one, read) for one in [*READOUTS, "auto"]), ("structured", None), ("auto", None)]
)
def test_every_readout_conforms(readout: str, prompt_rule: Any) -> None:
    params = {"readout": readout}
    checks = check_scorer(SIMULATION, config=params, rule=reply, prompt_rule=prompt_rule, record=RECORD)
    assert [check for check in checks if not check.passed] == []


def test_the_option_names_only_known_parameters_at_their_defaults() -> None:
    content = dict(yaml.safe_load(CONF.read_text())["simulation"])
    assert content.pop("plugin") == SIMULATION.name
    assert SimulationConfig(**content) == SimulationConfig()
    assert set(content) == {field.name for field in dataclasses.fields(SimulationConfig)}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"readout": "all_at_one"}, "did you mean 'all_at_once'"),
        ({"readout": "?"}, "token_by_token"),
        ({"calibration": "percentiles"}, "did you mean 'percentile'"),
        ({"top_logprobs": 1}, "between 2 and 20"),
        ({"top_logprobs": 21}, "between 2 and 20"),
        ({"re_asks": 4}, "between 0 and 3"),
    ],
)
def test_parameters_out_of_range_are_refused(params: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SimulationConfig(**params)


@pytest.mark.parametrize("readout", READOUTS)
async def test_the_true_explanation_predicts_and_a_false_one_does_not(readout: str) -> None:
    true, false = [await score(judge(), text, readout=readout) for text in ("the word harbour", "the word mountain")]
    assert set(true.metrics) == {metric.name for metric in SIMULATION.metrics}
    for name, value in true.metrics.items():
        assert value is not None
        assert value > (false.metrics[name] or 0.0), name
    for name in ("r", "r_random_only", "r_mean_of_windows"):
        assert (true.metrics[name] or 0.0) > 0.8, name
    assert (true.metrics["r2_mean"] or 0.0) > 0.4
    assert (false.metrics["r"] or 0.0) < 0.1
    assert (false.metrics["r2_mean"] or 0.0) < 0.1
    assert true.breakdown["readout"] == {readout: 1.0}
    assert {"decile_10", "decile_1", "kind_random"} <= set(true.breakdown)
    assert {item.outcome for item in true.items} == {Outcome.OK}
    assert len(true.items) == 40


@pytest.mark.parametrize(("prompt_rule", "readout"), [(read, "all_at_once"), (None, "structured")])
async def test_auto_takes_what_the_judge_can(prompt_rule: Any, readout: str) -> None:
    asked = judge(prompt_rule=prompt_rule)
    found = await score(asked)
    assert found.breakdown["readout"] == {readout: 1.0}
    assert (len(asked.requests), len(asked.prompts)) == ((0, 40) if prompt_rule else (40, 0))


@pytest.mark.parametrize(
    ("readout", "able", "words"),
    [
        ("all_at_once", {"prompt_rule": None}, "log-probabilities of prompt tokens"),
        ("token_by_token", {"logprobs": False}, "log-probabilities of an answer"),
    ],
)
async def test_a_judge_that_lacks_what_a_readout_needs_is_refused_before_it_is_asked(
    readout: str, able: dict[str, Any], words: str
) -> None:
    asked = judge(**able)
    check = SIMULATION.resolve_check()
    assert check is not None
    with pytest.raises(LLMError, match=words) as caught:
        check(SimulationConfig(readout=readout), asked)
    assert caught.value.where == "scorers.simulation.readout"
    assert "readout=structured" in (caught.value.hint or "")
    with pytest.raises(LLMError, match=words):
        await score(asked, readout=readout)
    assert [*asked.requests, *asked.prompts] == []
    check(SimulationConfig(), asked)


async def test_without_a_judge_it_says_so() -> None:
    with pytest.raises(ConfigError, match="judge"):
        await score(None)


async def test_windows_that_failed_enter_no_metric() -> None:
    inner = judge()
    found = await score(FailingJudge(inner, outcome=Outcome.REFUSED, share=0.3, seed=3))
    failed = {item.key for item in found.items if item.outcome is Outcome.REFUSED}
    assert 5 < len(failed) < 30
    assert all(item.value is None and item.error for item in found.items if item.key in failed)
    kept = [
        [example for example in side if example.key not in failed]
        for side in (RECORD.score.activating, RECORD.score.non_activating)
    ]
    alone = await score(judge(), record=with_score(*kept))
    assert found.metrics["r"] == pytest.approx(alone.metrics["r"])
    assert found.breakdown["tokens"] == alone.breakdown["tokens"]


async def test_the_halves_for_calibration_are_those_of_the_seed_and_of_nothing_else() -> None:
    scores = [await score(judge(), seed=seed) for seed in (1, 1, 2)]
    assert fingerprint(scores[0]) == fingerprint(scores[1])
    assert scores[0].metrics["r"] == scores[2].metrics["r"]
    assert scores[0].breakdown["calibration"] != scores[2].breakdown["calibration"]


@pytest.mark.parametrize(
    ("activating", "silent", "undefined"),
    [
        (0, 20, {"r", "r_random_only", "r_mean_of_windows", *UNBOUNDED}),
        (20, 0, {"r_random_only"}),
        (1, 1, UNBOUNDED),
        (0, 0, {"r", "r_random_only", "r_mean_of_windows", *UNBOUNDED}),
    ],
)
async def test_what_too_few_windows_leave_undefined_has_a_reason(
    activating: int, silent: int, undefined: set[str]
) -> None:
    record = with_score(RECORD.score.activating[:activating], RECORD.score.non_activating[:silent])
    found = await score(judge(), record=record)
    assert {name for name, value in found.metrics.items() if value is None} == undefined
    assert set(found.reasons) == undefined
    assert all(found.reasons.values())


async def test_a_judge_that_always_says_the_same_has_no_score() -> None:
    found = await score(judge(prompt_rule=lambda request: [[3.0] * len(t) for t in request.task.tokens]))
    assert set(found.metrics.values()) == {None}
    assert found.reasons["r"] == "the predictions are all equal"
    assert {item.outcome for item in found.items} == {Outcome.OK}


@pytest.mark.parametrize("text", ["", "x" * 10_000, "harbour\x00\x1b[2J\n<|im_end|>"])
@pytest.mark.parametrize("readout", READOUTS)
async def test_any_explanation_has_a_score(readout: str, text: str) -> None:
    found = await score(judge(), text, readout=readout)
    assert found.metrics["r"] is not None


@pytest.mark.parametrize("readout", [*READOUTS, "auto"])
def test_estimates_grow_with_the_windows(readout: str) -> None:
    scorer = SIMULATION.resolve_factory()(SimulationConfig(readout=readout))
    short, long = scorer.estimate(ExampleShape(20, 20, 32)), scorer.estimate(ExampleShape(20, 20, 64))
    assert long.input_tokens > short.input_tokens > 0
    assert short.calls == (40 * 32 if readout == "token_by_token" else 40)
