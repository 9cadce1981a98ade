from __future__ import annotations

from typing import Any

import numpy as np

from harness.examples.split import explain_documents


def test_share_and_seed(written_tokens: Any) -> None:
    tokens = written_tokens([(document, 6) for document in range(2000)])
    half = explain_documents(tokens, 0, 0.3)
    assert abs(half.mean() - 0.3) < 0.04
    assert np.array_equal(half, explain_documents(tokens, 0, 0.3))
    assert not np.array_equal(half, explain_documents(tokens, 1, 0.3))
    more = explain_documents(tokens, 0, 0.5)
    assert np.all(more[half])  # a larger share only adds documents


def test_copies_of_a_text_are_in_one_half(written_tokens: Any) -> None:
    texts = np.random.default_rng(0).integers(0, 9, (40, 5))
    twice = np.concatenate([texts, texts]).reshape(-1).astype(np.uint32)
    half = explain_documents(written_tokens([(document, 5) for document in range(80)], twice), 0, 0.5)
    assert np.array_equal(half[:40], half[40:])
    assert 0 < half.sum() < 80


def test_half_of_a_document_does_not_depend_on_the_others_or_the_stored_type(written_tokens: Any) -> None:
    contexts = [(document, 4) for document in range(50)]
    tokens = written_tokens(contexts)
    half = explain_documents(tokens, 0, 0.5)
    fewer = written_tokens(contexts[:20], tokens.tokens[:80].astype(np.uint32))
    assert np.array_equal(explain_documents(fewer, 0, 0.5), half[:20])


def test_document_is_hashed_as_a_whole(written_tokens: Any) -> None:
    one = written_tokens([(0, 8), (1, 8)])
    cut = written_tokens([(0, 3), (0, 5), (1, 8)])
    assert np.array_equal(explain_documents(one, 0, 0.5), explain_documents(cut, 0, 0.5))
