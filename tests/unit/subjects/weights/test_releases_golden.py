"""Folders in the layouts of published releases, against sae-lens' own readers of those releases."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from harness.subjects.weights import read_header
from harness.subjects.weights.formats import READERS
from harness.subjects.weights.load import load_dictionary

RELEASES = Path(__file__).parents[3] / "fixtures" / "feature_sources" / "releases"

# Folder, format, whether it is a transcoder, where it reads, where it writes.
EXPECTED: dict[str, tuple[str, bool, str, str | None]] = {
    "gemma-scope-2b-pt-res/layer_1/width_64/average_l0_9": ("gemma_scope", False, "blocks.1.hook_resid_post", None),
    "gemma-scope-2b-pt-mlp/layer_1/width_64/average_l0_9": ("gemma_scope", False, "blocks.1.hook_mlp_out", None),
    "gemma-scope-2b-pt-att/layer_1/width_64/average_l0_9": ("gemma_scope", False, "blocks.1.attn.hook_z", None),
    "gemma-scope-2b-pt-transcoders/layer_1/width_64/average_l0_9": (
        "gemma_scope", True, "blocks.1.ln2.hook_normalized", "blocks.1.hook_mlp_out",
    ),
    "gemma-scope-2b-pt-res/embedding/width_64/average_l0_9": (
        "gemma_scope_embedding", False, "blocks.0.hook_resid_pre", None,
    ),
    "gemma-scope-2-1b-pt/resid_post/layer_1_width_64_l0_small": ("gemma_scope_2", False, "model.layers.1.output", None),
    "gemma-scope-2-1b-pt/transcoder/layer_1_width_64_l0_small": (
        "gemma_scope_2", True, "model.layers.1.pre_feedforward_layernorm.output",
        "model.layers.1.post_feedforward_layernorm.output",
    ),
    "gemma-scope-2-1b-pt/transcoder_all/layer_1_width_64_l0_small_affine": (
        "gemma_scope_2", True, "model.layers.1.pre_feedforward_layernorm.output",
        "model.layers.1.post_feedforward_layernorm.output",
    ),
    "gemma-scope-2-1b-pt/clt/width_64_l0_small": (
        "gemma_scope_2", True, "model.layers.1.pre_feedforward_layernorm.output", None,
    ),
    "Llama3_1-8B-Base-LXR-8x/Llama3_1-8B-Base-L1R-8x": ("llama_scope", False, "blocks.1.hook_resid_post", None),
    "Llama-Scope-R1-Distill/L1R": ("llamascopium", False, "blocks.1.hook_resid_post", None),
    "SAE-Res-Golden-W1K-L0_8": ("qwen_scope", False, "blocks.1.hook_resid_post", None),
    "goodfire": ("goodfire", False, "blocks.19.hook_resid_post", None),
    "qresearch": ("goodfire", False, "blocks.19.hook_resid_post", None),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_encoding_equals_the_librarys(name: str) -> None:
    golden = load_file(RELEASES / name / "golden.safetensors")
    dictionary = load_dictionary(read_header(RELEASES / name))
    assert int((golden["z"] > 0).sum()) > 20
    torch.testing.assert_close(dictionary.encode(golden["x"]), golden["z"], atol=1e-5, rtol=1e-5)
    features = [0, 63, 17]
    few = dictionary.encode_features(golden["x"], features)
    torch.testing.assert_close(few, golden["z"][:, features], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_the_folder_says_of_itself(name: str) -> None:
    header = read_header(RELEASES / name)
    assert (header.format, header.transcoder, header.hook_in, header.hook_out) == EXPECTED[name]
    width = load_dictionary(header).n_features
    # Only Goodfire's files say nothing of their width.
    assert header.n_features == (None if header.format == "goodfire" else width)


@pytest.mark.parametrize("name", EXPECTED)
def test_one_format_only_fits(name: str) -> None:
    assert [reader.name for reader in READERS if reader.fits(RELEASES / name)] == [EXPECTED[name][0]]


@pytest.mark.parametrize("name", [name for name in EXPECTED if "Llama" not in name])
def test_the_file_itself_may_be_named(name: str) -> None:
    header = read_header(RELEASES / name)
    assert read_header(header.weights) == header
