from __future__ import annotations

import math
import re
import statistics
from typing import TYPE_CHECKING, Any

import pytest

from harness.config.schema import LLMConfig
from harness.errors import ConfigError, LLMError
from harness.llm.modes import known_modes
from harness.llm.open import key_fields, llm_identity, open_backend, open_llm
from harness.llm.oracle import writing
from harness.llm.oracle.answers import Oracle
from harness.llm.oracle.model import OracleJudge, oracle_identity
from harness.llm.protocol import CompletionRequest, Message, PromptLogprobsRequest, choice_probability
from harness.llm.task import Task, TaskKind
from harness.llm.tokenizers import listed_price, open_counter
from harness.outcome import Outcome
from harness.planted.catalogue import FEATURES, planted_rule
from harness.planted.rules import on_tokens
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

SHIPS = "words about ships and sailing"
WITH, WITHOUT = "the ship put to sea", "a quiet town in the hills"
MONTHS = "makes the model say names of months"


def config(**changes: Any) -> LLMConfig:
    return LLMConfig(**{"backend": "oracle", "model": "oracle", **changes})


@pytest.fixture
def judge(tmp_path: Path) -> OracleJudge:
    opened = open_llm(config(), "judge", tmp_path)
    assert isinstance(opened, OracleJudge)
    return opened


def request(task: Task | None, **changes: Any) -> CompletionRequest:
    return CompletionRequest(messages=(Message("user", "x" * 40),), max_tokens=1, task=task, **changes)


def values(task: Task, error_rate: float = 0.0, seed: int = 0) -> list[Any]:
    return [answer.value for answer in Oracle(error_rate, seed).answers(task)]


def test_contains_is_answered_by_the_rule() -> None:
    task = Task(TaskKind.CONTAINS, SHIPS, texts=(WITH, WITHOUT))
    assert values(task) == [True, False]


def test_stronger_matches_are_surer() -> None:
    strong, weak, absent = Oracle(0.0, 0).answers(
        Task(TaskKind.CONTAINS, SHIPS, texts=("a ship", "the helm", "a town"))
    )
    assert (strong.p_yes or 0) > (weak.p_yes or 0) > 0.5 > (absent.p_yes or 1)


def test_marked_right_goes_by_the_tokens_that_complete_a_match() -> None:
    tokens = (" the", " sh", "ip", " sails")
    marked = ((False, False, True, True), (True, True, False, False), (False, False, True, False))
    task = Task(TaskKind.MARKED_RIGHT, SHIPS, ("".join(tokens),) * 3, (tokens,) * 3, marked)
    right, wrong, half = Oracle(0.0, 0).answers(task)
    assert [right.value, wrong.value, half.value] == [True, False, True]
    assert (right.p_yes or 0) > (half.p_yes or 0) > (wrong.p_yes or 1)


def test_ratings_tell_strong_from_weak_from_absent() -> None:
    assert values(Task(TaskKind.RATING, SHIPS, texts=("a ship", "at the helm", "a town"))) == [2, 1, 0]


def test_simulated_strengths_are_those_of_the_rule() -> None:
    tokens = ("the", " sh", "ip", " had", " a", " helm")
    (found,) = values(Task(TaskKind.SIMULATE, SHIPS, ("".join(tokens),), (tokens,)))
    assert found[:5] == [0, 0, 10, 0, 0]
    assert 0 < found[5] < 10


def test_what_is_written_holds_the_match_and_near_misses_do_not() -> None:
    rule = planted_rule(SHIPS)
    assert rule is not None
    (written,) = values(Task(TaskKind.WRITE, SHIPS, count=5))
    (missed,) = values(Task(TaskKind.WRITE_NEAR_MISSES, SHIPS, count=5))
    assert len(set(written)) == 5
    assert all(rule.strengths(text) for text in written)
    assert len(missed) == 5
    assert not any(rule.strengths(text) for text in missed)


