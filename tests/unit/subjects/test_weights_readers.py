from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file

from harness.errors import FeatureSourceError
from harness.subjects.weights import read_header
from harness.subjects.weights.load import load_dictionary

if TYPE_CHECKING:
    from pathlib import Path

D, N = 4, 6


def tensors(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    made = {
        "W_enc": torch.randn(D, N, generator=generator),
        "W_dec": torch.randn(N, D, generator=generator),
        "b_enc": torch.randn(N, generator=generator),
        "b_dec": torch.randn(D, generator=generator),
    }
    return {**made, **changes}


def saelens(folder: Path, weights: dict[str, torch.Tensor] | None = None, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps({"d_in": D, "d_sae": N, **config}))
    save_file(weights or tensors(), folder / "sae_weights.safetensors")
    return folder


def sparsify(folder: Path, extra: dict[str, torch.Tensor] | None = None, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps({"d_in": D, "num_latents": 0, "expansion_factor": 2, "k": 2, **config}))
    generator = torch.Generator().manual_seed(4)
    made = {
        "encoder.weight": torch.randn(2 * D, D, generator=generator),
        "encoder.bias": torch.randn(2 * D, generator=generator),
        "W_dec": torch.randn(2 * D, D, generator=generator),
        "b_dec": torch.randn(D, generator=generator),
    }
    save_file(made | (extra or {}), folder / "sae.safetensors")
    return folder


X = torch.randn(5, D, generator=torch.Generator().manual_seed(5)) * 3


def test_the_flat_config_of_old_versions(tmp_path: Path) -> None:
    old: dict[str, Any] = {
        "hook_point": "blocks.2.hook_resid_pre",
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": 2},
        "normalize_activations": False,
    }
    header = read_header(saelens(tmp_path, **old))
    assert (header.activation, header.k, header.hook_in) == ("topk", 2, "blocks.2.hook_resid_pre")
    t = tensors()
    before = torch.relu((X - t["b_dec"]) @ t["W_enc"] + t["b_enc"])
    expected = torch.where(before >= before.topk(2, dim=-1).values[:, 1:], before, 0.0)
    torch.testing.assert_close(load_dictionary(header).encode(X), expected)


def test_a_finetuning_factor_acts_on_the_decoding_only(tmp_path: Path) -> None:
    factor = torch.rand(N) + 0.5
    plain = load_dictionary(read_header(saelens(tmp_path / "a")))
    scaled = load_dictionary(read_header(saelens(tmp_path / "b", tensors(scaling_factor=factor))))
    torch.testing.assert_close(plain.encode(X), scaled.encode(X))
    values = plain.encode(X)
    torch.testing.assert_close(scaled.decode(values, X), plain.decode(values * factor, X))


def test_layer_norm_input_is_undone_in_the_decoding(tmp_path: Path) -> None:
    dictionary = load_dictionary(read_header(saelens(tmp_path, normalize_activations="layer_norm")))
    t = tensors()
    mean, std = X.mean(-1, keepdim=True), X.std(-1, keepdim=True)
    expected = torch.relu(((X - mean) / (std + 1e-5) - t["b_dec"]) @ t["W_enc"] + t["b_enc"])
    torch.testing.assert_close(dictionary.encode(X), expected)
    torch.testing.assert_close(dictionary.decode(expected, X), (expected @ t["W_dec"] + t["b_dec"]) * std + mean)


def test_constant_norm_rescaling(tmp_path: Path) -> None:
    dictionary = load_dictionary(read_header(saelens(tmp_path, normalize_activations="constant_norm_rescale")))
    t = tensors()
    factor = D**0.5 / X.norm(dim=-1, keepdim=True)
    expected = torch.relu((X * factor - t["b_dec"]) @ t["W_enc"] + t["b_enc"])
    torch.testing.assert_close(dictionary.encode(X), expected)
    torch.testing.assert_close(dictionary.decode(expected, X), (expected @ t["W_dec"] + t["b_dec"]) / factor)


def test_a_stated_dataset_scale_is_folded_in(tmp_path: Path) -> None:
    config: dict[str, Any] = {"normalize_activations": "expected_average_only_in", "norm_scaling_factor": 0.25}
    dictionary = load_dictionary(read_header(saelens(tmp_path, **config)))
    t = tensors()
    expected = torch.relu((X * 0.25 - t["b_dec"]) @ t["W_enc"] + t["b_enc"])
    torch.testing.assert_close(dictionary.encode(X), expected)
    torch.testing.assert_close(dictionary.decode(expected, X), (expected @ t["W_dec"] + t["b_dec"]) / 0.25)


def test_rescaling_by_decoder_norm(tmp_path: Path) -> None:
    config: dict[str, Any] = {"architecture": "topk", "k": 2, "rescale_acts_by_decoder_norm": True}
    dictionary = load_dictionary(read_header(saelens(tmp_path, **config)))
    t = tensors()
    norms = t["W_dec"].norm(dim=-1)
    before = torch.relu(((X - t["b_dec"]) @ t["W_enc"] + t["b_enc"]) * norms)
    expected = torch.where(before >= before.topk(2, dim=-1).values[:, 1:], before, 0.0)
    torch.testing.assert_close(dictionary.encode(X), expected)
    torch.testing.assert_close(dictionary.decode(expected, X), (expected / norms) @ t["W_dec"] + t["b_dec"])


def test_skip_connections_of_both_formats(tmp_path: Path) -> None:
    skip = torch.randn(D, D)
    ours = load_dictionary(
        read_header(
            saelens(tmp_path / "a", tensors(W_skip=skip), architecture="skip_transcoder", apply_b_dec_to_input=False)
        )
    )
    torch.testing.assert_close(ours.decode(torch.zeros(5, N), X), X @ skip.T + ours.b_dec)
    folder = sparsify(tmp_path / "layers.1.mlp", {"W_skip": skip}, transcode=True, skip_connection=True)
    theirs = load_dictionary(read_header(folder))
    torch.testing.assert_close(theirs.decode(torch.zeros(5, 2 * D), X), X @ skip.T + theirs.b_dec)


def test_sparsify_takes_its_hookpoint_from_the_folder_and_its_width_from_the_factor(tmp_path: Path) -> None:
    sae = read_header(sparsify(tmp_path / "layers.3"))
    assert (sae.hook_in, sae.hook_out, sae.n_features, sae.subtract_b_dec) == ("layers.3.output", None, 2 * D, True)
    transcoder = read_header(sparsify(tmp_path / "layers.3.mlp", transcode=True))
    assert (transcoder.hook_in, transcoder.hook_out) == ("layers.3.mlp.input", "layers.3.mlp.output")


def test_sparsify_groupmax_keeps_the_largest_of_each_group(tmp_path: Path) -> None:
    dictionary = load_dictionary(read_header(sparsify(tmp_path / "layers.3", activation="groupmax")))
    values = dictionary.encode(X)
    assert ((values.reshape(5, 2, D) > 0).sum(-1) <= 1).all()
    torch.testing.assert_close(dictionary.encode_features(X, [1, 5]), values[:, [1, 5]])


def test_the_parent_of_a_single_source_will_do(tmp_path: Path) -> None:
    sparsify(tmp_path / "layers.3")
    assert read_header(tmp_path).hook_in == "layers.3.output"
    sparsify(tmp_path / "layers.4")
    with pytest.raises(FeatureSourceError, match=r"2 feature sources.*layers\.3, layers\.4"):
        read_header(tmp_path)


def test_an_unknown_folder_is_answered_with_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").touch()
    with pytest.raises(FeatureSourceError, match=r"found weights\.bin.*cfg\.json and sae\.safetensors"):
        read_header(tmp_path)
    with pytest.raises(FeatureSourceError, match="a single file like this"):
        read_header(tmp_path / "weights.bin")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architecture": "temporal"}, "'temporal' is not supported"),
        ({"architecture": "topk"}, "without k"),
        ({"architecture": "topk", "k": -3}, "positive integer"),
        ({"activation_fn": "tanh-relu"}, "'tanh-relu' is not supported"),
        ({"normalize_activations": "expected_average_only_in"}, "not in the file"),
        ({"normalize_activations": True}, "not in the file"),
        ({"apply_b_dec_to_input": "yes"}, "true or false"),
    ],
)
def test_configs_that_cannot_be_honoured_are_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    with pytest.raises(FeatureSourceError, match=message):
        read_header(saelens(tmp_path, **config))


