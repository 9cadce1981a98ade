from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.subjects.told_tokens import LOGIT_TOKENS, readable_token, told_tokens

TOKENS = st.lists(st.sampled_from([" Dog", "dog", " cat", "Cat", " ox", "\n", "\ufffd", " 7", "elk", " Elk", " emu"]))


@given(promoted=TOKENS, feature=st.integers(0, 2**20))
def test_every_second_word_is_told_in_all_its_forms(promoted: list[str], feature: int) -> None:
    places = told_tokens(promoted, feature)
    assert len(places) <= LOGIT_TOKENS
    assert list(places) == sorted(set(places))
    told = {promoted[place].strip().lower() for place in places if readable_token(promoted[place])}
    words = list(dict.fromkeys(text.strip().lower() for text in promoted if readable_token(text)))
    assert list(told) == [] or told <= set(words[0::2]) or told <= set(words[1::2])
    if len(places) < LOGIT_TOKENS:
        assert told in (set(words[0::2]), set(words[1::2]))
        assert all(place in places for place, text in enumerate(promoted) if not readable_token(text))


def test_which_half_is_told_depends_on_the_feature() -> None:
    halves = {told_tokens([" dog", " cat", " ox"], feature) for feature in range(20)}
    assert halves == {(0, 2), (1,)}
