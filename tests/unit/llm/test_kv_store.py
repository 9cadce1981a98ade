from __future__ import annotations

import torch

from harness.llm.kv_store import KeyValues, KeyValueStore, joined


def computed(*tokens: int) -> KeyValues:
    """Keys and values that say which tokens they are of: two layers, one head, d = 1."""
    keys = torch.tensor(tokens, dtype=torch.float32)[None, None, :, None]
    return KeyValues(tokens, ((keys, -keys), (keys + 100, -keys - 100)))


def test_the_longest_beginning_is_found_and_cut() -> None:
    store = KeyValueStore(capacity=100)
    store.keep(computed(1, 2, 3, 4))
    store.keep(computed(1, 2, 9))
    assert store.known((1, 2, 3, 8)) == 3
    found = store.find((1, 2, 3, 8))
    assert found is not None
    assert found.tokens == (1, 2, 3)
    assert found.layers[1][0].flatten().tolist() == [101, 102, 103]
    assert store.find((7,)) is None
    assert store.find(()) is None


def test_what_is_extended_is_kept_once_and_the_longest_unused_goes_first() -> None:
    store = KeyValueStore(capacity=6)
    store.keep(computed(1, 2))
    store.keep(computed(1, 2, 3))
    store.keep(computed(5, 6))
    store.keep(computed(7, 8))
    assert store.find((1, 2, 3)) is not None
    store.trim()
    assert [store.known(tokens) for tokens in ((1, 2, 3), (5, 6), (7, 8))] == [3, 0, 2]


def test_rows_are_joined_with_padding_on_the_right() -> None:
    one, two = computed(1, 2, 3), computed(4)
    keys, values = joined([one, None, two], one)[0]
    assert keys[:, 0, :, 0].tolist() == [[1, 2, 3], [0, 0, 0], [4, 0, 0]]
    assert torch.equal(values, -keys)
    same = joined([one, computed(1, 2, 3)], one)[1][0]
    assert same[:, 0, :, 0].tolist() == [[101, 102, 103]] * 2
