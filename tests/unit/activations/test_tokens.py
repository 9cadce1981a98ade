from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.activations.tokens import TokenStore
from harness.decoded import decoding, token_texts
from harness.errors import MaterialError

if TYPE_CHECKING:
    from collections.abc import Callable


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(max_size=20), cut=st.integers(0, 10))
def test_texts_of_tokens_join_to_the_decoded_whole(tokenizer: Any, text: str, cut: int) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"][cut:]
    texts = token_texts(tokenizer, ids)
    assert len(texts) == len(ids)
    assert "".join(texts) == tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def test_character_belongs_to_the_token_that_completes_it(tokenizer: Any) -> None:
    ids = tokenizer("a🤗b", add_special_tokens=False)["input_ids"]
    assert token_texts(tokenizer, ids) == ("a", "", "", "", "🤗", "b")


def test_character_cut_by_the_window_shows_as_replacement(tokenizer: Any) -> None:
    ids = tokenizer("ab中", add_special_tokens=False)["input_ids"][:-1]
    texts = token_texts(tokenizer, ids)
    assert texts[:2] == ("a", "b")
    assert "".join(texts) == tokenizer.decode(ids)


def test_nothing_is_escaped(tokenizer: Any) -> None:
    raw = "\x1b[31m\n<<x>>"
    assert "".join(token_texts(tokenizer, tokenizer(raw, add_special_tokens=False)["input_ids"])) == raw


def test_decoder_that_strips_leading_spaces_still_joins() -> None:
    class Stripping:
        def decode(self, token_ids: list[int], **_: Any) -> str:
            return "".join([" the", " cat", "s"][token] for token in token_ids).removeprefix(" ")

    assert token_texts(Stripping(), [0, 1, 2]) == ("the", " cat", "s")


def test_store_single_token_text_is_cached(open_listed: Callable[..., TokenStore]) -> None:
    store = open_listed(["the cat"])
    first = int(store.tokens[0])
    assert store.token_texts([first]) == store.token_texts([first]) == (store._texts._singles[first],)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(ids=st.lists(st.integers(0, 301), min_size=2, max_size=12))
def test_store_gives_the_texts_of_the_decoded_whole(
    tokenizer: Any, open_listed: Callable[..., TokenStore], ids: list[int]
) -> None:
    """Bytes that are no character, special tokens and added ones among them."""
    wide = copy.deepcopy(tokenizer)
    wide.add_tokens(["<caf\u00e9 \U0001f917>", " two words"])
    store = TokenStore(open_listed(["a b c"]).folder, wide)
    assert store._texts.joins
    ids = [token for token in ids if token < len(wide)] + [len(wide) - 1, len(wide) - 2, ids[0]]
    assert store.token_texts(ids) == token_texts(wide, ids)


def test_damaged_store_says_what_differs(open_listed: Callable[..., TokenStore], tokenizer: Any) -> None:
    folder = open_listed(["the cat sat on the mat"]).folder
    path = folder / "tokens.npy"
    good = path.read_bytes()
    path.write_bytes(good[:-2] + b"\xff\xff")
    with pytest.raises(MaterialError, match=r"tokens\.npy are not those that were written") as caught:
        TokenStore(folder, tokenizer)
    assert "delete this folder" in str(caught.value)
    path.write_bytes(good[:-2])
    with pytest.raises(MaterialError, match=r"tokens\.npy has \d+ bytes where \d+ were written"):
        TokenStore(folder, tokenizer)
    path.unlink()
    with pytest.raises(MaterialError, match=r"tokens\.npy is missing"):
        TokenStore(folder, tokenizer)


def test_foreign_store_says_what_differs(open_listed: Callable[..., TokenStore], tokenizer: Any) -> None:
    folder = open_listed(["the cat sat on the mat"]).folder
    with pytest.raises(MaterialError, match=r"fingerprint '[0-9a-f]+' where 'other' is expected"):
        TokenStore(folder, tokenizer, fingerprint="other")
    meta = folder / "meta.json"
    whole = meta.read_text()
    meta.write_text(whole.replace('"kind": "tokens"', '"kind": "activations"'))
    with pytest.raises(MaterialError, match="kind 'activations' where 'tokens' is expected"):
        TokenStore(folder, tokenizer)
    meta.write_text(whole[:-10])
    with pytest.raises(MaterialError, match=r"meta\.json cannot be read"):
        TokenStore(folder, tokenizer)


def test_only_the_librarys_own_decoding_is_cut_short(tokenizer: Any) -> None:
    backend = tokenizer.backend_tokenizer
    short: Any = decoding(tokenizer)
    assert short.func.__self__ is backend
    ids = tokenizer("the cat , isn't <|endoftext|>", add_special_tokens=False)["input_ids"]
    assert short(ids) == tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    class Shouting(type(tokenizer)):  # type: ignore[misc]
        backend_tokenizer = backend

        def __init__(self) -> None:
            """Leave out what the library's own does."""

        def _decode(self, token_ids: list[int], **_: Any) -> str:
            return str(backend.decode(token_ids)).upper()

    assert decoding(Shouting())([ids[0]]).isupper()
