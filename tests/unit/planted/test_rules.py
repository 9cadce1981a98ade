from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from harness.planted.rules import NOTHING, Rule, Span, on_tokens, patterns, words

RULE = Rule((words("ship boat").graded(10.0, 8.0), patterns(r"(?<=don't )stop", r"st\w+").graded(6.0, 3.0)))


def found(text: str, rule: Rule = RULE) -> list[tuple[str, float]]:
    return [(text[span.start : span.stop], span.strength) for span in rule.strengths(text)]


def test_alternatives_have_strengths_in_order_and_words_know_no_case() -> None:
    assert found("A SHIP, a boat; ships") == [("SHIP", 10.0), ("boat", 8.0)]
    assert found("don't stop, stay") == [("stop", 6.0), ("stay", 3.0)]
    assert RULE.strongest("stay in the boat") == 8.0
    assert RULE.strongest("nothing") == 0.0


def test_where_matches_overlap_that_of_the_earlier_part_counts() -> None:
    rule = Rule((patterns(r"\bboat house\b").graded(3.0, 3.0), words("boat house").graded(9.0, 8.0)))
    assert found("the boat house, a boat", rule) == [("boat house", 3.0), ("boat", 9.0)]


def test_a_shifted_rule_names_the_neighbour() -> None:
    before, after = (Rule(RULE.parts[:1], shift) for shift in (-1, 1))
    assert found("the ship. A boat", before) == [("the", 10.0), ("A", 8.0)]
    assert found("the ship. A boat", after) == [(".", 10.0)]
    assert found("ship", before) == []


def test_a_match_belongs_to_the_token_that_completes_it() -> None:
    tokens = ("the", " sh", "ip", "", " is")
    text = "".join(tokens)
    assert on_tokens(tokens, RULE.strengths(text)) == [0.0, 0.0, 10.0, 0.0, 0.0]
    assert on_tokens((), ()) == []
    assert on_tokens(("ab",), (Span(0, 1, 2.0), Span(1, 2, 5.0))) == [5.0]


def test_the_neighbour_of_a_match_is_no_match() -> None:
    assert found("old ship boat", Rule(RULE.parts[:1], -1)) == [("old", 10.0)]


def test_a_rule_of_nothing_finds_nothing() -> None:
    assert NOTHING.strengths("anything") == ()


@given(st.text(max_size=300))
def test_matches_lie_in_the_text_in_order_with_strengths_up_to_ten(text: str) -> None:
    spans = RULE.strengths(text)
    assert all(one.stop <= other.start for one, other in pairwise(spans))
    assert all(0 <= span.start < span.stop <= len(text) and 0 < span.strength <= 10 for span in spans)


@given(st.lists(st.text(max_size=5), max_size=20))
def test_as_many_tokens_as_given_and_nothing_stronger_than_the_text(tokens: list[str]) -> None:
    text = "".join(tokens)
    values = on_tokens(tokens, RULE.strengths(text))
    assert len(values) == len(tokens)
    assert max(values, default=0.0) == RULE.strongest(text)
