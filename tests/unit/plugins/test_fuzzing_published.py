from __future__ import annotations

from collections import Counter, defaultdict
from statistics import fmean

import pytest
from harness_fuzzing.config import BLOG, MATCHED, PAPER, FuzzingConfig
from harness_fuzzing.marking import draw_markings, right_marks
from harness_fuzzing.plugin import FUZZING
from harness_fuzzing.published import draw, draw_blog, draw_paper
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import ConfigError, ExampleSet, ExampleShape, Resources, auroc
from harness.identity import parameters_of
from harness.testing import OracleJudge, make_example, make_explanation, make_record

SEEDS = st.integers(0, 10_000)


def half(seed: int, n: int = 70, silent: int = 70, most: int = 3) -> ExampleSet:
    return make_record(seed=seed, n_activating=n, n_non_activating=silent, most_active=most).score


@given(SEEDS, st.integers(1, 8))
@settings(max_examples=8, deadline=None)
def test_blog_marks_two_of_seven_wrongly_in_every_decile_at_their_mean_number(seed: int, most: int) -> None:
    examples = half(seed, most=most).activating
    markings = draw_blog(examples, 0.3, seed)
    sides: dict[int | None, Counter[bool]] = defaultdict(Counter)
    mean = fmean(len(right_marks(one, 0.3)) for one in examples)
    for one in markings.marked:
        sides[one.example.decile][one.right] += 1
        if one.right:
            assert one.marks == right_marks(one.example, 0.3)
        else:
            assert abs(len(one.marks) - mean) <= 0.5
            assert {one.example.activations[mark] for mark in one.marks} == {0.0}
    assert markings.left_out == 0
    assert set(sides) == set(range(1, 11))
    assert all((side[True], side[False]) == (5, 2) for side in sides.values())


@given(SEEDS, st.integers(1, 40))
@settings(max_examples=12, deadline=None)
def test_blog_is_as_near_to_two_of_seven_as_the_number_of_windows_allows(seed: int, n: int) -> None:
    marked = draw_blog(half(seed, n, 0).activating, 0.3, seed).marked
    assert len(marked) == n
    assert abs(sum(not one.right for one in marked) - 2 * n / 7) < 1


@given(SEEDS, st.integers(1, 40), st.integers(0, 40))
@settings(max_examples=12, deadline=None)
def test_paper_marks_every_window_and_its_counts_tell_nothing(seed: int, n: int, silent: int) -> None:
    examples = half(seed, n, silent)
    markings = draw_paper(examples.activating, examples.non_activating, 0.3, seed)
    assert [one.example for one in markings.marked] == [*examples.activating, *examples.non_activating]
    assert all(one.right == one.example.activating for one in markings.marked)
    assert all(one.marks == right_marks(one.example, 0.3) for one in markings.marked if one.right)
    right = Counter(len(one.marks) for one in markings.marked if one.right)
    wrong = Counter(len(one.marks) for one in markings.marked if not one.right)
    if silent <= n:
        assert wrong <= right
    if silent == n:
        assert wrong == right


@pytest.mark.parametrize("variant", [BLOG, PAPER])
def test_no_two_windows_share_their_draw_and_places_tell_nothing(variant: str) -> None:
    """Over many features the places of wrong marks are as spread as those of right ones, and as their order."""
    right: list[float] = []
    wrong: list[float] = []
    patterns = set()
    for feature in range(20):
        for one in draw(variant, half(feature, most=1), 0.3, feature).marked:
            (right if one.right else wrong).extend(map(float, one.marks))
            if not one.right:
                patterns.add((feature, one.marks))
    assert auroc(right, wrong) == pytest.approx(0.5, abs=0.05)  # standard error 0.017 at most
    assert len(patterns) > 20 * 10, "20 or 70 wrong windows of a feature cover most of their 24 places"


