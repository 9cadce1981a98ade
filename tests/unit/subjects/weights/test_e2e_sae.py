from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from harness.errors import FeatureSourceError
from harness.subjects.configs import SaeConfig
from harness.subjects.model import SubjectModel
from harness.subjects.sae import build
from harness.subjects.weights import read_header
from harness.subjects.weights.load import load_dictionary

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDERS = Path(__file__).parents[3] / "fixtures" / "feature_sources"
D, N = 4, 6
X = torch.randn(5, D, generator=torch.Generator().manual_seed(5)) * 3 + 2
STREAM, INSIDE = "blocks.6.hook_resid_pre", "blocks.6.mlp.hook_post"
CONFIG = "tlens_model_name: gpt2-small\nsaes:\n  sae_positions:\n    - {position}\n  dict_size_to_input_ratio: 60.0\n"


def weights(
    first: str = "encoder.0", prefix: str = "", changes: dict[str, torch.Tensor] | None = None
) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    made = {
        f"{first}.weight": torch.randn(N, D, generator=generator),
        f"{first}.bias": torch.randn(N, generator=generator),
        "decoder.weight": torch.randn(D, N, generator=generator),
        "decoder.bias": torch.randn(D, generator=generator),
    }
    return {prefix + name: tensor for name, tensor in {**made, **(changes or {})}.items()}


def checkpoint(folder: Path, position: str = STREAM, changes: dict[str, torch.Tensor] | None = None) -> Path:
    """Write a run's checkpoint: the state dict of a module dictionary keyed by position."""
    file = folder / "samples_400000.pt"
    torch.save(weights(prefix=f"{position.replace('.', '-')}.", changes=changes), file)
    return file


def published(folder: Path, position: str = STREAM) -> Path:
    """Write a published file: names of its own, the decoder normalised, the run's configuration beside it."""
    tensors = weights("encoder")
    tensors["decoder.weight"] = torch.nn.functional.normalize(tensors["decoder.weight"], dim=0)
    file = folder / "e2e_similar_ce_layer_6.pt"
    torch.save(tensors, file)
    file.with_suffix(".yaml").write_text(CONFIG.format(position=position))
    return file


@pytest.mark.parametrize("make", [checkpoint, published])
@pytest.mark.parametrize("position", [STREAM, INSIDE])
def test_it_encodes_and_decodes_by_its_definition(tmp_path: Path, make: Any, position: str) -> None:
    header = read_header(make(tmp_path, position))
    assert (header.format, header.hook_in, header.transcoder) == ("e2e_sae", position, False)
    dictionary = load_dictionary(header)
    t = {name: tensor.double().numpy() for name, tensor in weights().items()}
    # TransformerLens' residual stream is the published model's without its mean; inside a block nothing is taken off.
    assert header.centred == (position == STREAM)
    x = X.double().numpy()
    values = np.maximum(x @ t["encoder.0.weight"].T + t["encoder.0.bias"], 0)
    encoded = dictionary.encode(X)
    np.testing.assert_allclose(encoded.numpy(), values, atol=1e-5)
    columns = t["decoder.weight"] / np.linalg.norm(t["decoder.weight"], axis=0)
    decoded = values @ columns.T + t["decoder.bias"]
    np.testing.assert_allclose(dictionary.decode(encoded, X).numpy(), decoded, atol=1e-5)


def centre_what_is_written(model: Any) -> None:
    """Take the mean over the width off all that a GPT-2 writes to its residual stream, as TransformerLens does."""
    stream = model.transformer
    writers = [stream.wte.weight, stream.wpe.weight]
    for block in stream.h:
        writers += [part.c_proj.weight for part in (block.attn, block.mlp)]
        writers += [part.c_proj.bias for part in (block.attn, block.mlp)]
    for tensor in writers:
        tensor.data -= tensor.data.mean(dim=-1, keepdim=True)


def test_on_the_published_models_hidden_states_it_gives_what_it_gave_in_training(
    tmp_path: Path, make_model: Callable[[str], Any], subject: SubjectModel, tokens: torch.Tensor
) -> None:
    width = 16
    generator = torch.Generator().manual_seed(3)
    tensors = {
        "encoder.0.weight": torch.randn(N, width, generator=generator),
        "encoder.0.bias": torch.randn(N, generator=generator),
        "decoder.weight": torch.randn(width, N, generator=generator),
        "decoder.bias": torch.randn(width, generator=generator),
    }
    file = tmp_path / "samples_400000.pt"
    torch.save({f"blocks-1-hook_resid_pre.{name}": tensor for name, tensor in tensors.items()}, file)
    model, trained_on = make_model("gpt2"), make_model("gpt2")
    centre_what_is_written(trained_on)
    here, there = (each(tokens, output_hidden_states=True).hidden_states[1] for each in (model, trained_on))
    # They are different hidden states, and the same values.
    assert (here - there).abs().max() > 0.1
    values = torch.relu(there @ tensors["encoder.0.weight"].T + tensors["encoder.0.bias"])
    published_model = SubjectModel(model, subject.tokenizer, {})
    source = build(SaeConfig(source=str(file)), published_model)
    hidden = published_model.hidden_states(tokens, None, [source.hookpoint])[source.hookpoint]
    torch.testing.assert_close(source.encode(hidden), values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["checkpoint", "published"])
