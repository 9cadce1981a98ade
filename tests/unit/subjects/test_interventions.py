"""Batches whose rows have interventions of their own, against each row run alone under ``intervene``."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import FeatureSourceError, SubjectError
from harness.subjects import attention_heads
from harness.subjects.configs import AttentionHeadsConfig
from harness.subjects.hooks import on_hookpoint
from harness.subjects.interventions import Change, Intervention, Steerable, intervene_rows
from harness.subjects.model import SubjectModel
from harness.subjects.protocol import Hookpoint, InterventionMode
from harness.subjects.steering import changing_rows
from tests.support.made_sources import KINDS, made_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transformers import PreTrainedTokenizerFast

    from harness.subjects.protocol import FeatureSource

STEPS = 3
ADD, SET, SCALE, ABLATE = InterventionMode
# Five rows of four lengths; the first and the last have the same intervention, the second has none.
LENGTHS = (7, 5, 7, 3, 6)
ROWS = (
    Intervention((3, 5), SET, 6.0),
    None,
    Intervention((2,), ADD, -4.0),
    Intervention((3, 1), SCALE, 3.0),
    Intervention((3, 5), SET, 6.0),
)
ALL = ("llama", "gpt2", "neox", "gemma2", "gemma3", "qwen2", "qwen3")
# Every kind in two families, and in every family a kind that reads and writes in two places and one that does in one.
CASES = [(family, kind, True) for family in ("llama", "gemma3") for kind in KINDS]
CASES += [(family, kind, True) for family in ALL if family not in {"llama", "gemma3"} for kind in ("transcoder", "sae")]
CASES += [("llama", kind, False) for kind in ("sae_between", "directions")]
CASES += [(family, "transcoder", False) for family in ("gpt2", "gemma2")]


@pytest.fixture
def on(make_model: Callable[[str], Any], tokenizer: PreTrainedTokenizerFast) -> Callable[[str], SubjectModel]:
    return lambda family: SubjectModel(make_model(family), tokenizer, {})


@pytest.fixture
def prompts() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(2, 40, (length,), generator=generator) for length in LENGTHS]


def generate(model: SubjectModel, prompts: Sequence[torch.Tensor], **options: Any) -> Any:
    """Return what is generated after prompts, padded on the left, with the logits [B, V] of every step."""
    longest = max(len(prompt) for prompt in prompts)
    tokens = torch.stack([torch.nn.functional.pad(prompt, (longest - len(prompt), 0)) for prompt in prompts])
    hf: Any = model.model
    with torch.inference_mode():
        return hf.generate(
            input_ids=tokens,
            attention_mask=(tokens != 0).long(),
            pad_token_id=0,
            return_dict_in_generate=True,
            output_logits=True,
            **{"max_new_tokens": STEPS, "do_sample": False, **options},
        )


def alone(
    model: SubjectModel, source: FeatureSource, prompt: torch.Tensor, one: Intervention | None, **options: Any
) -> Any:
    with ExitStack() as context:
        if one is not None:
            context.enter_context(source.intervene(model.model, one.features, one.mode, one.strength))
        return generate(model, [prompt], **options)


@pytest.mark.parametrize(("family", "kind", "use_cache"), CASES)
def test_a_row_is_what_it_is_alone_at_every_step(
    family: str, kind: str, use_cache: bool, on: Callable[[str], SubjectModel], prompts: list[torch.Tensor]
) -> None:
    model = on(family)
    source = made_source(kind, model)
    with intervene_rows(source, model.model, ROWS):
        together = generate(model, prompts, use_cache=use_cache)
    plain = generate(model, prompts, use_cache=use_cache)
    for row, (prompt, one) in enumerate(zip(prompts, ROWS, strict=True)):
        expected = alone(model, source, prompt, one, use_cache=True)
        assert together.sequences[row, 7:].tolist() == expected.sequences[0, len(prompt) :].tolist()
        for step in range(STEPS):
            torch.testing.assert_close(together.logits[step][row], expected.logits[step][0], atol=1e-3, rtol=1e-3)
        moved = (together.logits[0][row] - plain.logits[0][row]).abs().max()
        # Scaling a value of 0 changes nothing.
        assert (moved > 1e-3) == (one is not None) or (one is not None and one.mode is SCALE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_in_half_precision(
    family: str, kind: str, on: Callable[[str], SubjectModel], prompts: list[torch.Tensor]
) -> None:
    model = on(family)
    model.model.bfloat16()
    source = made_source(kind, model)
    with intervene_rows(source, model.model, ROWS):
        together = generate(model, prompts, max_new_tokens=1).logits[0].float()
    for row, (prompt, one) in enumerate(zip(prompts, ROWS, strict=True)):
        expected = alone(model, source, prompt, one, max_new_tokens=1).logits[0][0].float()
        assert float((together[row] - expected).norm() / expected.norm()) < 0.03


def test_a_row_without_an_intervention_is_not_touched(on: Callable[[str], SubjectModel], tokens: torch.Tensor) -> None:
    model = on("llama")
    for kind in KINDS:
        source = made_source(kind, model)
        place = getattr(source, "hookpoint_out", source.hookpoint)
        before: list[torch.Tensor] = []
        after: list[torch.Tensor] = []
        with (
            on_hookpoint(model.model, place, before.append),
            intervene_rows(source, model.model, [None, ROWS[0]]),
            on_hookpoint(model.model, place, after.append),
        ):
            model.model(input_ids=tokens)
        assert torch.equal(before[0][0], after[0][0])
        assert torch.equal(before[0][1, 0], after[0][1, 0])
        assert (before[0][1, 1:] != after[0][1, 1:]).any(-1).all()


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3"])
def test_beams_of_a_row_share_its_intervention(
    family: str, on: Callable[[str], SubjectModel], prompts: list[torch.Tensor]
) -> None:
    model = on(family)
    source = made_source("transcoder", model)
    options = {"num_beams": 3, "num_return_sequences": 2, "use_cache": True}
    with intervene_rows(source, model.model, ROWS):
        together = generate(model, prompts, **options).sequences
    for row, (prompt, one) in enumerate(zip(prompts, ROWS, strict=True)):
        expected = alone(model, source, prompt, one, **options).sequences
        assert together[2 * row : 2 * row + 2, 7:].tolist() == expected[:, len(prompt) :].tolist()


def test_sequences_drawn_from_a_row_share_its_intervention(
    on: Callable[[str], SubjectModel], prompts: list[torch.Tensor]
) -> None:
    model = on("llama")
    source = made_source("directions", model)
    states: list[torch.Tensor] = []
    with (
        intervene_rows(source, model.model, [Intervention((2,), SET, 9.0), None]),
        on_hookpoint(model.model, source.hookpoint, states.append),
        torch.random.fork_rng(),
    ):
        torch.manual_seed(0)
        generate(model, prompts[:2], do_sample=True, num_return_sequences=3)
    assert [len(state) for state in states] == [6] * STEPS
    for state in states:
        is_set = (source.encode_features(state[:, -1], [2])[:, 0] - 9).abs() < 1e-3
        assert is_set.tolist() == [True] * 3 + [False] * 3


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("kind", ["sae", "transcoder", "mlp_neurons"])
def test_nested_with_an_intervention_on_the_whole_batch(
    kind: str, inside: bool, on: Callable[[str], SubjectModel], prompts: list[torch.Tensor]
) -> None:
    model = on("gemma2")
    source, other = made_source(kind, model), made_source("directions", model, layer=2)

    def both(interventions: Sequence[Intervention | None], prompts: Sequence[torch.Tensor]) -> Any:
        contexts: list[Callable[[], Any]] = [
            lambda: other.intervene(model.model, [1], ADD, 3.0),
            lambda: intervene_rows(source, model.model, interventions),
        ]
        with ExitStack() as stack:
            for context in contexts if inside else reversed(contexts):
                stack.enter_context(context())
            return generate(model, prompts)

    together = both(ROWS, prompts)
    for row, (prompt, one) in enumerate(zip(prompts, ROWS, strict=True)):
        expected = both([one], [prompt])
        for step in range(STEPS):
            torch.testing.assert_close(together.logits[step][row], expected.logits[step][0], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("n_rows", [2, 4, 7])
def test_a_batch_that_does_not_fit_is_refused(
    n_rows: int, on: Callable[[str], SubjectModel], tokens: torch.Tensor
) -> None:
    model = on("llama")
    batch = tokens[:1].expand(n_rows, -1)
    with (
        intervene_rows(made_source("sae", model), model.model, ROWS[:3]),
        pytest.raises(SubjectError, match=rf"a batch of {n_rows} rows cannot have 3 interventions\. Try: .*k times"),
    ):
        model.model(input_ids=batch)


def test_what_cannot_be_is_refused_before_the_context_is_entered(on: Callable[[str], SubjectModel]) -> None:
    model = on("llama")
    source = made_source("sae", model)
    with pytest.raises(FeatureSourceError, match="no feature 99"):
        intervene_rows(source, model.model, [None, Intervention((99,), ADD, 1.0)])
    with pytest.raises(FeatureSourceError, match="no interventions were given"):
        intervene_rows(source, model.model, [])
    norms = attention_heads.build(AttentionHeadsConfig(layer=1, value="norm", top_k=1), model)
    with pytest.raises(FeatureSourceError, match="cannot be steered"):
        intervene_rows(norms, model.model, [ROWS[0]])


def test_rows_that_are_all_left_alone_change_nothing(on: Callable[[str], SubjectModel], tokens: torch.Tensor) -> None:
    model = on("llama")
    plain = model.model(input_ids=tokens).logits
    with intervene_rows(made_source("sae", model), model.model, [None, None]):
        assert torch.equal(model.model(input_ids=tokens).logits, plain)


def test_a_source_with_intervene_alone_takes_one_intervention_for_all_rows(
    on: Callable[[str], SubjectModel], tokens: torch.Tensor
) -> None:
    model = on("llama")
    inner = made_source("sae", model)
    foreign: Any = SimpleNamespace(kind="rules", hookpoint=inner.hookpoint, intervene=inner.intervene)
    assert not isinstance(foreign, Steerable)
    with inner.intervene(model.model, [3, 5], SET, 6.0):
        expected = model.model(input_ids=tokens).logits
    with intervene_rows(foreign, model.model, [ROWS[0], ROWS[4]]):
        assert torch.equal(model.model(input_ids=tokens).logits, expected)
    for mixed in ([ROWS[0], None], [None, None], [ROWS[0], ROWS[2]]):
        with pytest.raises(FeatureSourceError, match=r"a rules takes one intervention .*\(Steerable\)"):
            intervene_rows(foreign, model.model, mixed)


class TwoPlaces(torch.nn.Module):
    """A model that does nothing but pass two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Identity(), torch.nn.Identity()

    def forward(self, inputs_embeds: torch.Tensor) -> Any:
        return self.second(self.first(inputs_embeds))


