from __future__ import annotations

import json
import os
import sys
import types
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from harness.errors import FeatureSourceError
from harness.subjects.weights import read_header
from harness.subjects.weights.load import load_dictionary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

D, N, OUT = 4, 6, 3
X = torch.randn(5, D, generator=torch.Generator().manual_seed(5)) * 3
PLACES = {"hook_point": "blocks.8.ln2.hook_normalized", "out_hook_point": "blocks.8.hook_mlp_out"}


def state(**changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    made = {
        "W_enc": torch.randn(D, N, generator=generator),
        "b_enc": torch.randn(N, generator=generator),
        "W_dec": torch.randn(N, OUT, generator=generator),
        "b_dec": torch.randn(D, generator=generator) * 5,
        "b_dec_out": torch.randn(OUT, generator=generator),
    }
    return {name: tensor for name, tensor in {**made, **changes}.items() if tensor is not None}


def converted(folder: Path, tensors: dict[str, torch.Tensor] | None = None, **config: Any) -> Path:
    (folder / "cfg.json").write_text(json.dumps({**PLACES, **config}))
    save_file(tensors or state(), folder / "transcoder.safetensors")
    return folder


def assert_right(folder: Path) -> None:
    """Encode and decode X with the folder's dictionary, and compare with the definition, in double precision."""
    header = read_header(folder)
    assert (header.format, header.transcoder) == ("transcoder_circuits", True)
    assert (header.hook_in, header.hook_out) == tuple(PLACES.values())
    dictionary = load_dictionary(header)
    t = {name: tensor.double().numpy() for name, tensor in state().items()}
    values = np.maximum((X.double().numpy() - t["b_dec"]) @ t["W_enc"] + t["b_enc"], 0)
    encoded = dictionary.encode(X)
    np.testing.assert_allclose(encoded.numpy(), values, atol=1e-5)
    decoded = values @ t["W_dec"] + t["b_dec_out"]
    np.testing.assert_allclose(dictionary.decode(encoded, X).numpy(), decoded, atol=1e-5)


def test_a_converted_folder_encodes_and_decodes_by_its_definition(tmp_path: Path) -> None:
    assert_right(converted(tmp_path, is_transcoder=True, d_in=D, d_out=OUT, d_sae=N))


def test_a_pytorch_file_of_tensors_only_will_do(tmp_path: Path) -> None:
    folder = converted(tmp_path)
    (folder / "transcoder.safetensors").unlink()
    torch.save(state(), folder / "transcoder.pt")
    assert_right(folder)


@pytest.fixture
def write_published(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that writes a file as the training library does: with its configuration's object in it."""

    def write(file: Path, more: Any = None, **options: Any) -> None:
        name = "LanguageModelSAERunnerConfig"
        module: Any = types.ModuleType("sae_training.config")
        cls: Any = type(name, (), {"__module__": module.__name__})
        setattr(module, name, cls)
        config = cls()
        vars(config).update(PLACES, is_transcoder=True, d_in=D, d_out=OUT, dtype=torch.float32, seed=42)
        config.device = torch.device("cpu")
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "sae_training", types.ModuleType("sae_training"))
            patch.setitem(sys.modules, module.__name__, module)
            torch.save({"cfg": config, "state_dict": state(), **(more or {})}, file, **options)

    return write


@pytest.mark.parametrize("zipped", [True, False])
def test_a_published_file_is_read_and_nothing_in_it_is_run(
    tmp_path: Path, write_published: Callable[..., None], zipped: bool
) -> None:
    file = tmp_path / "final_sparse_autoencoder_gpt2-small_blocks.8.ln2.hook_normalized_24576.pt"
    write_published(file, _use_new_zipfile_serialization=zipped)
    assert_right(file)
    assert_right(tmp_path)
    assert "sae_training" not in sys.modules


class Runs:
    """What a hostile file would run."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("pwned",)


def test_a_published_file_with_anything_else_in_it_is_refused(
    tmp_path: Path, write_published: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "a.pt"
    write_published(file, more={"extra": Runs()})
    with pytest.raises(FeatureSourceError, match="is not read"):
        read_header(file)
    assert not (tmp_path / "pwned").exists()


def test_several_published_files_are_listed(tmp_path: Path, write_published: Callable[..., None]) -> None:
    for name in ("a.pt", "b.pt"):
        write_published(tmp_path / name)
    with pytest.raises(FeatureSourceError, match=r"holds 2 feature sources.*a\.pt, b\.pt"):
        read_header(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hook_point": 3}, "hook_point should be a text"),
        ({"out_hook_point": ["a"]}, "out_hook_point should be a text"),
        ({"is_transcoder": False}, r"an autoencoder.*sae_weights\.safetensors"),
        ({"d_in": -1}, "d_in should be a positive integer"),
    ],
)
def test_configs_that_cannot_be_honoured_are_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    with pytest.raises(FeatureSourceError, match=rf"cfg\.json: .*{message}"):
        read_header(converted(tmp_path, **config))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (state(b_dec_out=None), r"lacks b_dec_out \(it has W_dec, W_enc, b_dec, b_enc\)"),
        (state(b_dec=None), "lacks b_dec "),
        (state(b_dec=torch.zeros(D + 1)), r"do not belong together: W_enc \(4, 6\), b_dec \(5,\) and b_enc \(6,\)"),
        (state(b_enc=torch.zeros(N + 1)), r"do not belong together.*b_enc \(7,\)"),
        (state(W_enc=torch.zeros(D, N, 1)), r"W_enc has shape \(4, 6, 1\), expected a matrix"),
        (state(W_dec=torch.zeros(N)), r"W_dec has shape \(6,\), expected a matrix"),
        (state(W_dec=torch.zeros(N + 1, OUT)), r"w_dec has shape \(7, 3\), expected \(6, 3\)"),
        (state(b_dec=torch.full((D,), torch.nan)), "b_enc holds NaN"),
        (state(W_enc=torch.zeros(D + 1, N), b_dec=torch.zeros(D + 1)), r"w_enc has shape \(5, 6\), expected \(4, 6\)"),
    ],
)
def test_malformed_weights_are_refused(tmp_path: Path, tensors: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(FeatureSourceError, match=rf"transcoder\.safetensors: .*{message}"):
        load_dictionary(read_header(converted(tmp_path, tensors, d_in=D)))


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    folder = converted(tmp_path)
    (folder / "transcoder.safetensors").write_bytes(b"torn")
    with pytest.raises(FeatureSourceError, match=r"transcoder\.safetensors: not readable as safetensors"):
        load_dictionary(read_header(folder))