def test_what_is_rewritten_lacks_the_marked_words_and_mostly_what_fired() -> None:
    tokens = (" the", " sh", "ip", " put", " to", " sea", "!")
    marked = (False, False, True, False, False, False, True)
    task = Task(TaskKind.REWRITE_WITHOUT, "", ("".join(tokens),), (tokens,), (marked,))
    (text,) = values(task)
    assert re.fullmatch(r" the (item|stuff|bit) put to sea,", text)
    assert values(task, error_rate=1.0) == [" the ship put to sea!"]
    silent = []
    for feature in FEATURES[::6]:
        for found in writing.matching_texts(feature.rule, 3, generator(0, "rewritten", feature.name)):
            pieces = tuple(re.findall(r"\s*(?:\w+|[^\w\s])|\s+", found))
            flags = tuple(value > 0 for value in on_tokens(pieces, feature.rule.strengths(found)))
            (text,) = values(Task(TaskKind.REWRITE_WITHOUT, "", (found,), (pieces,), (flags,)))
            silent.append(not feature.rule.strengths(text))
    assert statistics.fmean(silent) > 0.85


@pytest.mark.parametrize("feature", FEATURES[::6], ids=lambda feature: feature.name)
def test_texts_are_written_for_features_of_every_kind(feature: Any) -> None:
    (written,) = values(Task(TaskKind.WRITE, feature.said["true"].text, count=3))
    assert all(feature.rule.strengths(text) for text in written)


def test_the_odd_one_out_is_the_one_without_the_match() -> None:
    texts = ("the ship", "an old anchor", WITHOUT, "the crew sang")
    assert values(Task(TaskKind.ODD_ONE_OUT, SHIPS, texts)) == [2]
    assert values(Task(TaskKind.ODD_ONE_OUT, "", texts)) == [2]


def test_tokens_are_named_by_what_is_promoted() -> None:
    assert values(Task(TaskKind.NAMES_TOKEN, MONTHS, texts=(" March", " table", "july"))) == [True, False, True]


def test_named_tokens_are_likelier() -> None:
    tokens = ("the", " ship", " is", " here")
    raised = [0.0] * 4
    for seed in range(40):
        (found,) = values(Task(TaskKind.LIKELIHOOD, SHIPS, ("".join(tokens),), (tokens,)), seed=seed)
        raised = [before + one / 40 for before, one in zip(raised, found, strict=True)]
    assert raised[1] > max(raised[0], raised[2], raised[3]) + 3
    assert max(raised) < 0


def asked(kind: TaskKind, numbers: Iterable[int]) -> Task:
    """Return a question about as many texts, each of which has one right answer; their numbers tell them apart."""
    if kind == TaskKind.NAMES_TOKEN:
        return Task(kind, MONTHS, texts=tuple(f"March {number}" for number in numbers))
    if kind in {TaskKind.WRITE, TaskKind.WRITE_NEAR_MISSES}:
        return Task(kind, SHIPS, count=5)
    if kind == TaskKind.ODD_ONE_OUT:
        return Task(kind, SHIPS, texts=("ship", *(f"{number} town" for number in numbers), "boat"))
    tokens = tuple((f"{number}", *(" ship", " town") * 9) for number in numbers)
    marked = tuple(tuple(word == " ship" for word in row) for row in tokens)
    texts = tuple("".join(row) for row in tokens)
    if kind == TaskKind.DESCRIBES:
        return Task(kind, SHIPS, texts, (("words", " about", " ships"),))
    return Task(kind, SHIPS, texts, tokens, marked)


def errors(kind: TaskKind, value: Any) -> list[bool]:
    """Return which of the answers in ``value`` are wrong."""
    if kind in {TaskKind.WRITE, TaskKind.WRITE_NEAR_MISSES}:
        rule = planted_rule(SHIPS)
        assert rule is not None
        return [bool(rule.strengths(text)) == (kind == TaskKind.WRITE_NEAR_MISSES) for text in value]
    right: dict[TaskKind, Any] = {TaskKind.RATING: 2, TaskKind.ODD_ONE_OUT: 1, TaskKind.SIMULATE: [0, *(10, 0) * 9]}
    if kind == TaskKind.REWRITE_WITHOUT:
        return [" ship" in value]
    if kind in {TaskKind.LIKELIHOOD, TaskKind.DESCRIBES}:
        return [max(value) < -4.5]
    return [value != right.get(kind, True)]


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("kind", TaskKind)
def test_the_share_of_wrong_answers_is_the_error_rate_in_whatever_order_they_are_asked(
    kind: TaskKind, rate: float
) -> None:
    writes = kind in {TaskKind.WRITE, TaskKind.WRITE_NEAR_MISSES}
    numbers = range(60 if writes else 300)
    repeats = [number if writes else 0 for number in numbers]
    one_by_one = [
        Oracle(rate, 3).answers(asked(kind, [number]), repeat) for number, repeat in zip(numbers, repeats, strict=True)
    ]
    wrong = [error for (answer,) in one_by_one for error in errors(kind, answer.value)]
    assert len(wrong) == 300
    assert abs(sum(wrong) - rate * 300) <= 4 * math.sqrt(rate * (1 - rate) * 300)
    same = Oracle(rate, 3)
    backwards = [same.answers(asked(kind, [number]), repeats[number]) for number in reversed(numbers)]
    assert backwards[::-1] == one_by_one
    if not writes and kind != TaskKind.ODD_ONE_OUT:
        assert same.answers(asked(kind, reversed(numbers)))[::-1] == tuple(answer for (answer,) in one_by_one)


