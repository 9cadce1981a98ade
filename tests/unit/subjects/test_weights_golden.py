"""Our readers against the libraries whose formats they are: each folder holds the library's own encoding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from harness.subjects.weights import read_header
from harness.subjects.weights.load import load_dictionary

FOLDERS = Path(__file__).parents[2] / "fixtures" / "feature_sources"
NAMES = [
    "saelens_topk",
    "saelens_jumprelu",
    "saelens_gated",
    "saelens_standard",
    "saelens_transcoder",
    "sparsify_sae",
    "sparsify_transcoder",
]


@pytest.mark.parametrize("name", NAMES)
def test_encoding_equals_the_librarys(name: str) -> None:
    golden = load_file(FOLDERS / name / "golden.safetensors")
    dictionary = load_dictionary(read_header(FOLDERS / name))
    torch.testing.assert_close(dictionary.encode(golden["x"]), golden["z"], atol=1e-5, rtol=1e-5)
    features = [0, 63, 17]
    few = dictionary.encode_features(golden["x"], features)
    torch.testing.assert_close(few, golden["z"][:, features], atol=1e-5, rtol=1e-5)
    sparse = dictionary.encode_sparse(golden["x"])
    dense = torch.zeros_like(golden["z"])
    dense[sparse.row, sparse.feature] = sparse.value
    torch.testing.assert_close(dense, golden["z"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_folder_says_of_itself(name: str) -> None:
    header = read_header(FOLDERS / name)
    assert header.format == name.partition("_")[0]
    assert header.transcoder == name.endswith("transcoder")
    assert (header.d_in, header.n_features) == (16, 64)
    assert len(header.identity()["sha256"]) == 64
    if header.format == "saelens":
        place = "mlp.input" if header.transcoder else "output"
        assert header.hook_in == f"model.layers.1.{place}"
