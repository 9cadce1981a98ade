from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from harness.errors import FeatureSourceError
from harness.subjects.hooknames import to_hookpoint
from harness.subjects.weights import read_header
from harness.subjects.weights.load import load_dictionary

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FOLDERS = Path(__file__).parents[3] / "fixtures" / "feature_sources"
D, N, K = 4, 6, 2
X = torch.randn(5, D, generator=torch.Generator().manual_seed(5)) * 3
THRESHOLD = 0.8


def tensors(name: str) -> dict[str, torch.Tensor]:
    """Return tensors as the library's class ``name`` stores them."""
    generator = torch.Generator().manual_seed(3)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    linear = {"encoder.weight": random(N, D), "encoder.bias": random(N), "decoder.weight": random(D, N)}
    plain = {"W_enc": random(D, N), "b_enc": random(N), "W_dec": random(N, D), "b_dec": random(D)}
    scalars = {"k": torch.tensor(K, dtype=torch.int), "threshold": torch.tensor(THRESHOLD)}
    gated = {
        "decoder_bias": random(D),
        "encoder.weight": random(N, D),
        "r_mag": random(N),
        "gate_bias": random(N),
        "mag_bias": random(N),
        "decoder.weight": random(D, N),
    }
    return {
        "AutoEncoder": {**linear, "bias": random(D)},
        "AutoEncoderNew": {**linear, "decoder.bias": random(D)},
        "GatedAutoEncoder": gated,
        "JumpReluAutoEncoder": {**plain, "threshold": random(N).abs()},
        "AutoEncoderTopK": {**linear, "b_dec": random(D), **scalars},
        "BatchTopKSAE": {**linear, "b_dec": random(D), **scalars},
        "MatryoshkaBatchTopKSAE": {**plain, **scalars, "group_sizes": torch.tensor([2, 4])},
    }[name]


