from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from harness.errors import FeatureSourceError
from harness.subjects.weights import read_header
from harness.subjects.weights.load import load_dictionary

if TYPE_CHECKING:
    from pathlib import Path

D, N = 4, 6
RNG = np.random.default_rng(0)
X = RNG.normal(size=(9, D)).astype(np.float32) * 3
LAYER = "layer_20/width_6/average_l0_71"


def tensors(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    made = {
        "W_enc": rng.normal(size=(D, N)),
        "W_dec": rng.normal(size=(N, D)),
        "b_enc": rng.normal(size=N),
        "b_dec": rng.normal(size=D),
        # Some are negative, where JumpReLU still gives no negative value.
        "threshold": rng.normal(size=N) + 0.5,
    }
    return {**{name: value.astype(np.float32) for name, value in made.items()}, **changes}


def write(folder: Path, made: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True)
    np.savez(folder / "params.npz", **(made or tensors()))
    return folder


@pytest.mark.parametrize("lower", [False, True])
def test_encoding_by_hand(tmp_path: Path, lower: bool) -> None:
    t = tensors()
    stored = {name.lower(): value for name, value in t.items()} if lower else t
    dictionary = load_dictionary(read_header(write(tmp_path / "gemma-scope-2b-pt-res" / LAYER, stored)))
    before = X @ t["W_enc"] + t["b_enc"]
    expected = np.maximum(before, 0) * (before > t["threshold"])
    assert 0 < (expected > 0).sum() < (before > 0).sum()
    np.testing.assert_allclose(dictionary.encode(torch.from_numpy(X)), expected, atol=1e-5)
    decoded = dictionary.decode(torch.from_numpy(expected), torch.from_numpy(X))
    np.testing.assert_allclose(decoded, expected @ t["W_dec"] + t["b_dec"], atol=1e-5)


def test_the_embeddings_saes_read_and_write_the_scaled_embedding(tmp_path: Path) -> None:
    folder = write(tmp_path / "gemma-scope-2b-pt-res" / "embedding" / "width_6" / "average_l0_9")
    dictionary = load_dictionary(read_header(folder))
    t, root = tensors(), D**0.5
    # Trained on the embedding itself, which Gemma multiplies by the root of its width before the first block.
    before = (X / root) @ t["W_enc"] + t["b_enc"]
    expected = np.maximum(before, 0) * (before > t["threshold"])
    np.testing.assert_allclose(dictionary.encode(torch.from_numpy(X)), expected, atol=1e-5)
    decoded = dictionary.decode(torch.from_numpy(expected), torch.from_numpy(X))
    np.testing.assert_allclose(decoded, (expected @ t["W_dec"] + t["b_dec"]) * root, atol=1e-5)


@pytest.mark.parametrize(
    ("release", "hook_in", "hook_out"),
    [
        ("gemma-scope-9b-it-res", "blocks.20.hook_resid_post", None),
        ("models--google--gemma-scope-9b-pt-mlp/snapshots/1a2b", "blocks.20.hook_mlp_out", None),
        ("att", "blocks.20.attn.hook_z", None),
        ("gemma-scope-2b-pt-transcoders", "blocks.20.ln2.hook_normalized", "blocks.20.hook_mlp_out"),
        ("some-other-res", None, None),
    ],
)
def test_the_place_comes_from_the_releases_name(
    tmp_path: Path, release: str, hook_in: str | None, hook_out: str | None
) -> None:
    header = read_header(write(tmp_path / release / LAYER))
    assert (header.hook_in, header.hook_out, header.transcoder) == (hook_in, hook_out, hook_out is not None)


@pytest.mark.parametrize(
    ("written", "width"),
    [("4k", 4096), ("16k", 16384), ("65k", 65536), ("131k", 131072), ("262k", 262144), ("1m", 1 << 20), ("6", 6)],
)
def test_the_width_in_the_path_means_a_power_of_two(tmp_path: Path, written: str, width: int) -> None:
    folder = write(tmp_path / "res" / "layer_3" / f"width_{written}" / "average_l0_9")
    assert read_header(folder).n_features == width


def test_a_width_that_is_not_the_weights_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "res" / "layer_3" / "width_16k" / "average_l0_9")
    with pytest.raises(FeatureSourceError, match=r"w_enc has shape \(4, 6\), expected \(4, 16384\)"):
        load_dictionary(read_header(folder))


def test_a_layer_with_several_sparsities_lists_them(tmp_path: Path) -> None:
    for sparsity in (71, 9):
        write(tmp_path / "res" / "layer_3" / "width_6" / f"average_l0_{sparsity}")
    with pytest.raises(FeatureSourceError, match=r"2 feature sources.*average_l0_71, average_l0_9"):
        read_header(tmp_path / "res" / "layer_3" / "width_6")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threshold": None}, r"params\.npz: lacks threshold \(it has b_dec, b_enc, w_dec, w_enc\)"),
        ({"b_enc": np.zeros(N + 1)}, r"b_enc has shape \(7,\), expected \(6,\)"),
        ({"W_enc": np.zeros((1, D, N))}, r"w_enc has shape \(1, 4, 6\), expected a matrix"),
        ({"W_dec": np.full((N, D), np.nan)}, "w_dec holds NaN"),
        ({"W_enc": np.array([{}])}, "not readable as a NumPy archive"),
    ],
)
def test_malformed_weights_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    made = {name: value for name, value in tensors(**changes).items() if value is not None}
    folder = write(tmp_path / "res" / LAYER, made)
    with pytest.raises(FeatureSourceError, match=message) as caught:
        load_dictionary(read_header(folder))
    assert "\n" not in str(caught.value)


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "res" / LAYER)
    whole = (folder / "params.npz").read_bytes()
    (folder / "params.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FeatureSourceError, match=r"params\.npz: not readable as a NumPy archive"):
        load_dictionary(read_header(folder))
