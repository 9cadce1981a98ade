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
NORM = 3.0
SCALE = D**0.5 / NORM
X = torch.randn(40, D, generator=torch.Generator().manual_seed(0)) * 2
HOOK, HOOK_OUT = "blocks.8.hook_resid_post", "blocks.8.hook_mlp_out"


def canonical() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "w_enc": torch.randn(D, N, generator=generator),
        "b_enc": torch.randn(N, generator=generator),
        "w_dec": torch.randn(N, D, generator=generator),
        "b_dec": torch.randn(D, generator=generator),
        "threshold": torch.rand(N, generator=generator) + 0.2,
    }


def old() -> dict[str, torch.Tensor]:
    t = canonical()
    return {
        "encoder.weight": t["w_enc"].T.contiguous(),
        "encoder.bias": t["b_enc"],
        "decoder.weight": t["w_dec"].T.contiguous(),
        "decoder.bias": t["b_dec"],
        "log_jumprelu_threshold": t["threshold"].log(),
        f"dataset_average_activation_norm.{HOOK}": torch.tensor(NORM),
    }


def new(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    t = canonical()
    made = {
        "W_E": t["w_enc"],
        "b_E": t["b_enc"],
        "W_D": t["w_dec"],
        "b_D": t["b_dec"],
        "activation_function.log_jumprelu_threshold": t["threshold"].log(),
        f"dataset_average_activation_norm.{HOOK}": torch.tensor(NORM),
    }
    return {**made, **changes}


def write(folder: Path, made: dict[str, torch.Tensor] | None = None, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    stated = {
        "sae_type": "sae",
        "hook_point_in": HOOK,
        "hook_point_out": HOOK,
        "d_model": D,
        "expansion_factor": N / D,
        "act_fn": "jumprelu",
        "norm_activation": "dataset-wise",
        "sparsity_include_decoder_norm": False,
    }
    merged = {name: value for name, value in {**stated, **config}.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(merged))
    save_file(new() if made is None else made, folder / "sae_weights.safetensors")
    return folder


def before(scale: float = SCALE) -> torch.Tensor:
    t = canonical()
    return X * scale @ t["w_enc"] + t["b_enc"]


def jumped(pre: torch.Tensor, *, by_norm: bool) -> torch.Tensor:
    t = canonical()
    gate = pre * t["w_dec"].norm(dim=-1) if by_norm else pre
    values = torch.where(gate > t["threshold"], pre, 0.0)
    assert 10 < int((values > 0).sum()) < int((pre > 0).sum())
    return values


@pytest.mark.parametrize("made", [old(), new()], ids=["old", "new"])
@pytest.mark.parametrize("by_norm", [False, True])
def test_encoding_and_decoding_by_hand(tmp_path: Path, made: dict[str, torch.Tensor], by_norm: bool) -> None:
    header = read_header(write(tmp_path, made, sparsity_include_decoder_norm=by_norm))
    assert (header.format, header.n_features, header.hook_in) == ("llamascopium", N, HOOK)
    dictionary, t = load_dictionary(header), canonical()
    expected = jumped(before(), by_norm=by_norm)
    torch.testing.assert_close(dictionary.encode(X), expected)
    torch.testing.assert_close(dictionary.decode(expected, X), (expected @ t["w_dec"] + t["b_dec"]) / SCALE)


def test_sparsity_includes_the_decoders_norm_unless_the_config_says_not(tmp_path: Path) -> None:
    header = read_header(write(tmp_path, sparsity_include_decoder_norm=None))
    torch.testing.assert_close(load_dictionary(header).encode(X), jumped(before(), by_norm=True))


@pytest.mark.parametrize("by_norm", [False, True])
def test_a_transcoder_writes_at_the_scale_of_its_output(tmp_path: Path, by_norm: bool) -> None:
    made = new(**{f"dataset_average_activation_norm.{HOOK_OUT}": torch.tensor(0.5)})
    header = read_header(write(tmp_path, made, hook_point_out=HOOK_OUT, sparsity_include_decoder_norm=by_norm))
    assert (header.transcoder, header.hook_in, header.hook_out) == (True, HOOK, HOOK_OUT)
    dictionary, t = load_dictionary(header), canonical()
    expected = jumped(before(), by_norm=by_norm)
    torch.testing.assert_close(dictionary.encode(X), expected)
    scale_out = D**0.5 / 0.5
    torch.testing.assert_close(dictionary.decode(expected, X), (expected @ t["w_dec"] + t["b_dec"]) / scale_out)


def test_folded_weights_are_taken_as_they_are(tmp_path: Path) -> None:
    # The library writes an empty norm next to folded weights.
    made = new(**{f"dataset_average_activation_norm.{HOOK}": torch.tensor(torch.nan)})
    header = read_header(write(tmp_path, made, norm_activation="inference"))
    torch.testing.assert_close(load_dictionary(header).encode(X), jumped(before(1.0), by_norm=False))


def test_token_wise_norms(tmp_path: Path) -> None:
    dictionary, t = load_dictionary(read_header(write(tmp_path, norm_activation="token-wise"))), canonical()
    factor = D**0.5 / X.norm(dim=-1, keepdim=True)
    pre = X * factor @ t["w_enc"] + t["b_enc"]
    expected = torch.where(pre > t["threshold"], pre, 0.0)
    torch.testing.assert_close(dictionary.encode(X), expected)
    torch.testing.assert_close(dictionary.decode(expected, X), (expected @ t["w_dec"] + t["b_dec"]) / factor)


def test_relu_and_topk(tmp_path: Path) -> None:
    made = new()
    del made["activation_function.log_jumprelu_threshold"]
    relu = load_dictionary(read_header(write(tmp_path / "a", made, act_fn=None)))
    torch.testing.assert_close(relu.encode(X), before().relu())
    topk = load_dictionary(read_header(write(tmp_path / "b", made, act_fn="topk", top_k=2)))
    values = before().relu()
    expected = torch.where(values >= values.topk(2, dim=-1).values[:, 1:], values, 0.0)
    torch.testing.assert_close(topk.encode(X), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_norms_of_any_precision(tmp_path: Path, dtype: torch.dtype) -> None:
    # 3.0 is exact in all of them.
    made = new(**{f"dataset_average_activation_norm.{HOOK}": torch.tensor(NORM, dtype=dtype)})
    header = read_header(write(tmp_path, made))
    assert header.input_scale == pytest.approx(SCALE)
    torch.testing.assert_close(load_dictionary(header).encode(X), jumped(before(), by_norm=False))


def test_a_saelens_folder_stays_one_whatever_else_lies_in_it(tmp_path: Path) -> None:
    t = canonical()
    names = {"w_enc": "W_enc", "w_dec": "W_dec", "b_enc": "b_enc", "b_dec": "b_dec"}
    folder = write(tmp_path, {theirs: t[ours] for ours, theirs in names.items()})
    (folder / "cfg.json").write_text(json.dumps({"d_in": D, "d_sae": N}))
    assert read_header(folder).format == "saelens"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"sae_type": "lorsa"}, "of type 'lorsa' is not supported"),
        ({"act_fn": "batchtopk"}, "'batchtopk' is not supported"),
        ({"hook_point_in": "blocks.9.hook_resid_post"}, "need dataset_average_activation_norm"),
        ({"hook_point_out": HOOK_OUT, "apply_decoder_bias_to_pre_encoder": True}, "input bias"),
    ],
)
def test_what_cannot_be_honoured_is_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    with pytest.raises(FeatureSourceError, match=rf"config\.json: .*{message}"):
        read_header(write(tmp_path, **config))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"W_E": torch.zeros(D, N, 2)}, r"W_E has shape \(4, 6, 2\), expected a matrix"),
        ({"W_D": torch.zeros(N + 1, D)}, "w_dec has shape"),
        ({"activation_function.log_jumprelu_threshold": torch.zeros(N - 1)}, "threshold has shape"),
        ({"b_E": torch.full((N,), torch.nan)}, "b_enc holds NaN"),
    ],
)
def test_malformed_weights_are_refused(tmp_path: Path, changes: dict[str, torch.Tensor], message: str) -> None:
    header = read_header(write(tmp_path, new(**changes), sparsity_include_decoder_norm=True))
    with pytest.raises(FeatureSourceError, match=message):
        load_dictionary(header)


def test_missing_and_torn(tmp_path: Path) -> None:
    made = new()
    del made["activation_function.log_jumprelu_threshold"]
    with pytest.raises(FeatureSourceError, match=r"lacks activation_function\.log_jumprelu_threshold"):
        load_dictionary(read_header(write(tmp_path, made)))
    (tmp_path / "sae_weights.safetensors").write_bytes(b"torn")
    with pytest.raises(FeatureSourceError, match="not readable as safetensors"):
        read_header(tmp_path)
