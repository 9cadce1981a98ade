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

D, OUT, N, LAYERS = 4, 5, 6, 3
X = torch.randn(9, D, generator=torch.Generator().manual_seed(0)) * 3
BEFORE, AFTER = "pre_feedforward_layernorm.output", "post_feedforward_layernorm.output"


def tensors(d_out: int = D, **changes: torch.Tensor) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    made = {
        "w_enc": torch.randn(D, N, generator=generator),
        "w_dec": torch.randn(N, d_out, generator=generator),
        "b_enc": torch.randn(N, generator=generator),
        "b_dec": torch.randn(d_out, generator=generator),
        "threshold": torch.randn(N, generator=generator).abs(),
    }
    return {**made, **changes}


def write(
    folder: Path, made: dict[str, torch.Tensor] | None = None, config: Any = None, file: str = "params.safetensors"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(made or tensors(), folder / file)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def encoded(t: dict[str, torch.Tensor]) -> torch.Tensor:
    before = X @ t["w_enc"] + t["b_enc"]
    values = before.clamp(min=0) * (before > t["threshold"])
    assert 0 < int((values > 0).sum()) < int((before > 0).sum())
    return values


def test_encoding_and_decoding_by_hand_with_a_skip_connection(tmp_path: Path) -> None:
    t = tensors(OUT, affine_skip_connection=torch.randn(D, OUT))
    header = read_header(write(tmp_path / "transcoder" / "layer_2_width_6_l0_small_affine", t))
    dictionary = load_dictionary(header)
    torch.testing.assert_close(dictionary.encode(X), encoded(t))
    expected = encoded(t) @ t["w_dec"] + t["b_dec"] + X @ t["affine_skip_connection"]
    torch.testing.assert_close(dictionary.decode(encoded(t), X), expected)


@pytest.mark.parametrize("suffix", ["", "_all"])
@pytest.mark.parametrize(
    ("site", "read", "written"),
    [
        ("resid_post", "output", None),
        ("attn_out", "self_attn.o_proj.input", None),
        ("mlp_out", AFTER, None),
        ("transcoder", BEFORE, AFTER),
    ],
)
def test_without_a_config_the_path_says_the_place(
    tmp_path: Path, site: str, suffix: str, read: str, written: str | None
) -> None:
    header = read_header(write(tmp_path / f"{site}{suffix}" / "layer_17_width_16k_l0_small"))
    assert header.hook_in == f"model.layers.17.{read}"
    assert header.hook_out == (f"model.layers.17.{written}" if written else None)
    assert (header.transcoder, header.n_features) == (written is not None, 16384)


def test_the_config_has_the_last_word(tmp_path: Path) -> None:
    hook = "model.layers.9.output"
    config = {"hf_hook_point_in": hook, "hf_hook_point_out": hook, "width": N, "architecture": "jump_relu"}
    header = read_header(write(tmp_path / "resid_post" / "layer_17_width_16k_l0_small", config=config))
    assert (header.hook_in, header.hook_out, header.transcoder) == (hook, None, False)
    assert header.n_features == N
    config["hf_hook_point_out"] = "model.layers.9.mlp.output"
    header = read_header(write(tmp_path / "resid_post" / "layer_17_width_16k_l0_small", config=config))
    assert (header.hook_out, header.transcoder) == ("model.layers.9.mlp.output", True)


def test_a_path_that_says_nothing_leaves_the_place_open(tmp_path: Path) -> None:
    header = read_header(write(tmp_path / "mine"))
    assert (header.hook_in, header.hook_out, header.n_features) == (None, None, None)
    torch.testing.assert_close(load_dictionary(header).encode(X), encoded(tensors()))


def test_a_layer_of_a_cross_layer_transcoder_is_read_only(tmp_path: Path) -> None:
    t = tensors(w_dec=torch.randn(N, LAYERS, D))
    for layer in range(LAYERS):
        write(
            tmp_path / "clt" / "width_6_l0_small", t, {"architecture": "jump_relu"}, f"params_layer_{layer}.safetensors"
        )
    with pytest.raises(FeatureSourceError, match=r"holds 3 files.*add one of: params_layer_0\.safetensors, params"):
        read_header(tmp_path / "clt" / "width_6_l0_small")
    header = read_header(tmp_path / "clt" / "width_6_l0_small" / "params_layer_2.safetensors")
    assert (header.transcoder, header.encode_only) == (True, True)
    assert (header.hook_in, header.hook_out) == (f"model.layers.2.{BEFORE}", None)
    torch.testing.assert_close(load_dictionary(header).encode(X), encoded(t))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"w_enc": torch.zeros(D, N, 1)}, r"w_enc has shape \(4, 6, 1\), expected a matrix"),
        ({"w_dec": torch.zeros(N)}, r"w_dec has shape \(6,\), expected a matrix"),
        ({"b_dec": torch.zeros(D + 1)}, "b_dec has shape"),
        ({"threshold": torch.zeros(N - 1)}, r"threshold has shape \(5,\), expected \(6,\)"),
        ({"threshold": torch.full((N,), torch.nan)}, "threshold holds NaN"),
        ({"affine_skip_connection": torch.zeros(D)}, r"affine_skip_connection has shape \(4,\), expected a matrix"),
        ({"affine_skip_connection": torch.zeros(D, D + 1)}, "w_skip has shape"),
    ],
)
def test_malformed_weights_are_refused(tmp_path: Path, changes: dict[str, torch.Tensor], message: str) -> None:
    folder = write(tmp_path / "transcoder" / "layer_2_width_6_l0_small", tensors() | changes)
    with pytest.raises(FeatureSourceError, match=message):
        load_dictionary(read_header(folder))


@pytest.mark.parametrize("name", ["w_enc", "b_enc", "w_dec", "b_dec", "threshold"])
def test_a_missing_tensor_is_named(tmp_path: Path, name: str) -> None:
    made = tensors()
    del made[name]
    with pytest.raises(FeatureSourceError, match=rf"params\.safetensors: lacks {name} \(it has"):
        load_dictionary(read_header(write(tmp_path / "layer_2_width_6_l0_small", made)))


def test_what_is_no_gemma_scope_2_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeatureSourceError, match="'batch_topk' is not supported"):
        read_header(write(tmp_path / "a", config={"architecture": "batch_topk"}))
    folder = write(tmp_path / "b")
    (folder / "params.safetensors").write_bytes(b"torn")
    with pytest.raises(FeatureSourceError, match=r"params\.safetensors: not readable as safetensors"):
        read_header(folder)
