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

D, N = 4, 6
FILE = "Llama-3.3-70B-Instruct-SAE-l50.pt"
X = torch.randn(6, D, generator=torch.Generator().manual_seed(0))


def tensors(suffix: str = "_linear", **changes: Any) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    made = {
        f"encoder{suffix}.weight": torch.randn(N, D, generator=generator),
        f"encoder{suffix}.bias": torch.randn(N, generator=generator),
        f"decoder{suffix}.weight": torch.randn(D, N, generator=generator),
        f"decoder{suffix}.bias": torch.randn(D, generator=generator),
    }
    return {**made, **{f"encoder{suffix}.{name}": value for name, value in changes.items()}}


@pytest.mark.parametrize(
    ("suffix", "file", "layer"),
    [
        ("_linear", FILE, 50),
        ("_linear", "Llama-3.1-8B-Instruct-SAE-l19.pth", 19),
        ("", "DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt", 19),
    ],
)
def test_encoding_and_decoding_by_hand(tmp_path: Path, suffix: str, file: str, layer: int) -> None:
    t = tensors(suffix)
    torch.save(t, tmp_path / file)
    header = read_header(tmp_path)
    assert header == read_header(tmp_path / file)
    assert (header.hook_in, header.activation) == (f"blocks.{layer}.hook_resid_post", "relu")
    dictionary = load_dictionary(header)
    expected = (X @ t[f"encoder{suffix}.weight"].T + t[f"encoder{suffix}.bias"]).relu()
    torch.testing.assert_close(dictionary.encode(X), expected)
    decoded = expected @ t[f"decoder{suffix}.weight"].T + t[f"decoder{suffix}.bias"]
    torch.testing.assert_close(dictionary.decode(expected, X), decoded)


def test_a_file_of_another_name_is_not_taken_for_one(tmp_path: Path) -> None:
    torch.save(tensors(), tmp_path / "weights.pt")
    with pytest.raises(FeatureSourceError, match="no known format"):
        read_header(tmp_path / "weights.pt")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"W": torch.zeros(1)}, r"lacks encoder_linear\.weight, .* \(it has W\)"),
        (tensors(weight=torch.zeros(N, D, 1)), r"encoder(_linear)?\.weight has shape \(6, 4, 1\), expected a matrix"),
        (tensors(bias=torch.zeros(N + 1)), "b_enc has shape"),
        (tensors(bias=torch.full((N,), torch.nan)), "b_enc holds NaN"),
        (tensors(config=PurePath("x")), "holds more than tensors and plain data, and is not read"),
    ],
)
def test_malformed_weights_are_refused(tmp_path: Path, made: Any, message: str) -> None:
    torch.save(made, tmp_path / FILE)
    with pytest.raises(FeatureSourceError, match=message) as caught:
        load_dictionary(read_header(tmp_path))
    assert FILE in str(caught.value)
    assert "\n" not in str(caught.value)


def test_torn_and_several(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"torn")
    with pytest.raises(FeatureSourceError, match=r"SAE-l50\.pt: not readable as a PyTorch file"):
        load_dictionary(read_header(tmp_path))
    (tmp_path / FILE.replace("50", "51")).touch()
    with pytest.raises(FeatureSourceError, match=r"holds 2 files.*SAE-l50\.pt, .*SAE-l51\.pt"):
        read_header(tmp_path)
