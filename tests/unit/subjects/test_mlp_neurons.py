from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ConfigError, SubjectError, UnknownNameError
from harness.identity import canonical_json
from harness.subjects.configs import MlpNeuronsConfig
from harness.subjects.identity import mlp_neurons_identity
from harness.subjects.mlp_neurons import MlpNeurons, build
from harness.subjects.protocol import FeatureSource, Hookpoint, InterventionMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedTokenizerFast

    from harness.subjects.model import SubjectModel

N = 10


def neurons(polarity: str = "positive", top_k: int | None = 3, threshold: float | None = None) -> MlpNeurons:
    return MlpNeurons(Hookpoint("m", "input"), torch.eye(N), {}, polarity, top_k, threshold)


@settings(deadline=None)
@given(
    polarity=st.sampled_from(["positive", "negative", "absolute"]),
    kept=st.one_of(st.tuples(st.integers(1, 2 * N), st.none()), st.tuples(st.none(), st.floats(0, 2, allow_nan=False))),
    rows=st.integers(0, 6),
    seed=st.integers(0, 9),
)
def test_what_is_not_kept_is_counted(
    polarity: str, kept: tuple[int | None, float | None], rows: int, seed: int
) -> None:
    top_k, threshold = kept
    source = neurons(polarity, top_k, threshold)
    hidden = torch.randn(rows, N, generator=torch.Generator().manual_seed(seed))
    dense, sparse = source.encode(hidden), source.encode_sparse(hidden)
    assert torch.equal(dense[sparse.row, sparse.feature], sparse.value)
    assert len(sparse.row) + sum(sparse.dropped.values()) == int((dense > 0).sum())
    assert list(sparse.dropped) == ["outside_top_k" if top_k else "below_threshold"]
    for row in range(rows):
        mine = sparse.value[sparse.row == row]
        left = sorted(dense[row][dense[row] > 0].tolist(), reverse=True)
        expected = left[:top_k] if top_k else [value for value in left if value > (threshold or 0.0)]
        assert sorted(mine.tolist(), reverse=True) == expected


def test_polarity() -> None:
    hidden = torch.tensor([[1.0, -2.0] + [0.0] * (N - 2)])
    values = {name: neurons(name).encode_features(hidden, [0, 1]).tolist() for name in ("positive", "negative")}
    assert values == {"positive": [[1.0, 0.0]], "negative": [[0.0, 2.0]]}
    assert neurons("absolute").encode_features(hidden, [0, 1]).tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox"])
def test_a_neuron_writes_its_column_of_the_down_projection(
    family: str, make_model: Callable[[str], Any], tokenizer: PreTrainedTokenizerFast, tokens: torch.Tensor
) -> None:
    from harness.subjects.model import SubjectModel

    model = SubjectModel(make_model(family), tokenizer, {})
    source = build(MlpNeuronsConfig(layer=1), model)
    assert isinstance(source, FeatureSource)
    assert (source.n_features, source.d_in, source.kind) == (24, 24, "mlp_neurons")
    hidden = model.hidden_states(tokens, None, [source.hookpoint])[source.hookpoint]
    assert hidden.shape == (2, 7, 24)
    down = model.model.get_submodule(source.hookpoint.module)
    step = torch.zeros(24)
    step[5] = 1.0
    expected = down(step) - down(torch.zeros(24))
    directions = source.write_directions([5])
    assert directions is not None
    torch.testing.assert_close(directions[0], expected)


def test_negative_neurons_write_the_opposite(subject: SubjectModel) -> None:
    positive = build(MlpNeuronsConfig(layer=1), subject).write_directions([2])
    negative = build(MlpNeuronsConfig(layer=1, polarity="negative"), subject).write_directions([2])
    assert positive is not None
    assert negative is not None
    assert torch.equal(negative, -positive)


FAMILIES = ["llama", "gemma2", "qwen3", "gpt2", "neox"]


@pytest.mark.parametrize("family", FAMILIES)
def test_pre_activations_give_the_post_activations(
    family: str, make_model: Callable[[str], Any], tokenizer: PreTrainedTokenizerFast, tokens: torch.Tensor
) -> None:
    from harness.subjects.model import SubjectModel

    model = SubjectModel(make_model(family), tokenizer, {})
    before = build(MlpNeuronsConfig(layer=1, value="pre", polarity="absolute"), model)
    after = build(MlpNeuronsConfig(layer=1), model)
    assert isinstance(before, FeatureSource)
    assert (before.n_features, before.d_in, before.kind) == (24, 24, "mlp_neurons")
    mlp: Any = model.model.get_submodule(after.hookpoint.module.rpartition(".")[0])
    into = Hookpoint(after.hookpoint.module.rpartition(".")[0], "input")
    hidden = model.hidden_states(tokens, None, [before.hookpoint, after.hookpoint, into])
    pre, x = hidden[before.hookpoint], hidden[into]
    gated = family in {"llama", "gemma2", "qwen3"}
    # The first map by hand: Conv1D keeps its matrix the other way round.
    first: Any = model.model.get_submodule(before.hookpoint.module)
    by_hand = x @ (first.weight if family == "gpt2" else first.weight.T)
    torch.testing.assert_close(pre, by_hand if first.bias is None else by_hand + first.bias)
    assert torch.equal(before.encode(pre), pre.abs())
    expected = (mlp.act_fn if gated else mlp.act)(pre) * (x @ mlp.up_proj.weight.T if gated else 1)
    torch.testing.assert_close(hidden[after.hookpoint], expected)