def test_centred_writing_weights_are_a_fact_of_the_header_and_part_of_the_identity(tmp_path: Path) -> None:
    kwargs: dict[str, Any] = {"metadata": {"model_from_pretrained_kwargs": {"center_writing_weights": True}}}
    centred, plain = read_header(saelens(tmp_path / "a", **kwargs)), read_header(saelens(tmp_path / "b"))
    assert (centred.centred, plain.centred) == (True, False)
    assert centred.identity() == {**plain.identity(), "centred": True}


@pytest.mark.parametrize(
    ("weights", "config", "message"),
    [
        (tensors(), {"d_in": 5}, r"w_enc has shape \(4, 6\), expected \(5, 6\)"),
        (tensors(b_enc=torch.zeros(7)), {}, "b_enc has shape"),
        (tensors(W_dec=torch.full((N, D), torch.nan)), {}, "NaN"),
        (tensors(), {"architecture": "jumprelu"}, "lacks threshold"),
        (tensors(b_gate=torch.zeros(N), b_mag=torch.zeros(N)), {"architecture": "gated"}, "lacks r_mag"),
        (tensors(), {"architecture": "topk", "k": 7}, "only 6 latents"),
        (tensors(W_dec=torch.ones(N, 3), b_dec=torch.ones(3)), {"architecture": "transcoder"}, "cannot be subtracted"),
    ],
)
def test_malformed_weights_are_refused(
    tmp_path: Path, weights: dict[str, torch.Tensor], config: dict[str, Any], message: str
) -> None:
    with pytest.raises(FeatureSourceError, match=message):
        load_dictionary(read_header(saelens(tmp_path, weights, **config)))


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    folder = saelens(tmp_path)
    (folder / "sae_weights.safetensors").write_bytes(b"torn")
    with pytest.raises(FeatureSourceError, match="safetensors"):
        load_dictionary(read_header(folder))
    (folder / "cfg.json").write_text("[]")
    with pytest.raises(FeatureSourceError, match="JSON object"):
        read_header(folder)


def test_half_precision_weights_are_computed_in_float32(tmp_path: Path) -> None:
    half = {name: tensor.half() for name, tensor in tensors().items()}
    dictionary = load_dictionary(read_header(saelens(tmp_path, half)))
    assert dictionary.encode(X.bfloat16()).dtype == torch.float32