@pytest.mark.parametrize("explanation", ["", "something nobody planted", "x" * 10_000, "\x00\u202e<|im_end|>\ud800"])
def test_an_unknown_explanation_names_nothing(explanation: str) -> None:
    texts = tuple(f"{WITH if number % 2 else WITHOUT} {number}" for number in range(1000))
    found = [answer.p_yes or 0.0 for answer in Oracle(0.1, 0).answers(Task(TaskKind.CONTAINS, explanation, texts))]
    assert all(0.2 < p < 0.8 for p in found)
    assert abs(statistics.fmean(found) - 0.5) < 0.03
    assert abs(statistics.fmean(found[1::2]) - statistics.fmean(found[::2])) < 0.04


@pytest.mark.parametrize("kind", TaskKind)
def test_every_kind_of_task_is_answered_the_same_every_time_whether_known_or_not(kind: TaskKind) -> None:
    tokens = (("the", " ship"), ("a", " town"), ("one", " sail"))
    texts = tuple("".join(one) for one in tokens)
    for explanation in (SHIPS, "nobody knows"):
        task = Task(kind, explanation, texts, tokens, ((False, True),) * 3, count=2)
        answers = Oracle(0.3, 5).answers(task)
        assert answers == Oracle(0.3, 5).answers(task)
        together = kind in {TaskKind.WRITE, TaskKind.WRITE_NEAR_MISSES, TaskKind.ODD_ONE_OUT}
        assert len(answers) == (1 if together else 3)


async def test_choices_are_graded(judge: OracleJudge) -> None:
    asked = request(Task(TaskKind.CONTAINS, SHIPS, texts=(WITH,)), choices=("Yes", "No"), top_logprobs=5)
    completion = await judge.complete(asked)
    assert (completion.text, completion.outcome, completion.cached) == ("Yes", Outcome.OK, False)
    p_yes = choice_probability(completion, "Yes", "No")
    assert p_yes is not None
    assert 0.8 < p_yes < 1
    assert (completion.usage.calls, completion.usage.input_tokens, completion.usage.usd) == (1, 10, 0.0)
    plain = await judge.complete(request(asked.task, choices=("Yes", "No")))
    assert plain.logprobs is None
    assert judge.spending.billed.calls == 2


async def test_ratings_can_be_chosen(judge: OracleJudge) -> None:
    asked = request(Task(TaskKind.RATING, SHIPS, texts=("a ship",)), choices=("0", "1", "2"), top_logprobs=5)
    completion = await judge.complete(asked)
    assert completion.text == "2"
    assert completion.logprobs is not None
    assert math.isclose(sum(map(math.exp, completion.logprobs[0].alternatives.values())), 1.0)


async def test_a_scorer_s_own_form_is_kept(judge: OracleJudge) -> None:
    def form(answers: Sequence[Any]) -> str:
        return f"<{list(answers)}>"

    completion = await judge.complete(request(Task(TaskKind.CONTAINS, SHIPS, texts=(WITH, WITHOUT), reply=form)))
    assert completion.text == "<[True, False]>"


