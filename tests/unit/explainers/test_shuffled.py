from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.explainers.config import ShuffledConfig
from harness.explainers.shuffled import Shuffled, derange
from harness.outcome import Outcome
from harness.testing.records import make_explanation

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from harness.examples.record import ExplainRecord

texts_by_feature = st.dictionaries(st.integers(0, 500), st.sampled_from("abcdefgh"), min_size=2, max_size=40)


@settings(deadline=None)  # the first draw imports NumPy
@given(texts_by_feature, st.integers(0, 2**63))
def test_it_is_a_bijection_without_fixed_points(texts: dict[int, str], seed: int) -> None:
    sources = derange(texts, seed)
    assert sources.keys() == texts.keys() == set(sources.values())
    assert all(feature != source for feature, source in sources.items())


@given(texts_by_feature, st.integers(0, 2**63))
def test_as_few_features_as_possible_get_their_own_text_back(texts: dict[int, str], seed: int) -> None:
    kept = sum(texts[feature] == texts[source] for feature, source in derange(texts, seed).items())
    assert kept == max(0, 2 * max(Counter(texts.values()).values()) - len(texts))


@given(texts_by_feature, st.integers(0, 2**63), st.randoms(use_true_random=False))
def test_the_order_of_the_features_does_not_matter(texts: dict[int, str], seed: int, random: Random) -> None:
    shuffled = list(texts)
    random.shuffle(shuffled)
    assert derange({feature: texts[feature] for feature in shuffled}, seed) == derange(texts, seed)


def test_texts_that_differ_in_dress_only_are_the_same() -> None:
    texts = {1: "Names of cities.", 2: "names of  cities", 3: "verbs", 4: "numbers"}
    for seed in range(20):
        sources = derange(texts, seed)
        assert {sources[1], sources[2]} == {3, 4}


def test_seeds_draw_differently() -> None:
    texts = {feature: str(feature) for feature in range(12)}
    draws = {tuple(sorted(derange(texts, seed).items())) for seed in range(30)}
    assert len(draws) == 30


def test_features_get_another_ones_text_and_its_number(make_explain_record: Callable[..., ExplainRecord]) -> None:
    records = [make_explain_record(feature=feature) for feature in range(5)]
    given_texts = {feature: make_explanation(f"text {feature}", feature=feature) for feature in range(4)}
    drafts = Shuffled(ShuffledConfig()).build(records, given_texts, 3)
    assert list(drafts) == [0, 1, 2, 3, 4]
    for feature in range(4):
        source = drafts[feature].source_feature
        assert source != feature
        assert drafts[feature].text == f"text {source}"
    assert (drafts[4].text, drafts[4].outcome) == (None, Outcome.ERROR)
    assert drafts[4].error == "feature 4 has no explanation, so it gets no other one"


def test_one_explanation_cannot_be_exchanged(make_explain_record: Callable[..., ExplainRecord]) -> None:
    records = [make_explain_record(feature=feature) for feature in range(2)]
    drafts = Shuffled(ShuffledConfig()).build(records, {0: make_explanation("alone")}, 3)
    assert {draft.outcome for draft in drafts.values()} == {Outcome.ERROR}
    assert drafts[0].error == "only one feature of the subject has an explanation: none to exchange"
    assert drafts[1].error == "feature 1 has no explanation, so it gets no other one"


def test_explanations_of_features_outside_the_records_are_not_used(
    make_explain_record: Callable[..., ExplainRecord],
) -> None:
    records = [make_explain_record(feature=feature) for feature in (1, 2)]
    texts = {feature: make_explanation(f"text {feature}", feature=feature) for feature in (1, 2, 9)}
    drafts = Shuffled(ShuffledConfig()).build(records, texts, 0)
    assert {feature: draft.text for feature, draft in drafts.items()} == {1: "text 2", 2: "text 1"}