@pytest.mark.parametrize("variant", [BLOG, PAPER])
def test_a_draw_depends_on_the_seed_and_the_window_alone(variant: str) -> None:
    examples = half(3)
    again = ExampleSet(examples.activating[::-1], examples.non_activating[::-1])
    assert set(draw(variant, examples, 0.3, 1).marked) == set(draw(variant, again, 0.3, 1).marked)
    assert draw(variant, examples, 0.3, 1) != draw(variant, examples, 0.3, 2)


@pytest.mark.parametrize("variant", [BLOG, PAPER])
def test_the_threshold_is_the_same_on_both_sides(variant: str) -> None:
    """Windows of one strong and nine weak tokens: the count that no threshold would have is ten."""
    active = [make_example([" a"] * 10 + [" b"] * 20, [10.0] + [1.0] * 9 + [0.0] * 20, document=n) for n in range(14)]
    silent = [make_example([" b"] * 30, document=20 + n) for n in range(14)]
    for threshold, count in ((0.3, 1), (0.05, 10)):
        marked = draw(variant, ExampleSet(tuple(active), tuple(silent)), threshold, 0).marked
        assert {len(one.marks) for one in marked} == {count}
        assert any(not one.right for one in marked)


def test_windows_without_room_are_left_out_on_both_sides_and_only_what_can_be_seen_is_marked() -> None:
    tokens = [" a", " b", "\n", "", " c"]
    active = [make_example(tokens, [1.0, 1.0, 0.0, 0.0, 0.0], document=n) for n in range(7)]
    roomy = [make_example([" a", " b", " c", " d"], [1.0, 1.0, 0.0, 0.0], document=10 + n) for n in range(7)]
    found = draw_blog([*active, *roomy], 0.3, 0)
    assert found.left_out == 7, "two marks are needed, and only one silent token can be seen"
    assert {one.example.document for one in found.marked} == set(range(10, 17))
    silent = [make_example(["\n", "", " c"], document=30), make_example(["\n", " c", " d"], document=31)]
    paper = draw_paper(active, silent, 0.3, 0)
    (wrong,) = [one for one in paper.marked if not one.right]
    assert (wrong.example.document, wrong.marks, paper.left_out) == (31, (1, 2), 1)


@pytest.mark.parametrize("variant", [BLOG, PAPER])
def test_there_may_be_nothing_to_mark(variant: str) -> None:
    assert draw(variant, half(0, 0, 0), 0.3, 0).marked == ()
    assert draw(variant, half(0, 0, 3), 0.3, 0).marked == ()


def test_the_default_is_what_it_was() -> None:
    examples = half(0, 20)
    assert draw(MATCHED, examples, 0.3, 5) == draw_markings(examples.activating, 0.3, 5)
    assert "variant" not in parameters_of(FuzzingConfig())
    assert parameters_of(FuzzingConfig(variant=BLOG))["variant"] == BLOG
    with pytest.raises(ConfigError, match="'article' is not known") as caught:
        FuzzingConfig(variant="article")
    assert (caught.value.where, caught.value.hint) == ("variant", "matched or blog or paper")


@pytest.mark.parametrize(
    ("variant", "wrong", "n", "estimated"),
    [(BLOG, "marked_wrong", 35, 7), (PAPER, "marked_wrong_silent", 56, 12)],
)
async def test_the_breakdown_tells_the_kinds_of_wrong_marks_apart(
    variant: str, wrong: str, n: int, estimated: int
) -> None:
    record = make_record(n_activating=35, n_non_activating=21)
    scorer = FUZZING.resolve_factory()(FuzzingConfig(mode="list", variant=variant))
    judge = OracleJudge(lambda request: [True] * len(request.task.texts))  # type: ignore[union-attr]
    found = await scorer.score(record.for_scoring(), make_explanation("harbour"), Resources(seed=0, judge=judge))
    assert Counter(item.kind for item in found.items).keys() == {"marked_right", wrong}
    assert len(found.items) == n
    assert found.breakdown[f"kind_{wrong}"]["specificity"] == 0.0
    assert found.breakdown["left_out"] == {"no_wrong_marking": 0.0}
    assert scorer.estimate(ExampleShape(35, 21, 24)).calls == len(judge.requests) == estimated