async def test_prompt_logprobs_end_with_the_tokens_of_the_task(judge: OracleJudge) -> None:
    task = Task(TaskKind.LIKELIHOOD, SHIPS, ("the ship",), (("the", " ship"),))
    found = await judge.prompt_logprobs(PromptLogprobsRequest("Words: the ship", task=task))
    assert found.tokens is not None
    assert [one.token for one in found.tokens] == ["Words: ", "the", " ship"]
    assert found.tokens[0].logprob is None
    assert all(one.logprob is not None and one.logprob < 0 for one in found.tokens[1:])


async def test_a_repetition_is_another_draw(tmp_path: Path) -> None:
    judge = open_llm(config(engine={"error_rate": 0.5}), "judge", tmp_path)
    task = Task(TaskKind.CONTAINS, SHIPS, texts=(WITH,))
    said = {(await judge.complete(request(task, choices=("Yes", "No"), repeat=n))).text for n in range(20)}
    assert said == {"Yes", "No"}


async def test_answers_without_a_place_in_the_prompt_are_refused(judge: OracleJudge) -> None:
    task = Task(TaskKind.DESCRIBES, SHIPS, ("x",), (("ships",),))
    with pytest.raises(LLMError, match=r"does not say where .* \(Task\.spans\)") as caught:
        await judge.prompt_logprobs(PromptLogprobsRequest("Description: ships.", task=task))
    assert caught.value.where == "judge.backend"
    assert (await judge.prompt_logprobs(PromptLogprobsRequest("Description: ships", task=task))).tokens


async def test_a_request_without_a_task_is_an_error_that_says_so(judge: OracleJudge) -> None:
    with pytest.raises(LLMError, match=r"without saying what \(Task\)"):
        await judge.complete(request(None))
    with pytest.raises(LLMError, match=r"without saying what \(Task\)"):
        await judge.prompt_logprobs(PromptLogprobsRequest("x"))
    with pytest.raises(LLMError, match="not answered by"):
        await judge.prompt_logprobs(PromptLogprobsRequest("x", task=Task(TaskKind.CONTAINS, SHIPS, ("x",))))
    with pytest.raises(LLMError, match="neither choices nor how to reply"):
        await judge.complete(request(Task(TaskKind.CONTAINS, SHIPS, texts=(WITH,))))


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"engine": {"error_rate": 1.5}}, "judge.engine.error_rate"),
        ({"engine": {"error_rate": "often"}}, "judge.engine.error_rate"),
        ({"engine": {"error_rate": True}}, "judge.engine.error_rate"),
        ({"engine": {"rate": 0.1}}, "judge.engine"),
        ({"api_base": "http://a/v1"}, "judge.api_base"),
        ({"path": "model.gguf"}, "judge.path"),
    ],
)
def test_what_an_oracle_cannot_be_is_refused(changes: dict[str, Any], where: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_llm(config(**changes), "judge", tmp_path)
    assert caught.value.where == where


def test_it_explains_nothing_and_is_no_endpoint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="writes none"):
        open_llm(config(), "explainer", tmp_path)
    with pytest.raises(ConfigError, match="no endpoint"):
        open_backend(config(), "judge", tmp_path)


def test_its_identity_is_its_rules_error_rate_and_seed(tmp_path: Path) -> None:
    plain, erring, seeded = config(), config(engine={"error_rate": 0.1}), config(seed=1)
    identities = [llm_identity(one) for one in (plain, erring, seeded)]
    assert identities[0]["error_rate"] == 0.0
    assert len({str(one) for one in identities}) == 3
    assert "rules" in key_fields(plain)
    modes = known_modes(plain)
    assert modes == {"choices": "grammar", "structured": "json_schema", "logprobs": True}
    opened = open_llm(plain, "judge", tmp_path)
    assert opened.identity == llm_identity(plain, modes)
    assert opened.modes == modes
    assert opened.capabilities.prompt_logprobs
    assert (listed_price(plain).usd(10, 10), open_counter(plain, tmp_path).text("abcd")) == (0.0, 1)
    assert opened.price_facts["source"] == "free"


@pytest.mark.parametrize(("name", "field"), [("ANSWERS", "answers"), ("TEXTS_VERSION", "texts")])
def test_its_identity_names_its_versions_from_the_second_on(
    name: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"harness.llm.oracle.model.{name}", 1)
    before = oracle_identity(config())
    assert field not in before
    monkeypatch.setattr(f"harness.llm.oracle.model.{name}", 2)
    assert oracle_identity(config()) == before | {field: 2}
