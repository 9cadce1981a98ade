"""What one pass keeps of features that fire too often, against the plain definition over the whole corpus."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.activations import context_sample, writer
from harness.activations.context_sample import LEVELS, SampleState, context_levels, unpack_contexts
from harness.activations.cooccurrence import cooccurring
from harness.activations.store import ActivationStore
from harness.activations.writer import ActivationWriter

WIDTH, N_CONTEXTS, MOST, STRONGEST = 10, 60, 40, 3
STARTS = np.arange(N_CONTEXTS + 1) * WIDTH
N_TOKENS = int(STARTS[-1])
DENSITIES = (0.9, 0.5, 0.02, 0.0, 0.2)


def activations(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Values [features, tokens] (0 where silent); half of one feature's are negative."""
    draws = np.random.default_rng(seed)
    values = (draws.gamma(1.0, size=(len(DENSITIES), N_TOKENS)) + 0.25).astype(np.float16).astype(np.float32)
    values[draws.random(values.shape) > np.array(DENSITIES)[:, None]] = 0
    values[1, ::2] *= -1
    return values, draws.permutation(N_CONTEXTS)


def kept_by_definition(values: np.ndarray) -> tuple[np.ndarray, int | None, set[int]]:
    """What is kept of one feature: which tokens, the level, the strongest contexts."""
    context = np.arange(N_TOKENS) // WIDTH
    if np.count_nonzero(values) <= MOST:
        return values != 0, None, set()
    levels = context_levels(STARTS[:-1])
    per_context = np.count_nonzero(values.reshape(-1, WIDTH), axis=1)
    level = next(at for at in range(LEVELS) if per_context[levels >= at].sum() <= MOST or at == LEVELS - 1)
    peaks = values.reshape(-1, WIDTH).max(axis=1)
    order = sorted(range(N_CONTEXTS), key=lambda number: (-peaks[number], number))
    strongest = {number for number in order[:STRONGEST] if peaks[number] > 0}
    return (values != 0) & ((levels >= level)[context] | np.isin(context, sorted(strongest))), level, strongest


def write(folder: Path, values: np.ndarray, contexts: np.ndarray, per_add: int, run_entries: int) -> ActivationStore:
    folder.mkdir()
    made = ActivationWriter(
        folder, len(values), N_TOKENS, "s", run_entries, context_starts=STARTS, most_kept=MOST, strongest=STRONGEST
    )
    for first in range(0, N_CONTEXTS, per_add):
        tokens = (contexts[first : first + per_add, None] * WIDTH + np.arange(WIDTH)).ravel()
        features, at = np.nonzero(values[:, tokens])
        made.add(tokens[at], features, values[features, tokens[at]], {})
    made.finish({"fingerprint": folder.name, "identity": {}})
    return ActivationStore(folder, context_starts=STARTS)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    per_add=st.integers(1, N_CONTEXTS),
    run_entries=st.integers(1, 400),
    at_once=st.tuples(st.integers(1, 400), st.integers(1, 400)),
)
def test_a_store_keeps_what_the_definition_says_in_any_order(
    seed: int, per_add: int, run_entries: int, at_once: tuple[int, int]
) -> None:
    values, contexts = activations(seed)
    with tempfile.TemporaryDirectory() as parent, pytest.MonkeyPatch.context() as patch:
        patch.setattr(context_sample, "_COUNTED_AT_ONCE", at_once[0])
        patch.setattr(writer, "MERGED_AT_ONCE", at_once[1])
        store = write(Path(parent) / "s", values, contexts, per_add, run_entries)
        n_kept = 0
        for feature, mine in enumerate(values):
            kept, level, strongest = kept_by_definition(mine)
            found = store.feature(feature)
            assert found.positions.tolist() == np.flatnonzero(kept).tolist()
            assert found.values.tolist() == mine[kept].tolist()
            n_kept += int(kept.sum())
            if level is None:
                assert found.sample is None
                continue
            assert found.sample is not None
            assert found.sample.uniform.tolist() == np.flatnonzero(context_levels(STARTS[:-1]) >= level).tolist()
            assert set(found.sample.strongest.tolist()) == strongest
            assert found.sample.rate == 2.0**-level
            assert found.sample.n_active == np.count_nonzero(mine)
            assert found.sample.max == mine.max()
        everywhere = np.flatnonzero(np.asarray(store.kept_of_all()))
        for mine, feature in zip(values, range(len(values)), strict=True):
            positions = store.feature(feature).positions
            assert positions[np.isin(positions, everywhere)].tolist() == everywhere[mine[everywhere] != 0].tolist()
        assert store.counts().tolist() == np.count_nonzero(values, axis=1).tolist()
        assert store.dropped == {"outside_context_sample": np.count_nonzero(values) - n_kept}


def test_levels_halve_and_do_not_depend_on_the_corpus() -> None:
    levels = context_levels(np.arange(0, 1 << 20, 7))
    shares = [float(np.mean(levels >= level)) for level in range(6)]
    assert shares == pytest.approx([2.0**-level for level in range(6)], abs=0.005)
    assert np.array_equal(context_levels(np.array([0, 256, 9999])), context_levels(np.array([9999, 0, 256]))[[1, 2, 0]])


def test_levels_do_not_rise_after_they_were_settled() -> None:
    values, _ = activations(1)
    state = SampleState.fresh(len(values), STARTS, MOST, STRONGEST)
    half = N_TOKENS // 2

    def see(first: int, last: int) -> None:
        features, at = np.nonzero(values[:, first:last])
        state.see(features, at + first, values[features, at + first], lambda _: ())

    see(0, half)
    level, before = state.level.copy(), state.strongest.copy()
    state.settle()
    see(half, N_TOKENS)
    assert np.array_equal(state.level, level)
    assert np.array_equal(state.settled, before)
    assert state.n_active.tolist() == np.count_nonzero(values, axis=1).tolist()
    peaks = values[0].reshape(-1, WIDTH).max(axis=1)
    assert set(unpack_contexts(state.strongest[0])) == set(np.argsort(-peaks, kind="stable")[:STRONGEST].tolist())


def test_shared_tokens_are_counted_where_all_features_are_kept(tmp_path: Path) -> None:
    values, contexts = activations(5)
    store = write(tmp_path / "s", values, contexts, 7, 100)
    within = store.kept_of_all()
    assert within is not None
    fires = values[:, within] != 0
    found = cooccurring(store, [0, 2], 4, within)
    for feature, near in zip((0, 2), found, strict=True):
        both = (fires & fires[feature]).sum(axis=1)
        index = both / np.maximum((fires | fires[feature]).sum(axis=1), 1)
        index[feature] = 0
        assert {one.feature: one.similarity for one in near} == {
            other: pytest.approx(share) for other, share in enumerate(index.tolist()) if share > 0
        }
