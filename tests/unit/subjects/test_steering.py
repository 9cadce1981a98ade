from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from harness.errors import FeatureSourceError, SubjectError
from harness.subjects.attention_heads import HeadDimensions
from harness.subjects.dictionary import Dictionary
from harness.subjects.directions import Directions
from harness.subjects.hooks import on_hookpoint
from harness.subjects.mlp_neurons import MlpNeurons
from harness.subjects.protocol import Hookpoint, InterventionMode
from harness.subjects.sae import SparseAutoencoder
from harness.subjects.steering import _first_tokens, changed_values, changing
from harness.subjects.transcoder import Transcoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.subjects.protocol import FeatureSource

RESIDUAL = Hookpoint("model.layers.1", "output")
MLP_IN, MLP_OUT = Hookpoint("model.layers.1.mlp", "input"), Hookpoint("model.layers.1.mlp", "output")
DOWN = Hookpoint("model.layers.1.mlp.down_proj", "input")
HEADS, GATE = Hookpoint("model.layers.1.self_attn.o_proj", "input"), Hookpoint("model.layers.1.mlp.gate_proj", "output")
STEPS = 5
KINDS = ["sae", "transcoder", "mlp_neurons", "pre_activations", "attention_heads", "directions"]


def dictionary() -> Dictionary:
    generator = torch.Generator().manual_seed(1)
    w_enc, w_dec = torch.randn(16, 32, generator=generator), torch.randn(32, 16, generator=generator)
    b_enc = torch.ones(32)
    return Dictionary(w_enc=w_enc, b_enc=b_enc, w_dec=w_dec, b_dec=torch.randn(16), activation="relu")


def directions() -> Directions:
    weight = torch.randn(8, 16, generator=torch.Generator().manual_seed(2))
    written = weight / weight.square().sum(-1, keepdim=True)
    return Directions(weight, torch.ones(8), written, RESIDUAL, {}, "positive", 8, None, torch.eye(16))


def sources(model: Any) -> dict[str, tuple[FeatureSource, Hookpoint]]:
    """Each kind with the hookpoint at which its change must be seen."""
    rows = model.model.layers[1].mlp.down_proj.weight.T
    heads = model.model.layers[1].self_attn.o_proj.weight.T
    return {
        "sae": (SparseAutoencoder.on_model(model, dictionary(), RESIDUAL, RESIDUAL, {}), RESIDUAL),
        "transcoder": (Transcoder.on_model(model, dictionary(), MLP_IN, MLP_OUT, {}), MLP_OUT),
        "mlp_neurons": (MlpNeurons(DOWN, rows, {}, "positive", 8, None), DOWN),
        "pre_activations": (MlpNeurons(GATE, rows, {}, "positive", 8, None, linear=False), GATE),
        "attention_heads": (HeadDimensions(HEADS, heads, {}, "positive", 8, None), HEADS),
        "directions": (directions(), RESIDUAL),
    }


