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
IN, OUT = 3.0, 0.8
THRESHOLD = 0.7
X = torch.randn(40, D, generator=torch.Generator().manual_seed(0)) * 2
HOOK = "blocks.8.hook_resid_post"
TRANSCODER: dict[str, Any] = {
    "hook_point_in": "blocks.8.ln2.hook_normalized",
    "hook_point_out": "blocks.8.hook_mlp_out",
}


def tensors(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    made = {
        "encoder.weight": torch.randn(N, D, generator=generator),
        "encoder.bias": torch.randn(N, generator=generator),
        "decoder.weight": torch.randn(D, N, generator=generator),
        "decoder.bias": torch.randn(D, generator=generator),
    }
    return {**made, **changes}


def write(folder: Path, made: dict[str, torch.Tensor] | None = None, **config: Any) -> Path:
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    stated = {
        "hook_point_in": HOOK,
        "hook_point_out": HOOK,
        "d_model": D,
        "d_sae": N,
        "act_fn": "jumprelu",
        "jump_relu_threshold": THRESHOLD,
        "norm_activation": "dataset-wise",
        "dataset_average_activation_norm": {"in": IN, "out": OUT if "hook_point_out" in config else IN},
        "sparsity_include_decoder_norm": False,
    }
    merged = {name: value for name, value in {**stated, **config}.items() if value is not None}
    (folder / "hyperparams.json").write_text(json.dumps(merged))
    save_file(made or tensors(), folder / "checkpoints" / "final.safetensors")
    return folder


def library(*, by_norm: bool, out: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the latents and the decoding as the library that trained the weights computes them after loading.

    It divides the scales out of the biases and the decoder, moves the decoder's norms into the encoder where sparsity
    includes them, and only then applies the threshold as it stands in the file.
    """
    t = tensors()
    scale_in, scale_out = D**0.5 / IN, D**0.5 / out
    encoder, bias = t["encoder.weight"], t["encoder.bias"] / scale_in
    decoder, decoder_bias = t["decoder.weight"] * scale_in / scale_out, t["decoder.bias"] / scale_out
    if by_norm:
        norms = decoder.norm(dim=0)
        encoder, bias, decoder = encoder * norms[:, None], bias * norms, decoder / norms
    before = X @ encoder.T + bias
    values = torch.where(before > THRESHOLD, before, 0.0)
    assert 10 < int((values > 0).sum()) < int((before > 0).sum())
    return values, values @ decoder.T + decoder_bias


@pytest.mark.parametrize("by_norm", [False, True])
@pytest.mark.parametrize("hooks", [{}, TRANSCODER])
def test_the_same_latents_fire_as_in_the_library_and_decode_to_the_same(
    tmp_path: Path, by_norm: bool, hooks: dict[str, Any]
) -> None:
    header = read_header(write(tmp_path, sparsity_include_decoder_norm=by_norm, **hooks))
    dictionary = load_dictionary(header)
    expected, decoded = library(by_norm=by_norm, out=OUT if hooks else IN)
    values = dictionary.encode(X)
    assert torch.equal(values > 0, expected > 0)
    torch.testing.assert_close(dictionary.decode(values, X), decoded)
    assert header.transcoder == bool(hooks)


@pytest.mark.parametrize("by_norm", [False, True])
def test_the_values_keep_the_size_they_had_in_training(tmp_path: Path, by_norm: bool) -> None:
    # As sae-lens has them: the scale in the encoder, and the threshold times the scale.
    t, scale = tensors(), D**0.5 / IN
    before = X * scale @ t["encoder.weight"].T + t["encoder.bias"]
    gate = before * t["decoder.weight"].norm(dim=0) if by_norm else before
    expected = torch.where(gate > THRESHOLD * scale, before, 0.0)
    dictionary = load_dictionary(read_header(write(tmp_path, sparsity_include_decoder_norm=by_norm)))
    torch.testing.assert_close(dictionary.encode(X), expected)


def test_trained_with_topk_and_released_with_a_threshold(tmp_path: Path) -> None:
    a = read_header(write(tmp_path / "a", act_fn="topk", top_k=2))
    b = read_header(write(tmp_path / "b"))
    torch.testing.assert_close(load_dictionary(a).encode(X), load_dictionary(b).encode(X))


def test_topk_without_a_threshold_takes_the_largest_products_with_the_decoders_norms(tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "act_fn": "topk",
        "top_k": 2,
        "jump_relu_threshold": None,
        "sparsity_include_decoder_norm": True,
    }
    t, scale = tensors(), D**0.5 / IN
    before = torch.relu(X * scale @ t["encoder.weight"].T + t["encoder.bias"])
    products = before * t["decoder.weight"].norm(dim=0)
    kept = products >= products.topk(2, dim=-1).values[:, 1:]
    expected = torch.where(kept, before, 0.0) @ t["decoder.weight"].T + t["decoder.bias"]
    dictionary = load_dictionary(read_header(write(tmp_path, **config)))
    values = dictionary.encode(X)
    assert torch.equal(values > 0, kept & (before > 0))
    torch.testing.assert_close(dictionary.decode(values, X), expected / scale)


def test_an_input_bias_and_no_decoder_bias(tmp_path: Path) -> None:
    t, scale = tensors(), D**0.5 / IN
    folder = write(tmp_path / "a", apply_decoder_bias_to_pre_encoder=True)
    before = (X * scale - t["decoder.bias"]) @ t["encoder.weight"].T + t["encoder.bias"]
    expected = torch.where(before > THRESHOLD * scale, before, 0.0)
    torch.testing.assert_close(load_dictionary(read_header(folder)).encode(X), expected)
    del t["decoder.bias"]
    dictionary = load_dictionary(read_header(write(tmp_path / "b", t, use_decoder_bias=False)))
    torch.testing.assert_close(dictionary.b_dec, torch.zeros(D))


def test_what_changes_values_is_in_the_identity(tmp_path: Path) -> None:
    identity = read_header(write(tmp_path / "a")).identity()
    for name, change in (
        ("b", {"jump_relu_threshold": 0.1}),
        ("c", {"sparsity_include_decoder_norm": True}),
        ("d", {"norm_activation": "inference"}),
    ):
        assert read_header(write(tmp_path / name, **change)).identity() != identity
    json.dumps(identity)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"jump_relu_threshold": None}, "lacks jump_relu_threshold"),
        ({"jump_relu_threshold": "0.7"}, "should be a number, not '0.7'"),
        ({"dataset_average_activation_norm": None}, "need dataset_average_activation_norm"),
        ({"dataset_average_activation_norm": {"in": 0}}, "need dataset_average_activation_norm"),
        ({"d_model": None}, "need d_model"),
        ({"act_fn": "batchtopk"}, "'batchtopk' is not supported.*convert"),
        ({"act_fn": "gelu"}, "'gelu' is not supported"),
        ({"act_fn": "topk", "jump_relu_threshold": None}, "without top_k"),
        ({"use_glu_encoder": True}, "use_glu_encoder"),
        ({"norm_activation": "batch-wise"}, "'batch-wise' is not supported"),
        ({**TRANSCODER, "norm_activation": "token-wise"}, "token-wise"),
    ],
)
def test_what_cannot_be_honoured_is_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    with pytest.raises(FeatureSourceError, match=rf"hyperparams\.json: .*{message}") as caught:
        read_header(write(tmp_path, **config))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder.weight": torch.zeros(N)}, r"encoder\.weight has shape \(6,\), expected a matrix"),
        ({"encoder.weight": torch.zeros(N, D + 1)}, r"w_enc has shape \(5, 6\), expected \(4, 6\)"),
        ({"encoder.bias": torch.zeros(N + 1)}, "b_enc has shape"),
        ({"decoder.weight": torch.full((D, N), torch.inf)}, "w_dec holds NaN or infinite"),
    ],
)
def test_malformed_weights_are_refused(tmp_path: Path, changes: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(FeatureSourceError, match=rf"final\.safetensors: {message}"):
        load_dictionary(read_header(write(tmp_path, tensors(**changes))))


def test_missing_and_torn(tmp_path: Path) -> None:
    made = tensors()
    del made["encoder.bias"]
    with pytest.raises(FeatureSourceError, match=r"lacks encoder\.bias"):
        load_dictionary(read_header(write(tmp_path, made)))
    (tmp_path / "checkpoints" / "final.safetensors").write_bytes(b"torn")
    with pytest.raises(FeatureSourceError, match="not readable as safetensors"):
        load_dictionary(read_header(tmp_path))


def test_what_decides_which_latents_fire_is_part_of_the_identity(tmp_path: Path) -> None:
    def identity(number: int, out: float, *, by_norm: bool) -> dict[str, Any]:
        norms = {"in": IN, "out": out}
        folder = write(
            tmp_path / str(number),
            **TRANSCODER,
            dataset_average_activation_norm=norms,
            sparsity_include_decoder_norm=by_norm,
        )
        return read_header(folder).identity()

    assert identity(0, 10.0, by_norm=True) != identity(1, 20.0, by_norm=True)
    assert identity(2, 10.0, by_norm=False) == identity(3, 20.0, by_norm=False)
