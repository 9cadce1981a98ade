from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.llm.decoding import Decoding, alternatives_at, pick
from harness.llm.protocol import CompletionRequest, Message

if TYPE_CHECKING:
    from collections.abc import Sequence

WORDS = ("<end>", "Yes", "No", " dark", " red", " blue", "x")
END, YES, NO, DARK, RED, BLUE, X = range(7)
LOGITS = st.lists(st.floats(-20, 20), min_size=2, max_size=12)


def log_softmax(values: Sequence[float]) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    return np.asarray(array - np.logaddexp.reduce(array), dtype=np.float32)


def favouring(*tokens: int) -> np.ndarray:
    """Log-probabilities that prefer the given tokens, the first the most."""
    return log_softmax([10.0 - tokens.index(token) if token in tokens else 0.0 for token in range(len(WORDS))])


def decoding(limit: int = 5, choices: Sequence[Sequence[int]] = (), seed: int | None = 0, **changes: Any) -> Decoding:
    fields: dict[str, Any] = {"messages": (Message("user", "q"),), "max_tokens": limit, **changes}
    prompt = fields.pop("prompt", (1, 2, 3))
    texts = (lambda token: WORDS[token], lambda tokens: "".join(WORDS[token] for token in tokens))
    request = CompletionRequest(**fields)
    return Decoding(request, prompt, limit=limit, ends=(END,), choices=choices, seed=seed, texts=texts)


def drawn(count: int = 12, **changes: Any) -> str:
    row = decoding(limit=count, temperature=1.0, **changes)
    even = log_softmax([-30.0, *[0.0] * (len(WORDS) - 1)])
    while row.finish is None:
        row.step(even)
    return row.generated(0).text


@given(LOGITS, st.floats(0.1, 3), st.floats(0.01, 1), st.integers(0, 99))
def test_only_the_nucleus_is_drawn_from(logits: list[float], temperature: float, top_p: float, seed: int) -> None:
    logprobs = log_softmax(logits)
    mass = np.exp(logprobs.astype(np.float64) / temperature)
    mass /= mass.sum()
    token = pick(logprobs, temperature, top_p, np.random.default_rng(seed))
    likelier = mass[mass > mass[token]].sum()
    assert mass[token] > 0
    assert likelier < top_p + 1e-9


@given(LOGITS)
def test_greedy_takes_the_likeliest(logits: list[float]) -> None:
    logprobs = log_softmax(logits)
    assert logprobs[pick(logprobs, 0.0, 1.0, np.random.default_rng(0))] == logprobs.max()


def test_draws_follow_the_distribution() -> None:
    logprobs = log_softmax([math.log(0.5), math.log(0.3), math.log(0.2)])
    draws = np.random.default_rng(0)
    found = [pick(logprobs, 1.0, 1.0, draws) for _ in range(20_000)]
    shares = [found.count(token) / len(found) for token in range(3)]
    assert shares == pytest.approx([0.5, 0.3, 0.2], abs=0.015)  # more than four standard errors
    assert {pick(logprobs, 1.0, 0.6, draws) for _ in range(1000)} == {0, 1}


def test_the_last_digits_of_logits_change_no_draw() -> None:
    draws = np.random.default_rng(1)
    logprobs = log_softmax(draws.normal(size=50_000).tolist())
    moved = logprobs + draws.uniform(-2e-5, 2e-5, size=logprobs.size).astype(np.float32)
    pairs = [
        (pick(logprobs, 1.5, 1.0, np.random.default_rng(seed)), pick(moved, 1.5, 1.0, np.random.default_rng(seed)))
        for seed in range(200)
    ]
    assert sum(one != other for one, other in pairs) <= 1
    assert len({one for one, _ in pairs}) > 150


@given(LOGITS, st.integers(0, 99))
def test_what_may_not_come_never_comes(logits: list[float], seed: int) -> None:
    logprobs = log_softmax(logits)
    logprobs[1:] = -np.inf
    assert pick(logprobs, 1.0, 1.0, np.random.default_rng(seed)) == 0


def test_alternatives_are_the_likeliest_with_those_asked_for() -> None:
    found = alternatives_at(favouring(RED, BLUE), 2, WORDS.__getitem__, [YES])
    assert list(found) == [" red", " blue", "Yes"]
    assert alternatives_at(favouring(RED), 0, WORDS.__getitem__, [YES]) == {}
    assert alternatives_at(favouring(RED, BLUE), 2, lambda _: "?") == {"?": float(favouring(RED, BLUE)[RED])}


def test_an_answer_ends_at_an_end_token_which_is_counted_but_not_shown() -> None:
    row = decoding(top_logprobs=2)
    row.step(favouring(RED))
    assert row.finish is None
    row.step(favouring(END))
    generated = row.generated(7)
    assert (generated.text, generated.finish) == (" red", "stop")
    assert (generated.input_tokens, generated.output_tokens, generated.cached_input_tokens) == (3, 2, 7)
    assert [token.token for token in generated.tokens] == [" red"]


def test_an_answer_ends_at_its_limit() -> None:
    row = decoding(limit=2)
    row.step(favouring(RED))
    row.step(favouring(BLUE))
    assert (row.generated(0).text, row.finish) == (" red blue", "length")


def test_a_stop_text_is_cut_off_even_across_tokens() -> None:
    row = decoding(stop=("d bl",))
    row.step(favouring(RED))
    row.step(favouring(BLUE))
    assert (row.generated(0).text, row.finish) == (" re", "stop")


def test_choices_mask_the_rest_but_not_what_is_reported() -> None:
    row = decoding(limit=1, choices=[(YES,), (NO,)], top_logprobs=1)
    logprobs = favouring(X, NO, YES)
    row.step(logprobs)
    generated = row.generated(0)
    assert (generated.text, row.finish) == ("No", "stop")
    assert generated.tokens[0].logprob == pytest.approx(float(logprobs[NO]))
    assert set(generated.tokens[0].alternatives) == {"x", "No", "Yes"}


def test_choices_of_several_tokens() -> None:
    row = decoding(choices=[(DARK, RED), (DARK, BLUE)])
    row.step(favouring(X, RED))
    row.step(favouring(YES, BLUE, RED))
    assert (row.generated(0).text, row.finish) == (" dark blue", "stop")


def test_a_draw_depends_on_seed_prompt_and_repeat_alone() -> None:
    assert drawn(seed=1) == drawn(seed=1)
    assert drawn(seed=1) != drawn(seed=2)
    assert drawn(seed=1) != drawn(seed=1, prompt=(3, 2, 1))
    assert drawn(seed=None, repeat=0) == drawn(seed=None, repeat=0)
    assert drawn(seed=None, repeat=0) != drawn(seed=None, repeat=1)
