"""All readers on damaged files: a line that says what is wrong, or finite weights, and nothing else ever."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import sys
import time
import types
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file

from harness.errors import HarnessError
from harness.subjects.weights import read_header
from harness.subjects.weights.formats import READERS
from harness.subjects.weights.load import load_dictionary
from tests.support.mutate import mutations_of

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDERS = Path(__file__).parents[3] / "fixtures" / "feature_sources"
# Cases of each source; a longer search sets HARNESS_FUZZ_CASES and HARNESS_FUZZ_SEED.
CASES = int(os.environ.get("HARNESS_FUZZ_CASES", "24"))
SEED = int(os.environ.get("HARNESS_FUZZ_SEED", "0"))
LONGEST_S = 5.0
MOST_MIB = 300
LONGEST_MESSAGE = 3000

D, N = 6, 12


def golden_sources() -> dict[str, Path]:
    """Return the folders of sources that libraries wrote, by name."""
    return {str(file.parent.relative_to(FOLDERS)): file.parent for file in sorted(FOLDERS.rglob("golden.safetensors"))}


def openai(folder: Path, *, activation: str, zipped: bool) -> None:
    state = {
        "pre_bias": torch.randn(D),
        "encoder.weight": torch.randn(N, D),
        "latent_bias": torch.randn(N),
        "decoder.weight": torch.randn(D, N),
        "activation": activation,
        "activation_state_dict": {"k": 3, "postact_fn": "ReLU"},
    }
    torch.save(state, folder / "3.pt", _use_new_zipfile_serialization=zipped)


def transcoder_tensors() -> dict[str, torch.Tensor]:
    shapes = {"W_enc": (D, N), "b_enc": (N,), "W_dec": (N, D), "b_dec": (D,), "b_dec_out": (D,)}
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def converted_transcoder(folder: Path) -> None:
    hooks = {"hook_point": "blocks.1.ln2.hook_normalized", "out_hook_point": "blocks.1.hook_mlp_out"}
    (folder / "cfg.json").write_text(json.dumps({"is_transcoder": True, "d_in": D, "d_sae": N, **hooks}))
    save_file(transcoder_tensors(), folder / "transcoder.safetensors")


def published_transcoder(folder: Path) -> None:
    """Write a file as published: with the pickled object of a training run's configuration."""
    config_class = type("Config", (), {"__module__": "sae_training.config"})
    module: Any = types.ModuleType("sae_training.config")
    module.Config = config_class
    config: Any = config_class()
    config.__dict__ |= {"d_in": D, "d_sae": N, "hook_point": "blocks.1.ln2.hook_normalized", "is_transcoder": True}
    sys.modules |= {"sae_training": types.ModuleType("sae_training"), "sae_training.config": module}
    try:
        torch.save({"cfg": config, "state_dict": transcoder_tensors()}, folder / "published.pt")
    finally:
        del sys.modules["sae_training.config"], sys.modules["sae_training"]


MADE = {
    "openai topk": lambda folder: openai(folder, activation="TopK", zipped=True),
    "openai relu, old layout": lambda folder: openai(folder, activation="ReLU", zipped=False),
    "transcoder_circuits converted": converted_transcoder,
    "transcoder_circuits published": published_transcoder,
}


def files_of(name: str, tmp_path: Path) -> dict[str, bytes]:
    """Return the files of a source, by their paths in its folder."""
    if name in MADE:
        folder = tmp_path / "made"
        folder.mkdir()
        MADE[name](folder)
    else:
        folder = golden_sources()[name]
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "golden.safetensors")
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def load(folder: Path) -> str:
    """Load whatever is in a folder, and return how it ended: ``loaded``, or the message."""
    try:
        header = read_header(folder)
        dictionary = load_dictionary(header)
    except HarnessError as error:
        message = str(error)
        assert len(message) < LONGEST_MESSAGE, f"{len(message)} characters: {message[:500]}"
        controls = [character for character in message if unicodedata.category(character) in {"Cc", "Zl", "Zp"}]
        assert not controls, repr(message)
        return message
    json.dumps(header.identity(), allow_nan=False)
    for value in vars(dictionary).values():
        # A threshold of a latent that never fires is infinite.
        assert not isinstance(value, torch.Tensor) or value is dictionary.threshold or bool(value.isfinite().all())
        assert not isinstance(value, torch.Tensor) or not value.requires_grad
    hidden = torch.randn(3, dictionary.d_in)
    values = dictionary.encode(hidden)
    assert values.shape == (3, dictionary.n_features)
    dictionary.encode_features(hidden, [0, dictionary.n_features - 1])
    if dictionary.d_out:
        assert dictionary.decode(values, hidden).shape == (3, dictionary.d_out)
    return "loaded"


@pytest.mark.parametrize("name", [*golden_sources(), *MADE])
def test_damaged_files_end_in_a_line_or_in_finite_weights(name: str, tmp_path: Path) -> None:
    files = files_of(name, tmp_path)
    # Formats read facts in the names of folders.
    folder = tmp_path / "case" / name
    write(folder, files)
    assert load(folder) == "loaded"
    for case in range(CASES):
        draw = random.Random(f"{SEED} {name} {case}")  # noqa: S311  -- no secret
        torch.manual_seed(case)
        struck = draw.choice(list(files))
        changed = dict(files)
        mutation = draw.choice(mutations_of(struck))
        changed[struck] = mutation(files[struck], draw)
        if draw.random() < 0.05:
            other = draw.choice(list(files))
            changed[struck], changed[other] = changed[other], changed[struck]
        write(folder, changed)
        began, before = time.perf_counter(), peak_mib()
        note = f"case {case} of seed {SEED}: {mutation.__name__} of {struck}"
        try:
            load(folder)
        except BaseException as error:
            error.add_note(note)
            raise
        assert time.perf_counter() - began < LONGEST_S, note
        assert peak_mib() - before < MOST_MIB, note


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_every_reader_is_among_them(tmp_path: Path) -> None:
    formats = set()
    for number, name in enumerate([*golden_sources(), *MADE]):
        (tmp_path / str(number)).mkdir()
        folder = tmp_path / str(number) / "case" / name
        write(folder, files_of(name, tmp_path / str(number)))
        formats.add(read_header(folder).format)
    assert formats == {reader.name for reader in READERS}
