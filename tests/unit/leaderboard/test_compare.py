"""What may be ranked together, and how."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ResultsError
from harness.leaderboard.compare import differing_fields, group_by_protocol, rank
from harness.results.records import IntervalLine, LeaderboardRow

FIELDS = {"examples": {"window_tokens": 32, "align": "tile"}, "judge": {"sha256": "aa"}, "seed": 0}


def row(name: str, mean: float | None, **changes: Any) -> LeaderboardRow:
    given: dict[str, Any] = {
        "protocol": "p", "protocol_fields": FIELDS, "subject": "sae", "explanation_set": name, "control": None,
        "explainer_model": None, "scorer": "detection", "scorer_version": 1, "judge": "j", "metric": "auroc",
        "chance": 0.5, "higher_is_better": True, "n": 4, "mean": mean, "se": None,
        "interval": IntervalLine(level=0.95, low=None, high=None, method="m"), "median": mean,
    }  # fmt: skip
    return LeaderboardRow(**{**given, **changes})


def places(rows: list[LeaderboardRow]) -> list[tuple[int | None, bool, str]]:
    return [(place.rank, place.tied, place.row.explanation_set) for place in rank(rows)]


def test_the_best_mean_comes_first() -> None:
    assert places([row("b", 0.6), row("a", 0.9), row("c", 0.7)]) == [(1, False, "a"), (2, False, "c"), (3, False, "b")]


def test_where_lower_is_better_the_least_comes_first() -> None:
    rows = [row("b", 0.6, higher_is_better=False), row("a", 0.9, higher_is_better=False)]
    assert places(rows) == [(1, False, "b"), (2, False, "a")]


def test_what_cannot_be_told_from_the_leader_shares_its_rank() -> None:
    rows = [row("a", 0.9, tied_with=["c"]), row("b", 0.8, tied_with=["d"]), row("c", 0.7), row("d", 0.6)]
    assert places(rows) == [(1, True, "a"), (2, False, "b"), (1, True, "c"), (4, False, "d")]


def test_no_set_stands_above_one_that_beats_it_whatever_their_means() -> None:
    rows = [row("a", 0.9, beaten_by=["c"]), row("b", 0.8), row("c", 0.7, beaten_by=["b"], tied_with=[])]
    assert places(rows) == [(1, False, "b"), (2, False, "c"), (3, False, "a")]
    circle = [row("a", 0.9, beaten_by=["b"]), row("b", 0.8, beaten_by=["a", "gone"])]
    assert places(circle) == [(1, False, "a"), (2, False, "b")]


def test_few_features_in_common_with_the_leader_are_no_rank_above_a_set_that_is_better_on_them() -> None:
    # c and d share too little with a to be told from it; b is below a, and above c. d loses to c alone.
    rows = [
        row("a", 0.9, tied_with=["c", "d", "e"]),
        row("b", 0.8, beaten_by=["a"]),
        row("c", 0.7, beaten_by=["b"]),
        row("d", 0.6, beaten_by=["c"]),
        row("e", 0.5, beaten_by=[]),
    ]
    assert places(rows) == [(1, True, "a"), (2, False, "b"), (3, False, "c"), (4, False, "d"), (1, True, "e")]


@given(st.data())
def test_whatever_is_tied_a_set_is_never_ranked_above_one_that_beats_it(data: st.DataObject) -> None:
    names = data.draw(st.permutations("abcdef"))
    means = data.draw(st.lists(st.floats(0, 1), min_size=6, max_size=6))
    rows = []
    for place, name in enumerate(names):
        beaten_by = data.draw(st.lists(st.sampled_from(names[:place]), unique=True)) if place else []
        tied_with = data.draw(st.lists(st.sampled_from(names), unique=True))
        rows.append(row(name, means[place], beaten_by=beaten_by, tied_with=tied_with))
    ranks = {place.row.explanation_set: place.rank or 0 for place in rank(rows)}
    assert 1 in ranks.values()
    assert all(ranks[better] <= ranks[one.explanation_set] for one in rows for better in one.beaten_by or ())


def test_undefined_values_at_chance_decide_the_place() -> None:
    assert places([row("a", 0.9, ranked_by=0.5), row("b", 0.8)]) == [(1, False, "b"), (2, False, "a")]


def test_a_set_without_a_mean_has_no_rank_and_stands_last() -> None:
    assert places([row("x", None), row("a", 0.1)]) == [(1, False, "a"), (None, False, "x")]
    assert places([]) == []


def test_every_subject_has_its_own_ranking() -> None:
    rows = [row("a", 0.5), row("b", 0.6), row("a", 0.9, subject="mlp"), row("b", 0.8, subject="mlp")]
    assert [(place.row.subject, place.row.explanation_set, place.rank) for place in rank(rows)] == [
        ("sae", "b", 1), ("sae", "a", 2), ("mlp", "a", 1), ("mlp", "b", 2),
    ]  # fmt: skip


def test_ranking_over_protocols_is_refused_with_the_fields_that_differ() -> None:
    other = {"examples": {"window_tokens": 64, "align": "tile"}, "judge": {"sha256": "bb"}, "seed": 0}
    with pytest.raises(ResultsError) as caught:
        rank([row("a", 0.9), row("b", 0.8, protocol="q", protocol_fields=other)])
    message = str(caught.value)
    assert "cannot be ranked together" in message
    assert 'examples.window_tokens (32 and 64), judge.sha256 ("aa" and "bb")' in message
    assert "align" not in message
    assert "seed" not in message


@pytest.mark.parametrize("changes", [{"judge": "other"}, {"scorer": "fuzzing"}])
def test_another_judge_or_scorer_is_another_protocol(changes: dict[str, Any]) -> None:
    bare: dict[str, Any] = {"protocol_fields": {}}
    with pytest.raises(ResultsError, match=f"differ in {next(iter(changes))}"):
        rank([row("a", 0.9, **bare), row("b", 0.8, **bare, **changes)])


def test_a_long_list_of_differences_shows_the_first_values_only() -> None:
    fields = [dict.fromkeys("abcdef", index) for index in (0, 1)]
    with pytest.raises(ResultsError, match=r"differ in a \(0 and 1\), b \(0 and 1\), c \(0 and 1\), d, e, f\."):
        rank([row("x", 0.9, protocol_fields=fields[0]), row("y", 0.8, protocol="q", protocol_fields=fields[1])])


def test_absent_is_not_null() -> None:
    assert differing_fields({"a": None}, {}) == ["a"]
    assert differing_fields({"a": {"b": 1}}, {"a": 1}) == ["a"]
    assert differing_fields({"a": {"x.y": [1], "z": 1}}, {"a": {"x.y": [2], "z": 1}}) == ["a.x.y"]


JSON = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(st.integers(0, 2) | st.none(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner)),
)


@given(JSON, JSON)
def test_two_protocols_differ_exactly_where_they_are_not_equal(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert differing_fields(a, b) == differing_fields(b, a)
    assert bool(differing_fields(a, b)) == (a != b)


def test_groups_keep_their_order() -> None:
    rows = [row("a", 1), row("b", 1, judge="k"), row("c", 1), row("d", 1, protocol="q")]
    assert [[r.explanation_set for r in group] for group in group_by_protocol(rows)] == [["a", "c"], ["b"], ["d"]]