class Recorder:
    """Keeps what passes a hookpoint at each forward."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def __call__(self, hidden: torch.Tensor) -> None:
        self.seen.append(hidden.clone())


@pytest.fixture
def model(make_model: Callable[[str], Any]) -> Any:
    return make_model("llama")


def generate(model: Any, tokens: torch.Tensor, *, use_cache: bool) -> torch.Tensor:
    out: torch.Tensor = model.generate(
        input_ids=tokens,
        attention_mask=(tokens != 0).long(),
        max_new_tokens=STEPS,
        do_sample=False,
        use_cache=use_cache,
        pad_token_id=0,
    )
    return out


@pytest.mark.parametrize("mode", [InterventionMode.ADD, InterventionMode.SET])
@pytest.mark.parametrize("kind", KINDS)
def test_every_decoding_step_is_changed_and_caching_changes_nothing(
    kind: str, mode: InterventionMode, model: Any, tokens: torch.Tensor
) -> None:
    source, place = sources(model)[kind]
    before, after = Recorder(), Recorder()
    # Hooks run in the order they were made: one recorder sees the state before the change, the other after it.
    with (
        on_hookpoint(model, place, before),
        source.intervene(model, [3, 5], mode, 6.0),
        on_hookpoint(model, place, after),
    ):
        cached = generate(model, tokens, use_cache=True)
    assert [len(hidden[0]) for hidden in before.seen] == [7] + [1] * (STEPS - 1)
    deltas = [(new - old).norm(dim=-1) for old, new in zip(before.seen, after.seen, strict=True)]
    assert (deltas[0][:, 0] == 0).all()
    assert (deltas[0][:, 1:] > 0).all()
    assert all((delta > 0).all() for delta in deltas[1:])
    with source.intervene(model, [3, 5], mode, 6.0):
        uncached = generate(model, tokens, use_cache=False)
    assert torch.equal(cached, uncached)
    assert not torch.equal(cached, generate(model, tokens, use_cache=True))


@pytest.mark.parametrize("kind", KINDS)
def test_the_cached_changes_are_the_uncached_ones(kind: str, model: Any, tokens: torch.Tensor) -> None:
    source, place = sources(model)[kind]
    steps, whole = Recorder(), Recorder()
    with source.intervene(model, [3], InterventionMode.SET, 4.0), on_hookpoint(model, place, steps):
        text = generate(model, tokens, use_cache=True)
    with source.intervene(model, [3], InterventionMode.SET, 4.0), on_hookpoint(model, place, whole):
        model(input_ids=text[:, :-1])
    torch.testing.assert_close(torch.cat(steps.seen, dim=1), whole.seen[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["sae", "transcoder", "directions"])
def test_the_error_term_is_kept(kind: str, model: Any, tokens: torch.Tensor) -> None:
    source, place = sources(model)[kind]
    before, after, read = Recorder(), Recorder(), Recorder()
    with (
        on_hookpoint(model, source.hookpoint, read),
        on_hookpoint(model, place, before),
        source.intervene(model, [3], InterventionMode.SET, 4.0),
        on_hookpoint(model, place, after),
    ):
        model(input_ids=tokens)
    values = source.encode_features(read.seen[0], [3])
    if kind == "directions":  # SET moves the signed value, whichever side it was on
        values = read.seen[0] @ directions().weight[[3]].T + 1.0
    written = directions().written if kind == "directions" else dictionary().w_dec
    expected = before.seen[0] + (4.0 - values) @ written[[3]]
    torch.testing.assert_close(after.seen[0][:, 1:], expected[:, 1:])


def test_an_ablated_latent_has_no_part_in_the_decoding(model: Any, tokens: torch.Tensor) -> None:
    source, place = sources(model)["sae"]
    before, after = Recorder(), Recorder()
    with (
        on_hookpoint(model, place, before),
        source.intervene(model, [3], InterventionMode.ABLATE, 9.0),
        on_hookpoint(model, place, after),
    ):
        model(input_ids=tokens)
    removed = (before.seen[0] - after.seen[0])[:, 1:]
    expected = source.encode_features(before.seen[0], [3])[:, 1:] @ dictionary().w_dec[[3]]
    torch.testing.assert_close(removed, expected)


@pytest.mark.parametrize("kind", ["mlp_neurons", "pre_activations", "attention_heads"])
@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (InterventionMode.ADD, lambda v: v + 2.5),
        (InterventionMode.SET, lambda v: torch.full_like(v, 2.5)),
        (InterventionMode.SCALE, lambda v: torch.where(v > 0, v * 2.5, v)),
        (InterventionMode.ABLATE, lambda v: torch.where(v > 0, 0.0, v)),
    ],
)
def test_a_coordinate_is_changed_and_no_other(
    kind: str,
    mode: InterventionMode,
    expected: Callable[[torch.Tensor], torch.Tensor],
    model: Any,
    tokens: torch.Tensor,
) -> None:
    source, place = sources(model)[kind]
    before, after = Recorder(), Recorder()
    with (
        on_hookpoint(model, place, before),
        source.intervene(model, [7], mode, 2.5),
        on_hookpoint(model, place, after),
    ):
        model(input_ids=tokens)
    old, new = before.seen[0][:, 1:], after.seen[0][:, 1:]
    torch.testing.assert_close(new[..., 7], expected(old[..., 7]))
    others = [index for index in range(source.n_features) if index != 7]
    assert torch.equal(new[..., others], old[..., others])


def test_left_padding_and_the_token_after_it_are_left_alone(model: Any, tokens: torch.Tensor) -> None:
    source, place = sources(model)["sae"]
    padded = tokens.clone()
    padded[0, :3] = 0
    before, after = Recorder(), Recorder()
    with (
        on_hookpoint(model, place, before),
        source.intervene(model, [3], InterventionMode.ADD, 2.0),
        on_hookpoint(model, place, after),
    ):
        generate(model, padded, use_cache=True)
    changed = (after.seen[0] != before.seen[0]).any(-1)
    assert changed[0].tolist() == [False] * 4 + [True] * 3
    assert changed[1].tolist() == [False] + [True] * 6
    assert all((new != old).any(-1).all() for old, new in zip(before.seen[1:], after.seen[1:], strict=True))


class Cache:
    def get_seq_length(self) -> int:
        return 7


@pytest.mark.parametrize(
    "arguments",
    [{"past_key_values": Cache()}, {"cache": Cache()}, {"cache": None, "kwargs": {"past_key_values": Cache()}}],
    ids=["before transformers 5.24", "since", "the old name given to the new ones"],
)
def test_a_decoding_step_is_told_from_a_first_token_whatever_the_cache_is_called(arguments: dict[str, Any]) -> None:
    step = {"input_ids": torch.ones(2, 1), "attention_mask": None}
    assert _first_tokens(step).tolist() == [[True], [True]]
    assert _first_tokens(step | arguments).tolist() == [[False], [False]]


def test_the_hidden_state_given_is_not_written_to(model: Any, tokens: torch.Tensor) -> None:
    kept: list[torch.Tensor] = []
    copies = Recorder()
    source, place = sources(model)["sae"]
    with (
        on_hookpoint(model, place, kept.append),
        on_hookpoint(model, place, copies),
        source.intervene(model, [3], InterventionMode.ADD, 2.0),
    ):
        model(input_ids=tokens)
    assert torch.equal(kept[0], copies.seen[0])


def test_the_model_is_itself_again_afterwards(model: Any, tokens: torch.Tensor) -> None:
    plain = model(input_ids=tokens).logits
    for source, _ in sources(model).values():
        with source.intervene(model, [0], InterventionMode.ADD, 3.0):
            assert not torch.equal(model(input_ids=tokens).logits, plain)
        assert torch.equal(model(input_ids=tokens).logits, plain)


def test_nested_interventions_add_up(model: Any, tokens: torch.Tensor) -> None:
    source, place = sources(model)["sae"]
    both, nested = Recorder(), Recorder()
    add = InterventionMode.ADD
    with source.intervene(model, [3, 4], add, 2.0), on_hookpoint(model, place, both):
        model(input_ids=tokens)
    with (
        source.intervene(model, [3], add, 2.0),
        source.intervene(model, [4], add, 2.0),
        on_hookpoint(model, place, nested),
    ):
        model(input_ids=tokens)
    torch.testing.assert_close(both.seen[0], nested.seen[0])


def test_half_precision_stays_half_precision(model: Any, tokens: torch.Tensor) -> None:
    source, place = sources(model)["sae"]
    after = Recorder()
    half = model.bfloat16()
    with source.intervene(half, [3], InterventionMode.ADD, 2.0), on_hookpoint(half, place, after):
        half(input_ids=tokens)
    assert after.seen[0].dtype == torch.bfloat16


def test_no_features_change_nothing(model: Any, tokens: torch.Tensor) -> None:
    plain = model(input_ids=tokens).logits
    for source, _ in sources(model).values():
        with source.intervene(model, [], InterventionMode.SET, 3.0):
            assert torch.equal(model(input_ids=tokens).logits, plain)


@pytest.mark.parametrize("kind", KINDS)
def test_a_feature_out_of_range_is_refused(kind: str, model: Any) -> None:
    with pytest.raises(FeatureSourceError, match="no feature 99"):
        sources(model)[kind][0].intervene(model, [99], InterventionMode.ADD, 1.0)


def test_writing_before_reading_is_refused(model: Any, tokens: torch.Tensor) -> None:
    with (
        changing(model, read=MLP_OUT, write=MLP_IN, change=lambda hidden: hidden),
        pytest.raises(SubjectError, match="runs before"),
    ):
        model(input_ids=tokens)


def test_the_four_modes() -> None:
    values = torch.tensor([0.0, 2.0])
    expected = {"add": [3.0, 5.0], "set": [3.0, 3.0], "scale": [0.0, 6.0], "ablate": [0.0, 0.0]}
    assert {str(mode): changed_values(values, mode, 3.0).tolist() for mode in InterventionMode} == expected


@pytest.mark.parametrize("family", ["llama", "gemma2", "gemma3"])
def test_a_cache_of_a_fixed_size_leaves_the_same_tokens_alone(
    family: str, make_model: Callable[[str], Any], tokens: torch.Tensor
) -> None:
    # Its masks come prepared, [B, 1, T, positions], and in Gemma there is one for each kind of layer.
    model, padded = make_model(family), tokens.clone()
    padded[0, :3] = 0
    place = Hookpoint("model.layers.1", "output")
    source = SparseAutoencoder.on_model(model, dictionary(), place, place, {})
    texts, states = [], []
    for options in ({"use_cache": True}, {"cache_implementation": "static"}):
        after = Recorder()
        with source.intervene(model, [3], InterventionMode.SET, 4.0), on_hookpoint(model, place, after):
            texts.append(
                model.generate(
                    input_ids=padded, attention_mask=(padded != 0).long(), max_new_tokens=STEPS, do_sample=False,
                    pad_token_id=0, **options,
                )
            )  # fmt: skip
        states.append(torch.cat(after.seen, dim=1))
    assert torch.equal(*texts)
    real = (torch.cat([padded, torch.ones(2, STEPS - 1)], dim=1) != 0)[..., None]
    torch.testing.assert_close(states[0] * real, states[1] * real, atol=1e-4, rtol=1e-4)


T, F = True, False


@pytest.mark.parametrize(
    ("mask", "first"),
    [
        (None, [[T, F, F], [T, F, F]]),
        (torch.tensor([[0, 1, 1], [1, 1, 1]]), [[T, T, F], [T, F, F]]),
        (torch.tensor([[1, 1, 0], [1, 1, 1]]), [[T, F, F], [T, F, F]]),
        # What each token sees: the first row begins with padding, which sees nothing.
        (torch.tensor([[[F, F, F, F], [F, T, F, F], [F, T, T, F]], [[T, F, F, F], [T, T, F, F], [T, T, T, F]]]),
         [[T, T, F], [T, F, F]]),
        ({"sliding": None, "full": torch.tensor([[[F, F, F], [F, T, F], [F, T, T]]] * 2)}, [[T, T, F], [T, T, F]]),
        ({"full": None}, [[T, F, F], [T, F, F]]),
        # Two documents in one row: each has a first token.
        (torch.tensor([[[T, F, F], [F, T, F], [F, T, T]]] * 2), [[T, T, F], [T, T, F]]),
    ],
)  # fmt: skip
def test_where_a_row_begins_by_its_mask(mask: Any, first: list[list[bool]]) -> None:
    def with_heads(mask: Any) -> Any:
        return mask[:, None] if isinstance(mask, torch.Tensor) and mask.ndim == 3 else mask

    mask = {key: with_heads(one) for key, one in mask.items()} if isinstance(mask, dict) else with_heads(mask)
    found = _first_tokens({"input_ids": torch.ones(2, 3), "attention_mask": mask})
    assert found.tolist() == first
    if isinstance(mask, torch.Tensor) and mask.ndim == 4:  # the form that is added to the scores
        added = torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)
        assert _first_tokens({"input_ids": torch.ones(2, 3), "attention_mask": added}).tolist() == first


def test_a_mask_that_does_not_say_where_rows_begin_is_refused() -> None:
    with pytest.raises(SubjectError, match=r"attention mask that is a str .* Try: give the model 1 for tokens"):
        _first_tokens({"input_ids": torch.ones(2, 3), "attention_mask": "blocks"})
