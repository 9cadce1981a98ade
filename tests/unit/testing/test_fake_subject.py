from __future__ import annotations

import math

import numpy as np
import pytest

from harness.api import FeatureSourceError, Intervention, InterventionMode
from harness.testing import FakeSubject

PUSH = Intervention((0,), InterventionMode.ADD, 3.0)
PROMPTS = ((1, 2), (900, 3))


async def test_it_fires_on_its_word_and_tokens_join_to_the_text() -> None:
    subject = FakeSubject()
    texts = ["The old harbour, the Harbour!\nharbours", "", "no such word"]
    found = await subject.activations(texts, 0)
    assert ["".join(one.tokens) for one in found] == texts
    assert [token for token, value in zip(found[0].tokens, found[0].values, strict=True) if value] == [
        " harbour",
        " Harbour",
    ]
    assert [one.max for one in found] == [5.0, 0.0, 0.0]
    assert (await subject.activations(["The old harbour"], 1))[0].max == 0.0


async def test_steering_makes_it_write_its_words() -> None:
    subject = FakeSubject()
    settings = {"max_new_tokens": 200, "temperature": 1.0}
    (clean, _) = await subject.continued(PROMPTS, None, seeds=(1, 2), **settings)  # type: ignore[arg-type]
    (steered, other) = await subject.continued(PROMPTS, PUSH, seeds=(1, 2), **settings)  # type: ignore[arg-type]
    assert steered.text.lower().count("harbour") > 2 * clean.text.lower().count("harbour")
    assert steered != other
    assert "".join(subject.token_texts(steered.token_ids)) == steered.text
    assert (await subject.continued(PROMPTS[:1], PUSH, seeds=(1,), **settings)) == (steered,)  # type: ignore[arg-type]


async def test_its_numbers_agree() -> None:
    subject = FakeSubject()
    clean, steered = [(await subject.next_token_logprobs(PROMPTS, one)).astype(float) for one in (None, PUSH)]
    assert np.exp(clean).sum(-1) == pytest.approx([1.0, 1.0])
    expected = (np.exp(clean) * (clean - steered)).sum(-1)
    assert await subject.divergences(PROMPTS, PUSH) == pytest.approx(expected.tolist(), abs=1e-6)
    (first, none) = await subject.continuation_logprobs(PROMPTS, ((5, 6), ()))
    assert first[0] == pytest.approx(float(clean[0, 5]), abs=1e-6)
    assert (len(first), none) == (2, ())
    top = await subject.promoted_tokens(0, 3)
    assert top is not None
    rise = steered[0] - clean[0]
    assert np.argsort(-rise)[:3].tolist() == [token for token, _, _ in top]
    greedy = await subject.continued(PROMPTS, PUSH, max_new_tokens=1, temperature=0.0, seeds=(0, 0))
    assert [one.token_ids[0] for one in greedy] == steered.argmax(-1).tolist()


@pytest.mark.parametrize("mode", [InterventionMode.SCALE, InterventionMode.ABLATE])
async def test_a_feature_that_is_not_active_cannot_be_scaled(mode: InterventionMode) -> None:
    assert await FakeSubject().divergences(PROMPTS, Intervention((0,), mode, 9.0)) == (0.0, 0.0)


async def test_it_can_be_told_not_to_be_steered() -> None:
    subject = FakeSubject(steers=False)
    assert not subject.steers
    assert await subject.promoted_tokens(0, 3) is None
    with pytest.raises(FeatureSourceError, match="cannot be steered"):
        await subject.divergences(PROMPTS, PUSH)


async def test_features_it_does_not_have_are_an_error() -> None:
    subject = FakeSubject(n_features=2)
    assert subject.n_features == 2
    assert subject.n_tokens == len(subject.vocabulary)
    with pytest.raises(FeatureSourceError, match="0 to 1"):
        await subject.promoted_tokens(2, 3)
    assert math.isfinite(sum(await subject.divergences(PROMPTS, Intervention((1,), InterventionMode.SET, 3.0))))