def test_it_equals_the_librarys_own_class(name: str) -> None:
    folder = FOLDERS / f"e2e_sae_{name}"
    golden = load_file(folder / "golden.safetensors")
    header = read_header(folder)
    assert header.hook_in == "blocks.1.hook_resid_pre"
    dictionary = load_dictionary(header)
    encoded = dictionary.encode(golden["x"])
    torch.testing.assert_close(encoded, golden["z"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(dictionary.decode(encoded, golden["x"]), golden["y"], atol=1e-5, rtol=1e-5)


def test_what_is_taken_off_the_input_is_part_of_the_identity(tmp_path: Path) -> None:
    stream = read_header(published(tmp_path))
    inside = read_header(published(tmp_path, INSIDE))
    assert stream.identity() == {**inside.identity(), "centred": True}


def test_the_folder_of_one_file_will_do(tmp_path: Path) -> None:
    published(tmp_path)
    assert read_header(tmp_path).hook_in == STREAM
    checkpoint(tmp_path)
    with pytest.raises(FeatureSourceError, match=r"2 feature sources.*e2e_similar_ce_layer_6\.pt, samples_400000\.pt"):
        read_header(tmp_path)


def test_a_single_saes_state_takes_its_position_from_the_runs_configuration(tmp_path: Path) -> None:
    file = tmp_path / "sae.pt"
    torch.save(weights(), file)
    assert read_header(file).hook_in is None
    config = tmp_path / "final_config.yaml"
    config.write_text(CONFIG.format(position=f"{STREAM}\n    - {INSIDE}"))
    assert read_header(file).hook_in is None
    config.write_text(CONFIG.format(position=STREAM))
    assert read_header(file).hook_in == STREAM
    config.write_text(f"saes:\n  sae_positions: {INSIDE}\n")
    assert read_header(file).hook_in == INSIDE


def test_several_saes_in_one_file_are_refused(tmp_path: Path) -> None:
    file = checkpoint(tmp_path)
    torch.save({**weights(prefix="blocks-2-hook_resid_pre."), **weights(prefix="blocks-6-hook_resid_pre.")}, file)
    with pytest.raises(FeatureSourceError, match=r"2 SAEs \(blocks-2-hook_resid_pre, blocks-6-hook_resid_pre\)"):
        read_header(file)


@pytest.mark.parametrize("config", [None, "other: 1\n", "- 1\n", "a: [\n"])
def test_four_common_names_alone_are_not_taken_for_it(tmp_path: Path, config: str | None) -> None:
    file = published(tmp_path)
    file.with_suffix(".yaml").unlink()
    if config is not None:
        file.with_suffix(".yaml").write_text(config)
    with pytest.raises(FeatureSourceError, match="no known format"):
        read_header(file)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("encoder.0.bias", torch.zeros(N + 1), r"b_enc has shape \(7,\)"),
        ("encoder.0.weight", torch.zeros(N), r"encoder\.0\.weight has shape \(6,\), expected a matrix"),
        ("decoder.weight", torch.zeros(D, N + 1), r"w_dec has shape \(7, 4\)"),
        ("decoder.bias", torch.full((D,), torch.nan), "b_dec holds NaN"),
    ],
)
def test_malformed_weights_are_refused(tmp_path: Path, name: str, tensor: torch.Tensor, message: str) -> None:
    with pytest.raises(FeatureSourceError, match=rf"samples_400000\.pt: .*{message}"):
        load_dictionary(read_header(checkpoint(tmp_path, changes={name: tensor})))


def test_missing_torn_and_pickled(tmp_path: Path) -> None:
    file = checkpoint(tmp_path)
    tensors = torch.load(file, weights_only=True)
    tensors.pop("blocks-6-hook_resid_pre.decoder.bias")
    torch.save(tensors, file)
    with pytest.raises(FeatureSourceError, match=r"lacks blocks-6-hook_resid_pre\.decoder\.bias"):
        load_dictionary(read_header(file))
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(FeatureSourceError, match="not readable as a PyTorch file"):
        read_header(file)
    torch.save({**tensors, "path": Path("x")}, file)
    with pytest.raises(FeatureSourceError, match="holds more than tensors"):
        read_header(file)
