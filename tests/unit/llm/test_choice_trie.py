from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.llm.choice_trie import ChoiceTrie

END = 99
CHOICES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=5)


def sentences(trie: ChoiceTrie, said: tuple[int, ...] = ()) -> set[tuple[int, ...]]:
    """Everything that can be said token by token; an answer ends at an end token, or where nothing can follow."""
    found = {said} if trie.closed else set()
    for token in trie.allowed([END]):
        found |= {said} if token == END else sentences(trie.children[token], (*said, token))
    return found


@given(CHOICES)
def test_exactly_the_choices_can_be_said(choices: list[list[int]]) -> None:
    assert sentences(ChoiceTrie.of(choices)) == {tuple(choice) for choice in choices}


def test_a_choice_that_begins_another_may_end() -> None:
    trie = ChoiceTrie.of([(1,), (1, 2)])
    assert trie.allowed([END]) == [1]
    assert trie.children[1].allowed([END]) == [2, END]
    assert trie.children[1].children[2].closed
