from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import harness.subjects.dictionary as module
from harness.errors import FeatureSourceError
from harness.subjects.dictionary import Dictionary

if TYPE_CHECKING:
    from harness.subjects.weights.header import ActivationKind

D, N = 5, 12


def make(activation: ActivationKind, seed: int = 0) -> Dictionary:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return Dictionary(
        w_enc=draw(D, N),
        b_enc=draw(N),
        w_dec=draw(N, D),
        b_dec=draw(D),
        b_in=draw(D),
        activation=activation,
        k=4,
        threshold=draw(N).abs(),
        b_gate=draw(N),
        magnitude_scale=draw(N).exp(),
    )


@settings(deadline=None)
@given(
    activation=st.sampled_from(["relu", "topk", "groupmax", "jumprelu", "gated"]),
    seed=st.integers(0, 5),
    rows=st.integers(0, 9),
    features=st.lists(st.integers(0, N - 1), max_size=6),
    chunk=st.sampled_from([1, N, 3 * N, 1 << 20]),
)
def test_the_three_encodings_agree_in_chunks_of_any_size(
    activation: ActivationKind, seed: int, rows: int, features: list[int], chunk: int
) -> None:
    dictionary = make(activation, seed)
    hidden = torch.randn(rows, D, generator=torch.Generator().manual_seed(seed + 1))
    whole = dictionary.encode(hidden)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_ELEMENTS", chunk)
        torch.testing.assert_close(dictionary.encode(hidden), whole)
        torch.testing.assert_close(dictionary.encode_features(hidden, features), whole[:, features])
        sparse = dictionary.encode_sparse(hidden)
    dense = torch.zeros_like(whole)
    dense[sparse.row, sparse.feature] = sparse.value
    torch.testing.assert_close(dense, whole)
    assert (sparse.row.diff() >= 0).all()
    assert not sparse.dropped


def test_at_most_k_latents_fire() -> None:
    values = make("topk").encode(torch.randn(50, D))
    assert int((values > 0).sum(-1).max()) <= 4
    assert (values >= 0).all()


def test_the_jumprelu_threshold_is_strict() -> None:
    one = torch.ones(1, 1)
    dictionary = Dictionary(
        w_enc=one, b_enc=torch.zeros(1), w_dec=one, b_dec=torch.zeros(1), activation="jumprelu", threshold=torch.ones(1)
    )
    assert dictionary.encode(torch.tensor([[1.0], [1.5], [0.5], [-2.0]])).flatten().tolist() == [0, 1.5, 0, 0]


def test_leading_dimensions_are_kept() -> None:
    dictionary = make("relu")
    hidden = torch.randn(2, 3, D)
    assert dictionary.encode(hidden).shape == (2, 3, N)
    assert dictionary.encode_features(hidden, [1, 1]).shape == (2, 3, 2)


@pytest.mark.parametrize("feature", [-1, N])
def test_a_feature_out_of_range_is_answered_with_the_range(feature: int) -> None:
    with pytest.raises(FeatureSourceError, match=rf"no feature {feature}: they run from 0 to {N - 1}"):
        make("relu").encode_features(torch.randn(1, D), [feature])