def test_a_pre_activation_writes_no_direction(subject: SubjectModel) -> None:
    source = build(MlpNeuronsConfig(layer=1, value="pre"), subject)
    assert source.write_directions([2]) is None
    assert source.to(subject.device).write_directions([2]) is None


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_activation_function_acts_on_the_steered_value(
    family: str, make_model: Callable[[str], Any], tokenizer: PreTrainedTokenizerFast, tokens: torch.Tensor
) -> None:
    from harness.subjects.model import SubjectModel

    model = SubjectModel(make_model(family), tokenizer, {})
    before = build(MlpNeuronsConfig(layer=1, value="pre"), model)
    place = build(MlpNeuronsConfig(layer=1), model).hookpoint
    mlp: Any = model.model.get_submodule(place.module.rpartition(".")[0])
    into = Hookpoint(place.module.rpartition(".")[0], "input")
    plain = model.hidden_states(tokens, None, [into, place])
    with before.intervene(model.model, [5], InterventionMode.SET, 1.5):
        steered = model.hidden_states(tokens, None, [place])[place]
    activation = mlp.act_fn if family == "llama" else mlp.act
    up = plain[into] @ mlp.up_proj.weight[5] if family == "llama" else torch.ones(2, 7)
    torch.testing.assert_close(steered[:, 1:, 5], (activation(torch.tensor(1.5)) * up)[:, 1:])
    others = [index for index in range(24) if index != 5]
    assert torch.equal(steered[..., others], plain[place][..., others])
    assert torch.equal(steered[:, 0], plain[place][:, 0])


def test_the_identity_of_post_activations_is_what_it_was_before_there_were_others() -> None:
    config = MlpNeuronsConfig(layer=14)
    assert canonical_json(mlp_neurons_identity(config)) == (
        '{"activation":"relu","layer":14,"polarity":"positive","threshold":null,"top_k":32,'
        '"value":"input of the down projection"}'
    )
    assert mlp_neurons_identity(MlpNeuronsConfig(layer=14, value="post")) == mlp_neurons_identity(config)
    assert mlp_neurons_identity(MlpNeuronsConfig(layer=14, value="pre")) != mlp_neurons_identity(config)


def test_an_mlp_whose_gate_is_no_map_of_its_own_has_no_pre_activations(subject: SubjectModel) -> None:
    mlp: Any = subject.model.get_submodule("model.layers.1.mlp")
    mlp.gate_up_proj = torch.nn.Linear(16, 48)
    del mlp.gate_proj
    with pytest.raises(
        SubjectError, match=r"no linear map of its own before its activation function\. Try: take value"
    ):
        build(MlpNeuronsConfig(layer=1, value="pre"), subject)


def test_a_first_map_of_another_width_is_refused(subject: SubjectModel) -> None:
    mlp: Any = subject.model.get_submodule("model.layers.1.mlp")
    mlp.gate_proj = torch.nn.Linear(16, 48)
    with pytest.raises(SubjectError, match=r"gate_proj\.output has width 48, and the MLP has 24 neurons"):
        build(MlpNeuronsConfig(layer=1, value="pre"), subject)


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (MlpNeuronsConfig(layer=1, threshold=0.5), ConfigError, "exactly one of top_k and threshold"),
        (MlpNeuronsConfig(layer=1, top_k=None), ConfigError, "exactly one of top_k and threshold"),
        (MlpNeuronsConfig(layer=1, top_k=0), ConfigError, "keeps nothing"),
        (MlpNeuronsConfig(layer=1, top_k=None, threshold=-1.0), ConfigError, "negative"),
        (MlpNeuronsConfig(layer=1, polarity="positiv"), UnknownNameError, "did you mean positive"),
        (MlpNeuronsConfig(layer=1, value="gate"), UnknownNameError, "unknown value 'gate'"),
        (MlpNeuronsConfig(layer=9), SubjectError, "no layer 9: they run from 0 to 2"),
    ],
)
def test_senseless_settings_are_refused(
    config: MlpNeuronsConfig, error: type[Exception], message: str, subject: SubjectModel
) -> None:
    with pytest.raises(error, match=message):
        build(config, subject)
