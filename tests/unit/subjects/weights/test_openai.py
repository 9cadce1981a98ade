from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.errors import FeatureSourceError
from harness.subjects.weights import read_header
from harness.subjects.weights.load import load_dictionary

D, N, K = 4, 6, 2
X = torch.randn(5, D, generator=torch.Generator().manual_seed(5)) * 3 + 2


def state(activation: Any = "TopK", **changes: Any) -> dict[str, Any]:
    """Return what ``torch.save(autoencoder.state_dict(), file)`` of OpenAI's class writes; None takes a key out."""
    generator = torch.Generator().manual_seed(3)
    made: dict[str, Any] = {
        "pre_bias": torch.randn(D, generator=generator),
        "latent_bias": torch.randn(N, generator=generator),
        "stats_last_nonzero": torch.zeros(N, dtype=torch.long),
        "latents_activation_frequency": torch.ones(N),
        "latents_mean_square": torch.zeros(N),
        "encoder.weight": torch.randn(N, D, generator=generator),
        "decoder.weight": torch.randn(D, N, generator=generator),
        "activation": activation,
        "activation_state_dict": {"k": K, "postact_fn": "ReLU"} if activation == "TopK" else {},
    }
    return {name: value for name, value in {**made, **changes}.items() if value is not None}


def write(path: Path, content: object, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path, **options)
    return path


def test_topk_normalises_its_input_and_undoes_it(tmp_path: Path) -> None:
    header = read_header(write(tmp_path / "3.pt", state()))
    assert (header.format, header.activation, header.k, header.d_in, header.n_features) == ("openai", "topk", K, D, N)
    dictionary = load_dictionary(header)
    t = {name: value.double().numpy() for name, value in state().items() if isinstance(value, torch.Tensor)}
    x = X.double().numpy()
    mean, std = x.mean(-1, keepdims=True), x.std(-1, keepdims=True, ddof=1)
    before = ((x - mean) / (std + 1e-5) - t["pre_bias"]) @ t["encoder.weight"].T + t["latent_bias"]
    kept = np.where(before >= np.sort(before)[:, [-K]], before, 0)
    values = np.maximum(kept, 0)
    encoded = dictionary.encode(X)
    np.testing.assert_allclose(encoded.numpy(), values, atol=1e-5)
    decoded = (values @ t["decoder.weight"].T + t["pre_bias"]) * std + mean
    np.testing.assert_allclose(dictionary.decode(encoded, X).numpy(), decoded, atol=1e-5)


@pytest.mark.parametrize("stated", ["ReLU", None])
def test_relu_takes_its_input_as_it_is(tmp_path: Path, stated: str | None) -> None:
    header = read_header(write(tmp_path / "3.pt", state(stated)))
    assert (header.activation, header.k) == ("relu", None)
    dictionary = load_dictionary(header)
    t = state()
    expected = torch.relu((X - t["pre_bias"]) @ t["encoder.weight"].T + t["latent_bias"])
    torch.testing.assert_close(dictionary.encode(X), expected)
    decoded = expected @ t["decoder.weight"].T + t["pre_bias"]
    torch.testing.assert_close(dictionary.decode(expected, X), decoded)


@pytest.mark.parametrize(
    ("folder", "hook"),
    [
        ("mlp_post_act", "blocks.7.mlp.hook_post"),
        ("mlp_post_act_v4", "blocks.7.mlp.hook_post"),
        ("resid_delta_mlp", "blocks.7.hook_mlp_out"),
        ("resid_delta_attn_v5_32k", "blocks.7.hook_attn_out"),
        ("resid_post_attn_v5_128k", "blocks.7.hook_resid_mid"),
        ("resid_post_mlp_v5_32k", "blocks.7.hook_resid_post"),
        ("elsewhere", None),
    ],
)
def test_where_it_reads_by_its_path(tmp_path: Path, folder: str, hook: str | None) -> None:
    file = write(tmp_path / folder / "autoencoders" / "7.pt", state())
    assert read_header(file).hook_in == hook
    assert read_header(file.parent).hook_in == hook
    assert read_header(file.rename(file.with_name("layer.pt"))).hook_in is None


def test_a_folder_of_several_asks_for_one(tmp_path: Path) -> None:
    for layer in (0, 11):
        write(tmp_path / f"{layer}.pt", state())
    with pytest.raises(FeatureSourceError, match=r"2 feature sources.*add one of: 0\.pt, 11\.pt"):
        read_header(tmp_path)


def test_other_files_of_the_folder_do_not_count(tmp_path: Path) -> None:
    write(tmp_path / "0.pt", state())
    write(tmp_path / "optimizer.pt", {"state": torch.zeros(3)})
    (tmp_path / "1.pt").write_bytes(b"torn")
    assert read_header(tmp_path).weights.name == "0.pt"


def test_files_in_pytorchs_old_layout(tmp_path: Path) -> None:
    header = read_header(write(tmp_path / "0.pt", state(), _use_new_zipfile_serialization=False))
    assert header.k == K
    assert load_dictionary(header).n_features == N


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (state("Identity"), "activation 'Identity' is not read.*ReLU, TopK"),
        (state(activation_state_dict={"k": K, "postact_fn": "Identity"}), "after TopK is 'Identity'"),
        (state(activation_state_dict={"postact_fn": "ReLU"}), "TopK activation without k"),
        (state(activation_state_dict={"k": "2"}), "k should be a positive integer"),
        (state(activation_state_dict=[]), "without activation_state_dict"),
        (state(**{"encoder.weight": None}), r"lacks encoder\.weight"),
        (state(**{"decoder.weight": None}), r"lacks decoder\.weight"),
        (state(**{"decoder.weight": torch.zeros(D, N + 1)}), r"w_dec has shape \(7, 4\), expected \(6, 4\)"),
        (state(**{"encoder.weight": torch.zeros(N)}), r"encoder\.weight has shape \(6,\), expected a matrix"),
        (state(pre_bias=torch.zeros(D + 1)), "w_enc has shape"),
        (state(pre_bias=torch.zeros(D, 1)), r"pre_bias has shape \(4, 1\), expected a vector"),
        (state(latent_bias=torch.full((N,), torch.inf)), "b_enc holds NaN or infinite"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    file = write(tmp_path / "3.pt", content)
    with pytest.raises(FeatureSourceError, match=rf"3\.pt: .*{message}"):
        load_dictionary(read_header(file))


def test_torn_and_pickled_files_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "3.pt", state())
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(FeatureSourceError, match=r"3\.pt: not readable as a PyTorch file"):
        read_header(file)
    write(file, state(path=Path("x")))
    with pytest.raises(FeatureSourceError, match=r"3\.pt: holds more than tensors.*Convert it"):
        read_header(file)
