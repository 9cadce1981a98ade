from __future__ import annotations

import asyncio
import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from harness.decoded import token_texts
from harness.errors import FeatureSourceError, SubjectError
from harness.subjects import continuing
from harness.subjects.configs import MlpNeuronsConfig
from harness.subjects.continuing import read_prompts
from harness.subjects.dictionary import Dictionary
from harness.subjects.interventions import Intervention
from harness.subjects.mlp_neurons import build as build_neurons
from harness.subjects.model import SubjectModel
from harness.subjects.open_access import ModelAccess
from harness.subjects.protocol import Hookpoint, InterventionMode
from harness.subjects.sae import SparseAutoencoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transformers import PreTrainedTokenizerFast

    from harness.subjects.continuing import Read

PLACE = Hookpoint("model.layers.1", "output")
PROMPTS = ((5, 6, 7), (9,), (11, 12, 13, 14, 15), (8, 9, 7), (20, 21))
PUSH = Intervention((3,), InterventionMode.ADD, 5.0)
SEEDS = (1, 2, 3, 4, 5)
FAMILIES = ["llama", "gemma2", "gpt2", "neox"]


def sae(model: Any, *, writes: bool = True) -> SparseAutoencoder:
    draws = torch.Generator().manual_seed(1)
    w_enc, w_dec = torch.randn(16, 32, generator=draws), torch.randn(32, 16, generator=draws)
    dictionary = Dictionary(
        w_enc=w_enc, b_enc=torch.full((32,), -2.0), w_dec=w_dec, b_dec=torch.zeros(16), activation="relu"
    )
    return SparseAutoencoder.on_model(model, dictionary, PLACE, PLACE, {"weights": "drawn"}, encode_only=not writes)


def access_to(subject: SubjectModel, *, bos: int | None = 1, source: Any = None) -> ModelAccess:
    tokenizer: Any = subject.tokenizer
    return ModelAccess(subject, source or sae(subject.model), bos=bos, texts=partial(token_texts, tokenizer))


@pytest.fixture
def access(subject: SubjectModel) -> ModelAccess:
    return access_to(subject)


def alone(
    subject: SubjectModel, prompt: Sequence[int], intervention: Intervention | None, steps: int, *, bos: int | None = 1
) -> tuple[torch.Tensor, list[int]]:
    """Return the next log-probabilities and the greedy tokens after a prompt, by whole forwards without a cache.

    The intervention is laid on all positions and undone before the last prompt token by hand: the states there are
    those of the model as it is.
    """
    model: Any = subject.model
    ids = [] if bos is None else [bos]
    ids += prompt
    first = len(ids) - 1
    source = sae(model)
    logprobs, written = [], []
    for _ in range(steps):
        tokens = torch.tensor([ids])
        clean = subject.hidden_states(tokens, None, [PLACE])[PLACE]
        block = model.model.layers[1]

        def only_from_the_last(_m: Any, _i: Any, out: Any, clean: torch.Tensor = clean) -> Any:
            hidden = (out[0] if isinstance(out, tuple) else out).clone()
            if intervention is not None:
                feature = intervention.features[0]
                hidden[:, first:] += intervention.strength * source.dictionary.w_dec[feature]
                if first == 0:
                    hidden[:, 0] = clean[:, 0]
            return (hidden, *out[1:]) if isinstance(out, tuple) else hidden

        handle = block.register_forward_hook(only_from_the_last)
        try:
            with torch.inference_mode():
                row = model(input_ids=tokens).logits[0, -1].float().log_softmax(-1)
        finally:
            handle.remove()
        logprobs.append(row)
        written.append(int(row.argmax()))
        ids.append(written[-1])
    return logprobs[0], written


@pytest.mark.parametrize("bos", [1, None])
@pytest.mark.parametrize("intervention", [None, PUSH])
async def test_next_tokens_and_greedy_text_are_those_of_whole_forwards(
    subject: SubjectModel, intervention: Intervention | None, bos: int | None
) -> None:
    access = access_to(subject, bos=bos)
    found = await access.next_token_logprobs(PROMPTS, intervention)
    written = await access.continued(PROMPTS, intervention, max_new_tokens=4, temperature=0.0, seeds=SEEDS)
    assert found.dtype == np.float32
    assert found.shape == (len(PROMPTS), access.n_tokens) == (5, 40)
    for row, prompt in enumerate(PROMPTS):
        expected, greedy = alone(subject, prompt, intervention, 4, bos=bos)
        np.testing.assert_allclose(found[row], expected.numpy(), atol=1e-4)
        assert list(written[row].token_ids) == greedy


