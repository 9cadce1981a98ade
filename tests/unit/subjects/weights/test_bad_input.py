"""What users bring that cannot be read: one line each, which names what is wrong."""

from __future__ import annotations

import io
import json
import os
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from harness.errors import FeatureSourceError, HarnessError
from harness.subjects.weights import read_header
from harness.subjects.weights.load import load_dictionary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

D, N = 4, 6


def tensors(**changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = {"W_enc": (D, N), "W_dec": (N, D), "b_enc": (N,), "b_dec": (D,)}
    made = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return {name: tensor for name, tensor in {**made, **changes}.items() if tensor is not None}


def saelens(folder: Path, weights: dict[str, torch.Tensor] | None = None, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps({"d_in": D, "d_sae": N, **config}))
    save_file(tensors() if weights is None else weights, folder / "sae_weights.safetensors")
    return folder


def refused(path: Path, message: str) -> None:
    with pytest.raises(FeatureSourceError, match=message) as caught:
        load_dictionary(read_header(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    ("weights", "config", "message"),
    [
        (tensors(b_enc=None), {}, r"lacks b_enc \(it has W_dec, W_enc, b_dec\)"),
        (
            tensors(b_gate=torch.zeros(N), b_mag=torch.zeros(N)),
            {},
            "holds b_gate, b_mag, which .* relu would leave out",
        ),
        (tensors(threshold=torch.ones(N)), {}, "holds threshold, which .* relu would leave out"),
        (tensors(W_enc=torch.zeros(D)), {}, r"W_enc has shape \(4,\), expected a matrix"),
        (tensors(b_dec=torch.zeros(D, 1)), {}, r"b_dec has shape \(4, 1\), expected a vector"),
        (tensors(W_enc=torch.zeros(0, N)), {}, r"W_enc has shape \(0, 6\) and is empty"),
        (tensors(W_dec=torch.zeros(N, D).to(torch.int8)), {}, "W_dec is of type int8. Try: .*quantisation"),
        (tensors(b_enc=torch.full((N,), torch.inf)), {}, "b_enc holds NaN or infinite"),
        (tensors(W_dec=torch.full((N, D), 1e300, dtype=torch.float64)), {}, "w_dec holds NaN or infinite"),
        (tensors(scaling_factor=torch.ones(N + 1)), {}, r"scaling_factor has shape \(7,\)"),
        (tensors(), {"activation_fn": "gelu"}, "activation function 'gelu' is not supported"),
        (tensors(), {"activation_fn": ["relu"]}, "activation function a list is not supported"),
        (tensors(), {"normalize_activations": ["layer_norm"]}, "normalised by a list"),
        (tensors(), {"hook_name": {"a": "b"}}, "hook_name should be a text, not a dict"),
        (tensors(), {"d_in": 10**30}, "d_in should be a positive integer, not a number of many digits"),
        (tensors(), {"d_in": "9" * 100_000}, "d_in should be a positive integer, not '999"),
        (tensors(), {"architecture": "x\ny\x1b[31m"}, "architecture 'x.ny.x1b"),
    ],
)
def test_what_is_missing_too_much_or_misshapen_is_named(
    tmp_path: Path, weights: dict[str, torch.Tensor], config: dict[str, Any], message: str
) -> None:
    refused(saelens(tmp_path, weights, **config), message)


def test_counts_of_a_training_run_do_no_harm(tmp_path: Path) -> None:
    load_dictionary(read_header(saelens(tmp_path, tensors(n_forward_passes_since_fired=torch.zeros(N)))))


def test_a_latent_that_writes_nothing_has_no_direction_and_no_value(tmp_path: Path) -> None:
    w_dec = torch.ones(N, D)
    w_dec[2] = 0
    config = {"architecture": "topk", "k": 2, "rescale_acts_by_decoder_norm": True}
    dictionary = load_dictionary(read_header(saelens(tmp_path, tensors(W_dec=w_dec), **config)))
    assert bool(dictionary.w_dec.isfinite().all())
    assert not bool(dictionary.encode(torch.randn(9, D))[:, 2].any())


def test_groups_that_do_not_come_out_even(tmp_path: Path) -> None:
    weights = {"encoder.weight": torch.ones(N, D), "encoder.bias": torch.ones(N), "W_dec": torch.ones(N, D)}
    (tmp_path / "cfg.json").write_text(json.dumps({"activation": "groupmax", "k": 4, "d_in": D, "num_latents": N}))
    save_file({**weights, "b_dec": torch.ones(D)}, tmp_path / "sae.safetensors")
    refused(tmp_path, "6 latents do not make k = 4 groups")


@pytest.mark.parametrize("content", ["[" * 50_000, '{"a":' * 50_000, "\ufeff{}", "[]", '{"a": NaN', ""])
def test_configs_that_are_none(tmp_path: Path, content: str) -> None:
    (saelens(tmp_path) / "cfg.json").write_text(content)
    refused(tmp_path, r"cfg\.json: not (readable as JSON|a JSON object)")


def test_a_config_whose_text_would_fill_the_memory(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 20)]
    (tmp_path / "config.yaml").write_text("\n".join([*lines, "model_kind: *a19"]))
    save_file({}, tmp_path / "layer_1.safetensors")
    refused(tmp_path, "model_kind is a list, where")
    (tmp_path / "config.yaml").write_text("model_kind: transcoder_set\n" + "# x\n" * 100_000)
    refused(tmp_path, "bytes are more than any config has")


def goodfire(**changes: Any) -> dict[str, Any]:
    shapes = {"encoder.weight": (N, D), "encoder.bias": (N,), "decoder.weight": (D, N), "decoder.bias": (D,)}
    return {**{name: torch.ones(shape) for name, shape in shapes.items()}, **changes}


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.getcwd, ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder.weight": torch.ones(1).expand(2**20, 2**15)}, "for which the file holds too few numbers"),
        ({"encoder.weight": torch.ones(N, D).to_sparse()}, "encoder.weight is a sparse"),
        (
            {"encoder.weight": torch.empty(N, D, device="meta")},
            "encoder.weight is a sparse, quantised or empty-shelled",
        ),
        ({"encoder.weight": torch.ones(N, D).to(torch.complex64)}, "encoder.weight is of type complex64"),
        ({"encoder.weight": "text"}, "lacks encoder_linear.weight|lacks encoder.weight"),
        ({"trap": Runs()}, "holds more than tensors and plain data.*Try: a pickle can run code.*save_file"),
    ],
)
def test_tensors_that_are_no_blocks_of_numbers(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    torch.save(goodfire(**changes), tmp_path / "SAE-l3.pt")
    refused(tmp_path, message)


def test_a_parameter_is_its_numbers(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(N, D))
    torch.save(goodfire(**{"encoder.weight": weight}, huge=10**30, other=True), tmp_path / "SAE-l3.pt")
    assert not load_dictionary(read_header(tmp_path)).w_enc.requires_grad


def packed(path: Path, name: str, data: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)


def test_archives_that_unpack_to_far_more_than_they_are(tmp_path: Path) -> None:
    packed(tmp_path / "params.npz", "w_enc.npy", b"\0" * (1 << 26))
    refused(tmp_path / "params.npz", "not readable as a NumPy archive: its .* bytes unpack to")
    packed(tmp_path / "SAE-l3.pt", "archive/data.pkl", b"\0" * (1 << 26))
    refused(tmp_path / "SAE-l3.pt", "not readable as a PyTorch file: its .* bytes unpack to")


def npz(path: Path, change: Callable[[np.ndarray[Any, Any]], Any]) -> Path:
    found = {name.lower(): change(tensor.numpy()) for name, tensor in tensors(threshold=torch.ones(N)).items()}
    np.savez(path, **found)
    return path


def test_arrays_in_other_orders_are_the_same_numbers(tmp_path: Path) -> None:
    plain = load_dictionary(read_header(npz(tmp_path / "params.npz", lambda array: array)))
    for change in (lambda array: array.astype(">f4"), np.asfortranarray, lambda array: array.astype("f8")):
        other = load_dictionary(read_header(npz(tmp_path / "params.npz", change)))
        assert torch.equal(other.w_enc, plain.w_enc)
        assert torch.equal(other.w_dec, plain.w_dec)


@pytest.mark.parametrize("shape", ["(2305843009213693952, 4)", "(-1, 4)", "(3, 4)"])
def test_arrays_that_claim_another_size(tmp_path: Path, shape: str) -> None:
    raw = io.BytesIO()
    np.save(raw, np.ones((D, N), np.float32))
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode().ljust(118)
    packed(tmp_path / "params.npz", "w_enc.npy", raw.getvalue()[:10] + header + raw.getvalue()[128:])
    refused(tmp_path / "params.npz", "not readable as a NumPy archive: an array of shape")


def test_names_of_files_do_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "a\nb\x1b[31m.bin").touch()
    with pytest.raises(HarnessError, match=r"found a b.x1b\[31m\.bin"):
        read_header(tmp_path)
