from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.activations import collect
from harness.activations.collect import StoreRequest, open_stores
from harness.activations.spans import plan_batches
from harness.errors import CorpusError, FeatureSourceError, SubjectError
from harness.subjects.protocol import Hookpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.activations.tokens import TokenStore
    from harness.subjects.model import SubjectModel

DOCUMENTS = ["the cat sat on the mat and the dog sat on the log " * 2, "one two three", "the log", "a mat " * 12]


def request(name: str, model: SubjectModel, source: Any) -> StoreRequest:
    return StoreRequest(name, {"model": model.identity, "source": source.identity}, lambda: (model, source))


@given(lengths=st.lists(st.integers(1, 50), min_size=1), budget=st.integers(1, 200), extra=st.integers(0, 1))
def test_batches_hold_every_context_once_within_the_budget(lengths: list[int], budget: int, extra: int) -> None:
    batches = plan_batches(np.array(lengths), budget, extra)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[row] for row in batch) + extra
        assert batch.size == 1 or batch.size * longest <= budget


@pytest.mark.parametrize("bos", ["prepend", "none"])
def test_store_equals_one_plain_forward_pass_per_context(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path, bos: str
) -> None:
    tokens = open_listed(DOCUMENTS, bos=bos)
    source = random_source()
    store = open_stores([request("s", tiny_model, source)], tokens, tmp_path / "c", 40)["s"]
    expected: dict[tuple[int, int], float] = {}
    dropped = 0
    for start, end in zip(tokens.context_starts[:-1], tokens.context_starts[1:], strict=True):
        ids = tokens.tokens[start:end].astype(np.int64).tolist()
        lead = [tokens.bos_token_id] if tokens.bos_token_id is not None else []
        with torch.no_grad():
            states = tiny_model.model(torch.tensor([lead + ids]), output_hidden_states=True).hidden_states[2][0]
        values = source.encode(states[len(lead) :])
        dropped += int(((values > 0) & (values <= 0.5)).sum())
        for row, feature in (values > 0.5).nonzero().tolist():
            expected[feature, int(start) + row] = float(values[row, feature])
    found = {
        (feature, position): value
        for feature in range(store.n_features)
        for position, value in zip(
            store.feature(feature).positions.tolist(), store.feature(feature).values.tolist(), strict=True
        )
    }
    assert len(found) > 50
    assert found.keys() == expected.keys()
    assert all(found[key] == pytest.approx(expected[key], rel=2e-3) for key in found)
    assert store.dropped == {"below_threshold": dropped}
    assert store.n_tokens == tokens.n_tokens


def test_one_forward_pass_for_all_sources_of_a_model_and_none_when_stored(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path
) -> None:
    tokens = open_listed(DOCUMENTS)
    passes: list[list[Hookpoint]] = []

    @dataclasses.dataclass(frozen=True, eq=False)
    class Counted(type(tiny_model)):  # type: ignore[misc]
        def hidden_states(self, ids: torch.Tensor, mask: torch.Tensor, hookpoints: list[Hookpoint]) -> Any:
            passes.append(hookpoints)
            return super().hidden_states(ids, mask, hookpoints)

    model = Counted(tiny_model.model, tiny_model.tokenizer, tiny_model.identity)
    other = random_source(n_features=5, hookpoint=Hookpoint("model.layers.0.mlp", "input"))
    requests = [
        request("a", model, random_source()),
        request("b", model, other),
        request("again", model, random_source()),
    ]
    stores = open_stores(requests, tokens, tmp_path / "c", 10_000)
    assert passes == [[random_source().hookpoint, other.hookpoint]]
    assert stores["a"].fingerprint == stores["again"].fingerprint != stores["b"].fingerprint
    assert stores["b"].n_features == 5

    def never() -> Any:
        raise AssertionError

    stored = [dataclasses.replace(one, load=never) for one in requests]
    reused = open_stores(stored, tokens, tmp_path / "c", 50)
    assert reused["a"].fingerprint == stores["a"].fingerprint
    assert len(passes) == 1