async def test_a_text_that_begins_without_bos_has_its_first_token_left_alone(subject: SubjectModel) -> None:
    access = access_to(subject, bos=None)
    assert (await access.divergences(((9,), (9, 10)), PUSH))[0] == pytest.approx(0.0, abs=1e-9)
    assert (await access.divergences(((9,), (9, 10)), PUSH))[1] > 0.01


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
async def test_company_in_a_batch_changes_nothing(
    family: str, temperature: float, make_model: Callable[[str], Any], tokenizer: PreTrainedTokenizerFast
) -> None:
    subject = SubjectModel(make_model(family), tokenizer, {})
    source = build_neurons(MlpNeuronsConfig(layer=1), subject)
    together = access_to(subject, source=source)
    settings: dict[str, Any] = {"max_new_tokens": 6, "temperature": temperature}
    for intervention in (None, PUSH):
        rows = await together.continued(PROMPTS, intervention, seeds=SEEDS, **settings)
        logprobs = await together.next_token_logprobs(PROMPTS, intervention)
        for place, prompt in enumerate(PROMPTS):
            single = access_to(subject, source=source)
            (row,) = await single.continued((prompt,), intervention, seeds=(SEEDS[place],), **settings)
            assert row == rows[place]
            np.testing.assert_allclose(
                (await single.next_token_logprobs((prompt,), intervention))[0], logprobs[place], atol=1e-4
            )


async def test_a_seed_is_a_row_s_own_and_draws_follow_the_distribution(access: ModelAccess) -> None:
    seeds = tuple(range(2000))
    many = await access.continued(((5, 6),) * 2000, None, max_new_tokens=1, temperature=1.0, seeds=seeds)
    again = await access.continued(((5, 6),) * 2000, None, max_new_tokens=1, temperature=1.0, seeds=seeds[::-1])
    assert [one.token_ids for one in again] == [one.token_ids for one in many[::-1]]
    counts = np.bincount([one.token_ids[0] for one in many], minlength=40) / 2000
    expected = np.exp((await access.next_token_logprobs(((5, 6),), None))[0])
    assert np.abs(counts - expected).sum() < 0.15


async def test_divergences_are_those_of_the_distributions(access: ModelAccess) -> None:
    clean = (await access.next_token_logprobs(PROMPTS, None)).astype(np.float64)
    steered = (await access.next_token_logprobs(PROMPTS, PUSH)).astype(np.float64)
    expected = (np.exp(clean) * (clean - steered)).sum(-1)
    assert await access.divergences(PROMPTS, PUSH) == pytest.approx(expected.tolist(), abs=1e-5)
    assert await access.divergences(PROMPTS, Intervention((3,), InterventionMode.ADD, 0.0)) == pytest.approx([0.0] * 5)


async def test_steering_out_of_all_range_is_infinitely_far_and_writes_nothing(access: ModelAccess) -> None:
    far = Intervention((3,), InterventionMode.ADD, 3e38)
    assert set(await access.divergences(PROMPTS, far)) == {float("inf")}
    with pytest.raises(FeatureSourceError, match="not finite"):
        await access.continued(PROMPTS, far, max_new_tokens=2, temperature=1.0, seeds=SEEDS)


@pytest.mark.parametrize("at_once", [1 << 25, 40 * 5 * 2, 1])
async def test_logprobs_of_continuations_are_those_of_a_whole_forward(
    access: ModelAccess, subject: SubjectModel, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continuing, "LOGPROBS_AT_ONCE", at_once)
    shapes = []
    real = continuing._forward

    def forward(*args: Any) -> torch.Tensor:
        logprobs = real(*args)
        shapes.append(tuple(logprobs.shape))
        return logprobs

    await access.next_token_logprobs(PROMPTS, None)  # reads the prompts
    monkeypatch.setattr(continuing, "_forward", forward)
    continuations = ((3, 4, 5), (), (6,), (7, 8), (2, 2, 2))
    found = await access.continuation_logprobs(PROMPTS, continuations)
    for prompt, written, values in zip(PROMPTS, continuations, found, strict=True):
        ids = torch.tensor([[1, *prompt, *written]])
        with torch.inference_mode():
            rows = subject.model(input_ids=ids).logits[0].float().log_softmax(-1)
        expected = [float(rows[len(prompt) + at, token]) for at, token in enumerate(written)]
        assert list(values) == pytest.approx(expected, abs=1e-4)
    assert all(rows * steps * n_tokens <= max(at_once, rows * n_tokens) for rows, steps, n_tokens in shapes)
    assert sum(steps for _, steps, _ in shapes) == 3


