from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import pytest
import torch

from harness.errors import FeatureSourceError
from harness.subjects.weights import read_header
from harness.subjects.weights.load import load_dictionary

if TYPE_CHECKING:
    from pathlib import Path

D, N, K = 3, 1024, 5
RELEASE = f"SAE-Res-Qwen3-1.7B-Base-W1K-L0_{K}"
X = torch.randn(6, D, generator=torch.Generator().manual_seed(0))


def tensors(**changes: Any) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    made = {
        "W_enc": torch.randn(N, D, generator=generator),
        "W_dec": torch.randn(D, N, generator=generator),
        "b_enc": torch.randn(N, generator=generator),
        "b_dec": torch.randn(D, generator=generator),
    }
    return {**made, **changes}


def write(folder: Path, made: Any = None, file: str = "layer7.sae.pt") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(tensors() if made is None else made, folder / file)
    return folder


def test_encoding_and_decoding_by_hand(tmp_path: Path) -> None:
    header = read_header(write(tmp_path / RELEASE))
    assert (header.k, header.n_features, header.hook_in) == (K, N, "blocks.7.hook_resid_post")
    dictionary, t = load_dictionary(header), tensors()
    values = (X @ t["W_enc"].T + t["b_enc"]).relu()
    expected = torch.where(values >= values.topk(K, dim=-1).values[:, -1:], values, 0.0)
    torch.testing.assert_close(dictionary.encode(X), expected)
    torch.testing.assert_close(dictionary.decode(expected, X), expected @ t["W_dec"].T + t["b_dec"])


@pytest.mark.parametrize(
    ("folder", "width", "k"),
    [
        ("SAE-Res-Qwen3.5-27B-W80K-L0_100", 81920, 100),
        ("models--Qwen--SAE-Res-Qwen3-8B-Base-W64K-L0_50/snapshots/1a2b", 65536, 50),
    ],
)
def test_width_and_k_come_from_the_folders_name(tmp_path: Path, folder: str, width: int, k: int) -> None:
    header = read_header(write(tmp_path / folder) / "layer7.sae.pt")
    assert (header.n_features, header.k) == (width, k)


def test_a_folder_of_layers_lists_them(tmp_path: Path) -> None:
    for layer in (0, 7):
        write(tmp_path / RELEASE, file=f"layer{layer}.sae.pt")
    with pytest.raises(FeatureSourceError, match=r"holds 2 files.*add one of: layer0\.sae\.pt, layer7\.sae\.pt"):
        read_header(tmp_path / RELEASE)
    assert read_header(tmp_path / RELEASE / "layer0.sae.pt").hook_in == "blocks.0.hook_resid_post"


@pytest.mark.parametrize("folder", ["mine", "SAE-Res-Qwen3-8B-Base-W64K-L0_0"])
def test_without_a_k_it_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(FeatureSourceError, match=r"does not say its k.*SAE-Res-Qwen3-8B-Base-W64K-L0_50"):
        read_header(write(tmp_path / folder))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"W_enc": torch.zeros(N, D)}, "lacks b_enc, W_dec, b_dec"),
        (tensors(W_enc=torch.zeros(N)), r"W_enc has shape \(1024,\), expected a matrix"),
        (tensors(W_enc=torch.zeros(N, D + 1), b_enc=torch.zeros(N + 1)), "b_enc has shape"),
        (tensors(W_dec=torch.full((D, N), torch.nan)), "w_dec holds NaN"),
        (tensors(W_enc=torch.zeros(9, D)), r"w_enc has shape \(3, 9\), expected \(3, 1024\)"),
        (tensors(cfg=PurePath("x")), "holds more than tensors and plain data, and is not read"),
        ([torch.zeros(1)], "holds a list in place of named tensors"),
    ],
)
def test_malformed_weights_are_refused(tmp_path: Path, made: Any, message: str) -> None:
    header = read_header(write(tmp_path / RELEASE, made))
    with pytest.raises(FeatureSourceError, match=rf"layer7\.sae\.pt: {message}"):
        load_dictionary(header)


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / RELEASE) / "layer7.sae.pt"
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(FeatureSourceError, match="not readable as a PyTorch file"):
        load_dictionary(read_header(path))
