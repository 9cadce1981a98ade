from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.activations.located import Locator
from harness.activations.protocol import FeatureActivations
from harness.examples.windows import FeatureWindows, peak_windows, tile_grid, tile_windows

relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
contexts = st.lists(st.integers(1, 30), min_size=1, max_size=6)
# Halves and quarters, so that there are many ties and all are exact in float32.
fires = st.dictionaries(st.integers(0, 179), st.integers(-4, 12).map(lambda n: n / 4).filter(bool), max_size=80)


def activations_of(fired: dict[int, float], n_tokens: int) -> FeatureActivations:
    items = sorted((position, value) for position, value in fired.items() if position < n_tokens)
    return FeatureActivations(
        np.array([position for position, _ in items], dtype=np.int64),
        np.array([value for _, value in items], dtype=np.float32),
    )


def test_grid_has_full_windows_only(written_tokens: Any) -> None:
    grid = tile_grid(written_tokens([(0, 7), (0, 3), (1, 2), (2, 9)]), 3)
    assert grid.starts.tolist() == [0, 3, 7, 12, 15, 18]
    assert grid.documents.tolist() == [0, 0, 0, 2, 2, 2]
    assert grid.first.tolist() == [0, 2, 3, 3, 6]
    assert grid.leftover_tokens == 3
    assert tile_grid(written_tokens([(0, 7)]), 8).starts.size == 0


def test_tile_by_hand(written_tokens: Any) -> None:
    tokens = written_tokens([(0, 7), (1, 6)])
    fired = activations_of({1: 0.5, 2: 1.5, 4: -1.0, 6: 9.0, 8: 2.0}, 13)
    windows = tile_windows(tile_grid(tokens, 3), Locator(tokens).of(fired))
    assert windows.starts.tolist() == [0, 7]
    assert windows.strengths.tolist() == [1.5, 2.0]
    assert windows.documents.tolist() == [0, 1]
    assert windows.touched.tolist() == [0, 1, 2]  # the second holds a negative value
    # Neither the leftover token at 6 nor the negative value is in an activating window.
    assert list(zip(windows.low.tolist(), windows.high.tolist(), strict=True)) == [(0, 2), (4, 5)]


@relaxed
@given(lengths=contexts, width=st.integers(1, 12), fired=fires)
def test_tile_agrees_with_a_plain_loop(written_tokens: Any, lengths: list[int], width: int, fired: Any) -> None:
    tokens = written_tokens(list(enumerate(lengths)))
    grid = tile_grid(tokens, width)
    active = activations_of(fired, sum(lengths))
    windows = tile_windows(grid, Locator(tokens).of(active))
    values = dict(zip(active.positions.tolist(), active.values.tolist(), strict=True))
    expected, silent = [], []
    for document, start in enumerate(tokens.context_starts[:-1].tolist()):
        for first in range(start, start + lengths[document] - width + 1, width):
            found = [values[at] for at in range(first, first + width) if at in values]
            silent.append(not found)
            if found and max(found) > 0:
                expected.append((first, document, max(found)))
    assert rows(windows) == expected
    assert windows.touched.tolist() == np.flatnonzero(~np.array(silent, dtype=bool)).tolist()
    check_ranges(windows, active, width)


@relaxed
@given(lengths=contexts, width=st.integers(1, 12), fired=fires, offset=st.integers(0, 11))
def test_peak_agrees_with_the_greedy_loop(
    written_tokens: Any, lengths: list[int], width: int, fired: Any, offset: int
) -> None:
    offset = min(offset, width - 1)
    tokens = written_tokens(list(enumerate(lengths)))
    grid = tile_grid(tokens, width)
    active = activations_of(fired, sum(lengths))
    windows = peak_windows(grid, tokens, Locator(tokens).of(active), offset)
    values = dict(zip(active.positions.tolist(), active.values.tolist(), strict=True))
    wished = []
    for position, value in values.items():
        context = int(np.searchsorted(tokens.context_starts, position, side="right")) - 1
        start, end = tokens.context_starts[context : context + 2].tolist()
        if value > 0 and end - start >= width:
            wished.append((-value, min(max(position - offset, start), end - width), context))
    kept: list[tuple[int, int]] = []
    for _, start, context in sorted(wished):
        if all(abs(start - other) >= width for other, _ in kept):
            kept.append((start, context))
    expected = [
        (start, context, max(values.get(at, -9.0) for at in range(start, start + width)))
        for start, context in sorted(kept)
    ]
    assert rows(windows) == expected
    covered = {at for start, _, _ in expected for at in range(start, start + width)}
    silent = [
        not any(at in values or at in covered for at in range(start, start + width)) for start in grid.starts.tolist()
    ]
    assert windows.touched.tolist() == np.flatnonzero(~np.array(silent, dtype=bool)).tolist()
    check_ranges(windows, active, width)


def test_peak_lies_at_its_offset_where_the_context_allows(written_tokens: Any) -> None:
    tokens = written_tokens([(0, 40)])
    fired = Locator(tokens).of(activations_of({2: 1.0, 20: 1.0, 39: 1.0}, 40))
    found = peak_windows(tile_grid(tokens, 8), tokens, fired, 6)
    assert found.starts.tolist() == [0, 14, 32]


def rows(windows: FeatureWindows) -> list[tuple[int, int, float]]:
    columns = (windows.starts.tolist(), windows.documents.tolist(), windows.strengths.tolist())
    return list(zip(*columns, strict=True))


def check_ranges(windows: FeatureWindows, active: FeatureActivations, width: int) -> None:
    ranges = zip(windows.starts.tolist(), windows.low.tolist(), windows.high.tolist(), strict=True)
    for start, low, high in ranges:
        inside = (active.positions >= start) & (active.positions < start + width)
        assert np.flatnonzero(inside).tolist() == list(range(low, high))