async def test_activations_are_those_of_a_plain_forward(access: ModelAccess, subject: SubjectModel) -> None:
    texts = ["w5 w6 w7", "", "w9 w10 w11 w12 w13", "w30"]
    source: Any = sae(subject.model)
    for feature in (3, 7):
        found = await access.activations(texts, feature)
        for text, one in zip(texts, found, strict=True):
            ids = [int(word[1:]) for word in text.split()]
            assert list(one.token_ids) == ids
            assert len(one.tokens) == len(one.values) == len(ids)
            if ids:
                hidden = subject.hidden_states(torch.tensor([[1, *ids]]), None, [PLACE])[PLACE][0, 1:]
                assert list(one.values) == pytest.approx(source.encode(hidden)[:, feature].tolist(), abs=1e-4)
    assert (await access.activations([""], 3))[0].max == 0.0
    assert await access.activations([], 3) == ()


async def test_a_long_text_is_cut_and_a_long_prompt_refused(access: ModelAccess) -> None:
    (found,) = await access.activations([" ".join(["w5"] * 200)], 3)
    assert len(found.values) == 63  # 64 positions, one of them BOS
    with pytest.raises(SubjectError, match="64 the subject model reads"):
        await access.continued(((5,) * 60,), None, max_new_tokens=8, temperature=0.0, seeds=(0,))
    with pytest.raises(SubjectError, match="without tokens"):
        await access.next_token_logprobs(((),), None)
    with pytest.raises(SubjectError, match="1 prompts have 2 seeds"):
        await access.continued(((5,),), None, max_new_tokens=8, temperature=0.0, seeds=(0, 1))
    with pytest.raises(FeatureSourceError, match="0 to 31"):
        await access.activations(["w5"], 32)


async def test_nothing_asked_is_nothing_answered(access: ModelAccess) -> None:
    assert await access.continued((), None, max_new_tokens=3, temperature=1.0, seeds=()) == ()
    assert (await access.next_token_logprobs((), None)).shape == (0, 40)
    assert await access.divergences((), PUSH) == ()
    (none,) = await access.continued(((5,),), None, max_new_tokens=0, temperature=1.0, seeds=(0,))
    assert (none.text, none.token_ids) == ("", ())


async def test_writing_ends_at_the_end_of_text(subject: SubjectModel) -> None:
    access = access_to(subject)
    (greedy,) = await access.continued(((5, 6, 7),), None, max_new_tokens=5, temperature=0.0, seeds=(0,))
    end = greedy.token_ids[2]
    first = greedy.token_ids.index(end)
    subject.model.generation_config.eos_token_id = [end]
    fresh = access_to(subject)
    (cut, other) = await fresh.continued(((5, 6, 7), (9, 8, 7)), None, max_new_tokens=5, temperature=0.0, seeds=(0, 0))
    assert cut.token_ids == greedy.token_ids[:first]
    assert end not in other.token_ids


async def test_the_text_is_that_of_what_was_written(access: ModelAccess) -> None:
    (one,) = await access.continued(((5, 6),), None, max_new_tokens=3, temperature=0.0, seeds=(0,))
    assert one.text.split() == [f"w{token}" if token > 1 else {0: "<pad>", 1: "<s>"}[token] for token in one.token_ids]
    assert access.token_texts([5, 6]) == ("w5", "w6")


async def test_promoted_tokens_are_those_of_the_logit_weights(access: ModelAccess, subject: SubjectModel) -> None:
    from harness.subjects.logit_weights import top_logit_tokens

    found = await access.promoted_tokens(5, 4)
    assert found is not None
    assert tuple(text for _, text, _ in found) == top_logit_tokens(subject, sae(subject.model), [5], 4)[0]
    logits = [logit for *_, logit in found]
    assert logits == sorted(logits, reverse=True)
    assert await access.promoted_tokens(5, 1000) is not None
    reader = access_to(subject, source=sae(subject.model, writes=False))
    assert await reader.promoted_tokens(5, 4) is None


