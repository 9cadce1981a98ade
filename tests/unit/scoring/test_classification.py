from __future__ import annotations

import dataclasses

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.api import CLASSIFICATION_METRICS, Item, Outcome, auroc, breakdown, classification_metrics

YES, NO = True, False
GRADES = st.lists(st.integers(0, 6).map(lambda grade: grade / 6), min_size=1, max_size=30)


def item(
    truth: bool,
    prediction: bool | None,
    value: float | None = None,
    *,
    outcome: Outcome = Outcome.OK,
    decile: int | None = None,
    kind: str | None = None,
) -> Item:
    kind = kind or ("activating" if truth else "random")
    return Item("key", kind, decile, truth, prediction, value, outcome)


ITEMS = st.lists(
    st.builds(
        item,
        st.booleans(),
        st.booleans(),
        st.one_of(st.none(), st.integers(0, 4).map(lambda grade: grade / 4)),
    ),
    max_size=30,
)


@given(GRADES, GRADES)
def test_auroc_is_the_share_of_pairs_ranked_rightly(positive: list[float], negative: list[float]) -> None:
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert auroc(positive, negative) == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)


@given(GRADES, GRADES)
def test_auroc_turns_round_with_the_classes_and_with_the_sign(positive: list[float], negative: list[float]) -> None:
    forwards = auroc(positive, negative)
    backwards = auroc(negative, positive)
    assert forwards is not None
    assert backwards is not None
    assert forwards + backwards == pytest.approx(1.0)
    assert auroc([-p for p in positive], [-n for n in negative]) == pytest.approx(backwards)


@given(GRADES, GRADES, st.randoms())
def test_auroc_does_not_depend_on_order(positive: list[float], negative: list[float], random: object) -> None:
    shuffled = sorted(positive, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert auroc(shuffled, negative[::-1]) == auroc(positive, negative)


def test_auroc_of_a_worked_example() -> None:
    # Pairs: .9>.8 .9>.1, .4<.8 .4>.1, .8=.8 .8>.1 -> 1 + 1 + 0 + 1 + .5 + 1 = 4.5 of 6.
    assert auroc([0.9, 0.4, 0.8], [0.8, 0.1]) == 4.5 / 6


def test_auroc_of_one_class_is_unknown() -> None:
    assert auroc([], [0.1]) is None
    assert auroc([0.1], []) is None


def test_metrics_of_a_worked_example() -> None:
    items = [
        item(YES, YES, 0.9),
        item(YES, YES, 0.8),
        item(YES, NO, 0.3),
        item(NO, YES, 0.6),
        item(NO, NO, 0.2),
    ]
    metrics = classification_metrics(items)
    assert not metrics.reasons
    assert metrics.values == pytest.approx(
        {
            "auroc": 5 / 6,
            "balanced_accuracy": (2 / 3 + 1 / 2) / 2,
            "precision": 2 / 3,
            "recall": 2 / 3,
            "specificity": 1 / 2,
            "f1": 2 / 3,
        }
    )


@given(ITEMS)
def test_every_metric_is_there_with_a_value_or_a_reason(items: list[Item]) -> None:
    metrics = classification_metrics(items)
    assert set(metrics.values) == {metric.name for metric in CLASSIFICATION_METRICS}
    for name, value in metrics.values.items():
        assert (value is None) == (name in metrics.reasons)
        assert value is None or 0.0 <= value <= 1.0


@given(ITEMS)
def test_metrics_follow_from_their_definitions(items: list[Item]) -> None:
    values = classification_metrics(items).values
    said = [one for one in items if one.prediction]
    true = [one for one in items if one.truth]
    both = [one for one in said if one.truth]
    precision = len(both) / len(said) if said else None
    recall = len(both) / len(true) if true else None
    assert values["precision"] == precision
    assert values["recall"] == recall
    if precision is not None and recall is not None and precision + recall > 0:
        assert values["f1"] == pytest.approx(2 * precision * recall / (precision + recall))


@given(ITEMS, st.sampled_from([one for one in Outcome if one is not Outcome.OK]), st.booleans())
def test_an_unanswered_item_changes_no_number(items: list[Item], outcome: Outcome, truth: bool) -> None:
    assume(any(one.truth is truth for one in items))
    failed = item(truth, None, None, outcome=outcome, decile=10)
    assert classification_metrics([*items, failed]) == classification_metrics(items)
    parts = breakdown([*items, failed], graded="mean")
    assert (parts.pop("answered", None) is None) == (outcome is Outcome.SKIPPED)
    assert parts == breakdown(items, graded="mean")


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.TRUNCATED, Outcome.UNPARSED, Outcome.ERROR])
def test_a_side_most_of_which_has_no_answer_has_no_number(outcome: Outcome) -> None:
    answers = [*[item(YES, YES, 0.9)] * 3, *[item(NO, NO, 0.2)] * 20]
    borne = classification_metrics([*answers, *[item(YES, None, outcome=outcome)] * 3])
    assert not borne.reasons
    items = [*answers, *[item(YES, None, outcome=outcome)] * 17]
    metrics = classification_metrics(items)
    assert {name for name, value in metrics.values.items() if value is not None} == {"specificity"}
    assert set(metrics.reasons.values()) == {f"17 of 20 positive items have no answer (17 {outcome.value})"}
    assert breakdown(items, graded="mean")["answered"] == {"positive": 3 / 20, "negative": 1.0}
    turned = classification_metrics([dataclasses.replace(one, truth=not one.truth) for one in items])
    assert {name for name, value in turned.values.items() if value is not None} == {"recall"}


@pytest.mark.parametrize(
    ("items", "name", "reason"),
    [
        ([], "auroc", "no question was answered"),
        ([], "f1", "no question was answered"),
        ([item(YES, YES, 0.9)], "auroc", "no negative item was answered"),
        ([item(YES, YES, 0.9)], "balanced_accuracy", "no negative item was answered"),
        ([item(YES, YES, 0.9)], "specificity", "no negative item was answered"),
        ([item(NO, YES, 0.9)], "recall", "no positive item was answered"),
        ([item(NO, YES, 0.9)], "f1", "no positive item was answered"),
        ([item(YES, NO, 0.1), item(NO, NO, 0.2)], "precision", "no item was answered yes"),
        ([item(YES, YES), item(NO, NO)], "auroc", "the answers carry no graded value"),
    ],
)
def test_undefined_metrics_say_why(items: list[Item], name: str, reason: str) -> None:
    metrics = classification_metrics(items)
    assert metrics.values[name] is None
    assert metrics.reasons[name] == reason


def test_breakdown_sets_deciles_against_all_negatives_and_kinds_against_all_positives() -> None:
    items = [
        item(YES, YES, 0.9, decile=10),
        item(YES, NO, 0.3, decile=1),
        item(NO, NO, 0.2),
        item(NO, YES, 0.6, kind="decoder_neighbour"),
    ]
    assert breakdown(items, graded="mean_p_yes") == {
        "decile_10": {"n": 1.0, "auroc": 1.0, "recall": 1.0, "mean_p_yes": 0.9},
        "decile_1": {"n": 1.0, "auroc": 0.5, "recall": 0.0, "mean_p_yes": 0.3},
        "kind_decoder_neighbour": {"n": 1.0, "auroc": 0.5, "specificity": 0.0, "mean_p_yes": 0.6},
        "kind_random": {"n": 1.0, "auroc": 1.0, "specificity": 1.0, "mean_p_yes": 0.2},
    }
