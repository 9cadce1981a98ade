from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ConfigError, SubjectError, UnknownNameError
from harness.subjects.configs import MlpNeuronsConfig
from harness.subjects.mlp_neurons import MlpNeurons, build
from harness.subjects.protocol import FeatureSource, Hookpoint

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
    torch.testing.assert_close(source.write_directions([5])[0], expected)


def test_negative_neurons_write_the_opposite(subject: SubjectModel) -> None:
    positive = build(MlpNeuronsConfig(layer=1), subject).write_directions([2])
    negative = build(MlpNeuronsConfig(layer=1, polarity="negative"), subject).write_directions([2])
    assert torch.equal(negative, -positive)


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (MlpNeuronsConfig(layer=1, threshold=0.5), ConfigError, "exactly one of top_k and threshold"),
        (MlpNeuronsConfig(layer=1, top_k=None), ConfigError, "exactly one of top_k and threshold"),
        (MlpNeuronsConfig(layer=1, top_k=0), ConfigError, "keeps nothing"),
        (MlpNeuronsConfig(layer=1, top_k=None, threshold=-1.0), ConfigError, "negative"),
        (MlpNeuronsConfig(layer=1, polarity="positiv"), UnknownNameError, "did you mean positive"),
        (MlpNeuronsConfig(layer=9), SubjectError, "no layer 9: they run from 0 to 2"),
    ],
)
def test_senseless_settings_are_refused(
    config: MlpNeuronsConfig, error: type[Exception], message: str, subject: SubjectModel
) -> None:
    with pytest.raises(error, match=message):
        build(config, subject)