async def test_a_source_that_only_reads_says_so(subject: SubjectModel) -> None:
    reader = access_to(subject, source=sae(subject.model, writes=False))
    assert not reader.steers
    assert access_to(subject).steers
    assert (await reader.activations(["w5"], 3))[0].tokens == ("w5",)
    with pytest.raises(FeatureSourceError, match="can be read but not steered"):
        await reader.divergences(PROMPTS, PUSH)


async def test_a_source_that_is_not_steerable_row_by_row_is_asked_through_its_context(subject: SubjectModel) -> None:
    inner = sae(subject.model)

    class Whole:
        """Has ``intervene`` and no ``change``."""

        kind = "whole"
        hookpoint, n_features, d_in, identity = PLACE, 32, 16, inner.identity

        def to(self, _device: Any) -> Any:
            return self

        def intervene(self, model: Any, features: Any, mode: Any, strength: float) -> Any:
            return inner.intervene(model, features, mode, strength)

    access = access_to(subject, source=Whole())
    assert access.steers
    assert await access.divergences(PROMPTS, PUSH) == await access_to(subject).divergences(PROMPTS, PUSH)


async def test_many_tasks_at_once_do_not_meet_each_other_s_interventions(access: ModelAccess) -> None:
    pushes = [None, *(Intervention((feature,), InterventionMode.ADD, 4.0) for feature in range(6))]
    together = await asyncio.gather(*(access.next_token_logprobs(PROMPTS, push) for push in pushes))
    reads = await asyncio.gather(*(access.activations(["w5 w6 w7"], 3) for _ in range(4)))
    assert len(set(reads)) == 1
    for push, found in zip(pushes, together, strict=True):
        np.testing.assert_array_equal(found, await access.next_token_logprobs(PROMPTS, push))
    assert not np.array_equal(together[0], together[1])


async def test_what_was_asked_before_is_not_computed_again(
    access: ModelAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await access.divergences(PROMPTS, PUSH)
    monkeypatch.setattr("harness.subjects.open_access.divergences", None)
    assert await access.divergences(PROMPTS, PUSH) == first
    with pytest.raises(TypeError):
        await access.divergences(PROMPTS, Intervention((3,), InterventionMode.ADD, 5.5))


@pytest.mark.parametrize(("most", "times"), [(1 << 30, 3), (0, 6)])
async def test_prompts_that_take_turns_are_read_once_where_there_is_room(
    subject: SubjectModel, monkeypatch: pytest.MonkeyPatch, most: int, times: int
) -> None:
    monkeypatch.setattr("harness.subjects.open_access._KEPT_READS", most)
    counted: list[int] = []

    def counting(*given: Any) -> list[Read]:
        counted.append(len(given[1]))
        return read_prompts(*given)

    monkeypatch.setattr("harness.subjects.open_access.read_prompts", counting)
    access = access_to(subject)
    found = [
        await access.divergences(PROMPTS[place : place + 1], Intervention((3,), InterventionMode.ADD, strength))
        for strength in (1.0, 2.0)
        for place in range(3)
    ]
    assert counted == [1] * times
    assert len(set(found)) == 6


def test_the_size_of_what_was_read_is_that_of_its_keys_values_and_log_probabilities(subject: SubjectModel) -> None:
    (read,) = read_prompts(subject, [(5, 6, 7, 8)], None, 100)
    states = [state for layer in read.cache.layers for state in (layer.keys, layer.values)]
    assert all(state.shape[-2] == 3 for state in states)
    assert read.nbytes == 4 * (sum(state.numel() for state in states) + read.clean.numel())


async def test_hidden_states_that_are_not_finite_are_an_error(subject: SubjectModel) -> None:
    broken = SubjectModel(copy.deepcopy(subject.model), subject.tokenizer, {})
    embeddings: Any = broken.model.get_input_embeddings()
    with torch.no_grad():
        embeddings.weight[5] = float("nan")
    access = access_to(broken)
    with pytest.raises(SubjectError, match="hidden states are not finite"):
        await access.activations(["w5"], 3)
    with pytest.raises(SubjectError, match="outputs are not finite"):
        await access.next_token_logprobs(((5, 6),), None)


def test_the_identity_names_model_and_source(access: ModelAccess) -> None:
    assert access.identity == {"model": {"weights": "random"}, "kind": "sae", "source": {"weights": "drawn"}}