def test_batch_size_changes_nothing_that_matters(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path
) -> None:
    tokens = open_listed(DOCUMENTS)
    one, two = (
        open_stores([request("s", tiny_model, random_source())], tokens, tmp_path / str(size), size)["s"]
        for size in (1, 10_000)
    )
    assert one.fingerprint == two.fingerprint
    for feature in range(one.n_features):
        assert np.array_equal(one.feature(feature).positions, two.feature(feature).positions)
        np.testing.assert_allclose(one.feature(feature).values, two.feature(feature).values, rtol=2e-3)


def test_wide_dictionaries_are_encoded_in_parts(
    open_listed: Callable[..., TokenStore],
    tiny_model: SubjectModel,
    random_source: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens = open_listed(DOCUMENTS)
    whole = open_stores([request("s", tiny_model, random_source())], tokens, tmp_path / "1", 10_000)["s"]
    monkeypatch.setattr(collect, "_ENCODED_AT_ONCE", 12 * 7)
    source = random_source()
    parts = open_stores([request("s", tiny_model, source)], tokens, tmp_path / "2", 10_000)["s"]
    assert source.calls > tokens.n_tokens // 7
    assert all(np.array_equal(whole.feature(f).positions, parts.feature(f).positions) for f in range(12))


@pytest.mark.parametrize(
    ("ends", "rows", "parts"),
    [
        ([10, 20, 25], 100, [(0, 25, False)]),
        ([10, 20, 25], 21, [(0, 20, False), (20, 25, False)]),
        ([10, 20], 7, [(0, 7, True), (7, 10, False), (10, 17, True), (17, 20, False)]),
        ([3, 13], 4, [(0, 3, False), (3, 7, True), (7, 11, True), (11, 13, False)]),
    ],
)
def test_parts_end_with_contexts_where_one_fits(ends: list[int], rows: int, parts: list[tuple[int, int, bool]]) -> None:
    assert list(collect._parts(np.array(ends), rows)) == parts


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_source_that_gives_no_number_is_refused_and_leaves_nothing(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path, poison: float
) -> None:
    requests = [request("s", tiny_model, random_source(poison=poison))]
    with pytest.raises(FeatureSourceError, match=r"s: feature .* has the value"):
        open_stores(requests, open_listed(DOCUMENTS), tmp_path / "c", 50)
    assert list((tmp_path / "c" / "activations").iterdir()) == []


def test_source_of_another_width_is_refused(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path
) -> None:
    with pytest.raises(FeatureSourceError, match=r"reads hidden states of width 8, and .* has 16"):
        open_stores([request("s", tiny_model, random_source(d_in=8))], open_listed(DOCUMENTS), tmp_path / "c", 50)


def test_hidden_states_that_are_not_finite_are_refused(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path
) -> None:
    @dataclasses.dataclass(frozen=True, eq=False)
    class Overflowing(type(tiny_model)):  # type: ignore[misc]
        def hidden_states(self, *args: Any) -> Any:
            return {at: states / 0 for at, states in super().hidden_states(*args).items()}

    model = Overflowing(tiny_model.model, tiny_model.tokenizer, tiny_model.identity)
    with pytest.raises(SubjectError, match=r"model\.layers\.1\.output: .* not finite"):
        open_stores([request("s", model, random_source())], open_listed(DOCUMENTS), tmp_path / "c", 50)


def test_contexts_longer_than_the_model_reads_are_refused(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path
) -> None:
    tokens = open_listed(DOCUMENTS, context_length=32)
    with pytest.raises(CorpusError, match="33 tokens long with BOS, and the subject model reads 32"):
        open_stores([request("s", tiny_model, random_source())], tokens, tmp_path / "c", 50)


def test_progress_counts_every_token_once(
    open_listed: Callable[..., TokenStore], tiny_model: SubjectModel, random_source: Any, tmp_path: Path
) -> None:
    class Counting:
        total: int | None = 0
        done = 0

        @contextmanager
        def task(self, label: str, total: int | None, unit: str) -> Iterator[Counting]:
            assert (label, unit) == ("collecting activations (s)", "tokens")
            self.total = total
            yield self

        def advance(self, amount: int = 1, *, note: str | None = None) -> None:
            assert note is None
            self.done += amount

        def say(self, message: str) -> None:
            raise AssertionError(message)

    progress, tokens = Counting(), open_listed(DOCUMENTS)
    open_stores([request("s", tiny_model, random_source())], tokens, tmp_path / "c", 50, progress)
    assert progress.total == progress.done == tokens.n_tokens
