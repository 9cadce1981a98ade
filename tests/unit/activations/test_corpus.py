from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.activations.corpus import cut_points, open_tokens
from harness.activations.readers.config import TextCorpusConfig
from harness.config.schema import CorpusTokens
from harness.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.activations.tokens import TokenStore


@given(length=st.integers(0, 300), context=st.integers(1, 40), least=st.integers(1, 40))
def test_cut_points_cover_all_but_a_short_tail(length: int, context: int, least: int) -> None:
    least = min(least, context)
    points = cut_points(length, context, least)
    sizes = np.diff(points)
    assert all(least <= size <= context for size in sizes)
    assert all(size == context for size in sizes[:-1])
    assert length - points[-1] < least


def test_contexts_never_cross_documents(open_listed: Callable[..., TokenStore], tokenizer: Any) -> None:
    texts = ["the cat sat on the mat and the dog " * 3, "one two three", "log " * 20]
    store = open_listed(texts)
    encoded = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert store.tokens.tolist() == [token for ids in encoded for token in ids]
    ends = np.cumsum([len(ids) for ids in encoded])
    for start, end, document in zip(
        store.context_starts[:-1], store.context_starts[1:], store.context_documents, strict=True
    ):
        assert ends[document] - len(encoded[document]) <= start < end <= ends[document]
        assert end - start <= 16
    assert store.n_documents == 3
    assert store.origins == ("listed:0", "listed:1", "listed:2")
    assert store.meta["ended"] == "corpus"


def test_budget_is_met_exactly(open_listed: Callable[..., TokenStore]) -> None:
    store = open_listed(["the cat sat on the mat and the dog sat on the log " * 5] * 3, n_tokens=37)
    assert store.n_tokens == store.tokens.size == store.context_starts[-1] == 37
    assert store.meta["ended"] == "budget"


def test_short_documents_and_tails_are_counted(open_listed: Callable[..., TokenStore], tokenizer: Any) -> None:
    long = "the cat sat on the mat and the dog sat on the log"
    length = len(tokenizer(long, add_special_tokens=False)["input_ids"])
    short = len(tokenizer("one", add_special_tokens=False)["input_ids"])
    store = open_listed(["one", long], context_length=length - 1, min_document_tokens=8)
    assert store.dropped == {"short_documents": 1, "short_document_tokens": short, "tail_tokens": 1, "bos_in_text": 0}
    assert store.context_documents.tolist() == [0]
    assert store.origins == ("listed:1",)


def test_bos_is_not_in_the_store_even_if_the_text_spells_it(open_listed: Callable[..., TokenStore]) -> None:
    store = open_listed(["say <bos> and the cat"])
    assert store.bos_token_id is not None
    assert store.bos_token_id not in store.tokens
    assert "".join(store.token_texts(store.tokens.tolist())) == "say <bos> and the cat"
    assert open_listed(["say the cat"], bos="none").bos_token_id is None


def test_lone_surrogates_become_replacements(open_listed: Callable[..., TokenStore]) -> None:
    store = open_listed(["cat \ud800 dog"])
    assert "".join(store.token_texts(store.tokens.tolist())) == "cat \ufffd dog"


def test_store_is_reused_and_differs_with_its_identity(open_listed: Callable[..., TokenStore]) -> None:
    first = open_listed(["the cat"])
    made = (first.folder / "meta.json").stat().st_mtime_ns
    again = open_listed(["the cat"])
    assert again.fingerprint == first.fingerprint
    assert (again.folder / "meta.json").stat().st_mtime_ns == made
    assert open_listed(["the cat"], bos="none").fingerprint != first.fingerprint
    assert open_listed(["the cat"], context_length=8).fingerprint != first.fingerprint
    assert open_listed(["the dog"]).fingerprint != first.fingerprint


def test_ids_are_stored_in_two_bytes_where_they_fit(open_listed: Callable[..., TokenStore]) -> None:
    assert open_listed(["the cat"]).tokens.dtype == np.uint16


def test_empty_corpus_is_an_error_and_leaves_nothing(open_listed: Callable[..., TokenStore], tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="there are no documents"):
        open_listed([])
    with pytest.raises(CorpusError, match="all 2 documents are shorter than 12 tokens"):
        open_listed(["one", "two"], min_document_tokens=12)
    assert list((tmp_path / "cache" / "corpora").iterdir()) == []


@pytest.mark.parametrize(
    "tokens", [{"bos": "append"}, {"n_tokens": 0}, {"min_document_tokens": 99}, {"context_length": 0}]
)
def test_nonsense_is_refused(open_listed: Callable[..., TokenStore], tokens: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        open_listed(["the cat"], **tokens)


def test_tokenizer_without_bos_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    from harness.activations.builtin import CORPORA

    made: Any = PreTrainedTokenizerFast
    bare = made(tokenizer_object=tokenizer.backend_tokenizer)
    (tmp_path / "a.txt").write_text("the cat sat")
    with pytest.raises(ConfigError, match="has no BOS token"):
        open_tokens(CORPORA[0], TextCorpusConfig(str(tmp_path / "a.txt")), CorpusTokens(), bare, {}, tmp_path / "c")