def test_rows_may_be_changed_in_different_places() -> None:
    first, second = Hookpoint("first", "output"), Hookpoint("second", "output")
    changes = [Change(first, first, torch.ones_like), None, Change(second, second, lambda x: 2 * torch.ones_like(x))]
    model, hidden = TwoPlaces(), torch.zeros(3, 4, 2)
    seen: list[torch.Tensor] = []
    with changing_rows(model, changes), on_hookpoint(model, first, seen.append):
        out = model(inputs_embeds=hidden)
    assert seen[0][:, 1:, 0].tolist() == [[1.0] * 3, [0.0] * 3, [0.0] * 3]
    assert out[:, 1:, 0].tolist() == [[1.0] * 3, [0.0] * 3, [2.0] * 3]
    assert torch.equal(out[:, 0], hidden[:, 0])


@settings(deadline=None, max_examples=60)
@given(
    strengths=st.lists(st.one_of(st.none(), st.integers(-3, 3)), min_size=1, max_size=6),
    repeats=st.integers(1, 3),
)
def test_row_j_has_the_change_of_place_j_over_repeats(strengths: list[int | None], repeats: int) -> None:
    place = Hookpoint("first", "output")

    def adding(strength: int) -> Change:
        return Change(place, place, lambda hidden: torch.full_like(hidden, strength))

    made = {strength: adding(strength) for strength in strengths if strength is not None}
    hidden = torch.arange(len(strengths) * repeats * 3 * 2.0).reshape(-1, 3, 2)
    with changing_rows(model := TwoPlaces(), [None if s is None else made[s] for s in strengths]):
        moved = model(inputs_embeds=hidden) - hidden
    assert moved[:, 1:, 0].tolist() == [[float(s or 0)] * 2 for s in strengths for _ in range(repeats)]
    assert torch.equal(moved[:, 0], torch.zeros_like(moved[:, 0]))
