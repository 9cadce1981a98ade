from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.activations.store import ActivationStore
from harness.activations.writer import ActivationWriter
from harness.errors import FeatureSourceError, MaterialError

N_FEATURES, N_TOKENS = 7, 40


def write(folder: Path, chunks: list[dict[tuple[int, int], float]], run_entries: int = 5) -> ActivationStore:
    writer = ActivationWriter(folder, N_FEATURES, N_TOKENS, "s", run_entries)
    for chunk in chunks:
        features = np.array([feature for feature, _ in chunk], dtype=np.int64)
        positions = np.array([position for _, position in chunk], dtype=np.int64)
        writer.add(positions, features, np.array(list(chunk.values()), dtype=np.float32), {"below_threshold": 2})
    writer.finish({"fingerprint": folder.name, "identity": {}})
    return ActivationStore(folder)


values = st.floats(-60_000, 60_000, width=16).filter(lambda value: value != 0)
entries = st.dictionaries(st.tuples(st.integers(0, N_FEATURES - 1), st.integers(0, N_TOKENS - 1)), values, max_size=60)


@settings(deadline=None, max_examples=40)
@given(entries=entries, chunk=st.integers(1, 30), run_entries=st.integers(1, 30))
def test_store_gives_back_what_was_added_sorted(entries: dict[Any, float], chunk: int, run_entries: int) -> None:
    items = list(entries.items())
    chunks = [dict(items[at : at + chunk]) for at in range(0, len(items), chunk)]
    with tempfile.TemporaryDirectory() as folder:
        store = write(Path(folder), chunks, run_entries)
        for feature in range(N_FEATURES):
            expected = sorted((position, value) for (f, position), value in items if f == feature)
            found = store.feature(feature)
            assert found.positions.dtype == np.int64
            assert found.values.dtype == np.float32
            assert list(zip(found.positions.tolist(), found.values.tolist(), strict=True)) == expected
            assert store.counts()[feature] == len(expected)
        assert store.n_activations == len(items)
        assert store.dropped == ({"below_threshold": 2 * len(chunks)} if chunks else {})
        assert sorted(path.name for path in Path(folder).iterdir()) == [
            "checksums.npy",
            "indptr.npy",
            "last_used",
            "meta.json",
            "offsets.npy",
            "positions.npy",
            "sampled.npz",
            "spans.jsonl",
            "values.npy",
        ]


def test_zero_is_no_activation(tmp_path: Path) -> None:
    assert write(tmp_path, [{(0, 1): 0.0, (0, 2): 1.0}]).feature(0).positions.tolist() == [2]


def test_float16_error_is_measured(tmp_path: Path) -> None:
    stored = write(tmp_path, [{(0, 1): 1.0 + 2**-12}]).values_stored
    assert stored["type"] == "float16"
    assert stored["max_relative_error"] == pytest.approx(2**-12, rel=1e-3)


@pytest.mark.parametrize("value", [70_000.0, 1e-9])
def test_values_out_of_the_range_of_float16_are_kept_in_float32(tmp_path: Path, value: float) -> None:
    store = write(tmp_path, [{(0, 1): value, (1, 1): 1.5}])
    assert store.values_stored["type"] == "float32"
    assert "float16" in store.values_stored["reason"]
    assert store.feature(0).values[0] == np.float32(value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_value_that_is_not_finite_is_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(FeatureSourceError, match=r"s: feature 3 has the value (nan|inf) at corpus token 9"):
        write(tmp_path, [{(0, 1): 1.0, (3, 9): value}])


def test_contradictory_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeatureSourceError, match="feature 2 was given two values at corpus token 5"):
        write(tmp_path, [{(2, 5): 1.0}, {(2, 5): 2.0}])
    with pytest.raises(FeatureSourceError, match="gave feature 7 but says it has 7"):
        write(tmp_path, [{(7, 5): 1.0}])


@pytest.mark.parametrize("feature", [-1, 7])
def test_feature_out_of_range(tmp_path: Path, feature: int) -> None:
    with pytest.raises(FeatureSourceError, match=f"no feature {feature}; the valid ones are 0 to 6"):
        write(tmp_path, [{(0, 1): 1.0}]).feature(feature)


def test_damaged_store_says_what_differs(tmp_path: Path) -> None:
    write(tmp_path, [{(0, 1): 1.0, (2, 3): 2.0}])
    path = tmp_path / "values.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"\x00")
    with pytest.raises(MaterialError, match=r"contents of values\.npy"):
        ActivationStore(tmp_path)
    path.write_bytes(whole[:-1])
    with pytest.raises(MaterialError, match=r"values\.npy has 131 bytes where 132 were written"):
        ActivationStore(tmp_path)
    path.write_bytes(whole)
    meta = tmp_path / "meta.json"
    meta.write_text(meta.read_text().replace('"n_features": 7', '"n_features": 8'))
    with pytest.raises(MaterialError, match=r"indptr is of 7 features, meta\.json of 8"):
        ActivationStore(tmp_path)