def write(
    folder: Path, name: Any, weights: dict[str, Any] | None = None, buffer: dict[str, Any] | None = None, **trainer: Any
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    stated = {"activation_dim": D, "dict_size": N, "k": K, **trainer}
    config: dict[str, Any] = {"trainer": {**({"dict_class": name} if name else {}), **stated}}
    (folder / "config.json").write_text(json.dumps(config if buffer is None else {**config, "buffer": buffer}))
    torch.save(weights or tensors(name), folder / "ae.pt")
    return folder


def expected(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the values of X and their decoding, by the library's definitions."""
    t = {key: value.double().numpy() for key, value in tensors(name).items()}
    x: NDArray[np.float64] = X.double().numpy()
    if name in {"JumpReluAutoEncoder", "MatryoshkaBatchTopKSAE"}:
        w, c, decoder, b = t["W_enc"], t["b_enc"], t["W_dec"], t["b_dec"]
    elif name == "GatedAutoEncoder":
        w, c, decoder, b = t["encoder.weight"].T, t["mag_bias"], t["decoder.weight"].T, t["decoder_bias"]
    else:
        own = {"AutoEncoder": "bias", "AutoEncoderNew": "decoder.bias"}.get(name, "b_dec")
        w, c, decoder, b = t["encoder.weight"].T, t["encoder.bias"], t["decoder.weight"].T, t[own]
    inner = x if name in {"AutoEncoderNew", "JumpReluAutoEncoder"} else x - b
    if name == "GatedAutoEncoder":
        gate = inner @ w + t["gate_bias"] > 0
        values = gate * np.maximum(inner @ w * np.exp(t["r_mag"]) + c, 0)
    else:
        values = np.maximum(inner @ w + c, 0)
    if name == "AutoEncoderTopK":
        values = np.where(values >= np.sort(values)[:, [-K]], values, 0)
    elif "threshold" in t:
        values = np.where(values > t["threshold"], values, 0)
    return values, values @ decoder + b


CLASSES = [
    "AutoEncoder",
    "AutoEncoderNew",
    "GatedAutoEncoder",
    "JumpReluAutoEncoder",
    "AutoEncoderTopK",
    "BatchTopKSAE",
    "MatryoshkaBatchTopKSAE",
]


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_encodes_and_decodes_by_its_definition(tmp_path: Path, name: str) -> None:
    header = read_header(write(tmp_path, name))
    assert (header.format, header.d_in, header.n_features) == ("dictionary_learning", D, N)
    dictionary = load_dictionary(header)
    values, decoded = expected(name)
    assert 0 < (values > 0).mean() < 1
    encoded = dictionary.encode(X)
    np.testing.assert_allclose(encoded.numpy(), values, atol=1e-5)
    np.testing.assert_allclose(dictionary.decode(encoded, X).numpy(), decoded, atol=1e-5)


GOLDEN = ["standard", "new", "gated", "jumprelu", "topk", "batchtopk", "matryoshka", "normalized"]


@pytest.mark.parametrize("name", GOLDEN)
def test_encoding_equals_the_librarys(name: str) -> None:
    folder = FOLDERS / f"dictionary_learning_{name}"
    golden = load_file(folder / "golden.safetensors")
    header = read_header(folder)
    assert (header.d_in, header.n_features, header.hook_in) == (16, 64, "blocks.1.hook_resid_post")
    assert not header.transcoder
    dictionary = load_dictionary(header)
    torch.testing.assert_close(dictionary.encode(golden["x"]), golden["z"], atol=1e-5, rtol=1e-5)
    features = [0, 63, 17]
    few = dictionary.encode_features(golden["x"], features)
    torch.testing.assert_close(few, golden["z"][:, features], atol=1e-5, rtol=1e-5)


def test_the_librarys_rescaling_on_loading_is_asked_for_and_part_of_the_identity(tmp_path: Path) -> None:
    raw = read_header(write(tmp_path / "raw", "AutoEncoder"))
    scaled = read_header(write(tmp_path / "scaled", "AutoEncoder", normalize_decoder=True))
    assert raw.identity()["sha256"] == scaled.identity()["sha256"]
    assert raw.identity() != scaled.identity()
    norms = tensors("AutoEncoder")["decoder.weight"].norm(dim=0)
    plain, normalised = load_dictionary(raw), load_dictionary(scaled)
    torch.testing.assert_close(normalised.encode(X), plain.encode(X) * norms)
    torch.testing.assert_close(normalised.w_dec.norm(dim=-1), torch.ones(N))
    torch.testing.assert_close(normalised.decode(normalised.encode(X), X), plain.decode(plain.encode(X), X))


def test_a_threshold_that_training_never_set_keeps_every_positive_value(tmp_path: Path) -> None:
    weights = {**tensors("BatchTopKSAE"), "threshold": torch.tensor(-1.0)}
    dictionary = load_dictionary(read_header(write(tmp_path, "BatchTopKSAE", weights)))
    before = (X - weights["b_dec"]) @ weights["encoder.weight"].T + weights["encoder.bias"]
    torch.testing.assert_close(dictionary.encode(X), torch.relu(before))


@pytest.mark.parametrize(
    ("trainer", "buffer", "hook"),
    [
        ({"submodule_name": "resid_post_layer_8", "layer": 8}, {}, "blocks.8.hook_resid_post"),
        ({"submodule_name": "resid_post_layer_0"}, {}, "blocks.0.hook_resid_post"),
        ({"submodule_name": "resid_out_layer3"}, {"io": "out"}, "blocks.3.hook_resid_post"),
        ({"submodule_name": "resid_pre", "layer": 0}, {}, "blocks.0.hook_resid_pre"),
        ({"submodule_name": "mlp_out_layer3", "lm_name": "EleutherAI/pythia-70m"}, {}, "layers.3.mlp.output"),
        ({"submodule_name": "mlp_out_layer_3", "lm_name": "openai-community/gpt2"}, {}, "h.3.mlp.output"),
        ({"submodule_name": "attn_out_layer_3", "lm_name": "EleutherAI/pythia-70m"}, {}, "layers.3.attention.output"),
        ({"submodule_name": "attn_out", "layer": 5, "lm_name": "google/gemma-2-2b"}, {}, "layers.5.self_attn.output"),
        ({"submodule_name": "gpt_neox.layers.3.mlp"}, {"io": "in"}, "gpt_neox.layers.3.mlp.input"),
        ({"submodule_name": "transformer.h.8"}, {}, "transformer.h.8.output"),
        ({"submodule_name": "mlp_out_layer3", "lm_name": "a model of its own"}, {}, None),
        ({"submodule_name": "mlp_out_layer3", "lm_name": "gpt2"}, {"io": "in"}, None),
        ({"submodule_name": "resid_post"}, {}, None),
        ({"submodule_name": "somewhere", "layer": 3}, {}, None),
        ({"layer": 3}, {}, None),
        ({}, {}, None),
    ],
)
def test_where_it_reads(tmp_path: Path, trainer: dict[str, Any], buffer: dict[str, Any], hook: str | None) -> None:
    assert read_header(write(tmp_path, "AutoEncoder", buffer=buffer, **trainer)).hook_in == hook


@pytest.mark.parametrize(
    ("family", "model", "place", "module"),
    [
        ("gpt2", "openai-community/gpt2", "mlp_out", "transformer.h.1.mlp"),
        ("gpt2", "openai-community/gpt2", "attn_out", "transformer.h.1.attn"),
        ("neox", "EleutherAI/pythia-70m-deduped", "attn_out", "gpt_neox.layers.1.attention"),
        ("neox", "EleutherAI/pythia-70m-deduped", "resid_out", "gpt_neox.layers.1"),
        ("llama", "meta-llama/Llama-3.1-8B-Instruct", "mlp_out", "model.layers.1.mlp"),
        ("gemma2", "google/gemma-2-2b", "mlp_out", "model.layers.1.mlp"),
        ("gemma2", "google/gemma-2-2b", "attn_out", "model.layers.1.self_attn"),
        ("gemma2", "google/gemma-2-2b", "resid_post", "model.layers.1"),
    ],
)
def test_where_it_reads_is_a_place_of_the_model(
    tmp_path: Path, make_model: Callable[[str], Any], family: str, model: str, place: str, module: str
) -> None:
    hook = read_header(write(tmp_path, "AutoEncoder", submodule_name=f"{place}_layer_1", lm_name=model)).hook_in
    assert hook is not None
    assert str(to_hookpoint(hook, make_model(family))) == f"{module}.output"


def test_where_it_reads_by_the_names_of_folders(tmp_path: Path) -> None:
    folder = tmp_path / "resid_post_layer_5" / "trainer_0"
    assert read_header(write(folder, "AutoEncoder", submodule_name=None)).hook_in == "blocks.5.hook_resid_post"
    with pytest.raises(FeatureSourceError, match="layer is 4, but its place is named layer 5"):
        read_header(write(folder, "AutoEncoder", layer=4))


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("CrossCoder", {}, "'CrossCoder' is not read: it reads several models"),
        ("BatchTopKCrossCoder", {}, "'BatchTopKCrossCoder' is not read: it reads several models"),
        ("IdentityDict", {}, "'IdentityDict' is not read: it has no weights"),
        ("NoSuchClass", {}, "'NoSuchClass' is not read.*one of: AutoEncoder, "),
        ("AutoEncoder", {"dict_class": ["AutoEncoder"]}, "is not read"),
        (None, {}, "does not say which class.*set dict_class"),
        ("AutoEncoderTopK", {"k": None}, "AutoEncoderTopK without k"),
        ("AutoEncoderTopK", {"k": "8"}, "k should be a positive integer"),
        ("AutoEncoder", {"normalize_decoder": 1}, "true or false"),
        ("GatedAutoEncoder", {"normalize_decoder": True}, "not for GatedAutoEncoder"),
        ("AutoEncoder", {"buffer": {"io": "in_and_out"}}, "from a module's input to its output"),
        ("AutoEncoder", {"buffer": []}, "buffer should be an object"),
    ],
)
def test_configs_that_cannot_be_honoured_are_refused(
    tmp_path: Path, name: str | None, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(FeatureSourceError, match=rf"config\.json: .*{message}"):
        read_header(write(tmp_path, name, tensors("AutoEncoder"), **config))


MALFORMED: list[tuple[str, dict[str, Any], str]] = [
    ("AutoEncoder", {"encoder.weight": torch.zeros(N, D + 1)}, r"w_enc has shape \(5, 6\), expected \(4, 6\)"),
    ("AutoEncoder", {"encoder.weight": torch.zeros(N)}, r"encoder\.weight has shape \(6,\), expected a matrix"),
    ("MatryoshkaBatchTopKSAE", {"W_dec": torch.zeros(N, D, 1)}, r"W_dec has shape \(6, 4, 1\), expected a matrix"),
    ("AutoEncoder", {"bias": torch.zeros(D + 1)}, r"b_dec has shape \(5,\)"),
    ("AutoEncoder", {"decoder.weight": torch.full((D, N), torch.nan)}, "w_dec holds NaN"),
    ("GatedAutoEncoder", {"r_mag": torch.full((N,), 1000.0)}, "magnitude_scale holds NaN or infinite"),
    ("JumpReluAutoEncoder", {"threshold": torch.zeros(N + 1)}, "threshold has shape"),
    ("AutoEncoderTopK", {"k": torch.tensor(5)}, r"k is 5 in ae\.pt and 2 in config\.json"),
]


@pytest.mark.parametrize(("name", "changes", "message"), MALFORMED)
def test_malformed_weights_are_refused(tmp_path: Path, name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FeatureSourceError, match=rf"ae\.pt: .*{message}"):
        load_dictionary(read_header(write(tmp_path, name, {**tensors(name), **changes})))


@pytest.mark.parametrize("name", CLASSES)
def test_a_missing_tensor_is_named(tmp_path: Path, name: str) -> None:
    gone = {"BatchTopKSAE": "threshold", "MatryoshkaBatchTopKSAE": "threshold", "GatedAutoEncoder": "r_mag"}.get(name)
    weights = tensors(name)
    gone = gone or next(iter(weights))
    weights.pop(gone)
    with pytest.raises(FeatureSourceError, match=rf"ae\.pt: lacks {gone} \(it has "):
        load_dictionary(read_header(write(tmp_path, name, weights)))


def test_torn_and_pickled_files_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, "AutoEncoder")
    (folder / "ae.pt").write_bytes((folder / "ae.pt").read_bytes()[:300])
    with pytest.raises(FeatureSourceError, match=r"ae\.pt: not readable as a PyTorch file"):
        load_dictionary(read_header(folder))
    torch.save({**tensors("AutoEncoder"), "where": Path("x")}, folder / "ae.pt")
    with pytest.raises(FeatureSourceError, match=r"ae\.pt: holds more than tensors.*Convert it"):
        load_dictionary(read_header(folder))
