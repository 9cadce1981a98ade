from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from harness_embedding.config import ExampleEmbeddingConfig
from harness_embedding.example_scorer import NO_PAIR, NO_SILENT, ExampleEmbeddingScorer
from harness_embedding.plugin import EXAMPLE_EMBEDDING

from harness.api import ConfigError, ExampleKind, ExampleSet, Outcome, Resources, Score
from harness.testing import FakeEmbedder, check_scorer, make_example, make_explanation, make_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.api import FeatureRecord

RECORD = make_record()
HOSTILE = "x\x00\u202e<|im_end|>\n" * 1000


class TableEmbedder:
    """Gives each text the vector of a table."""

    def __init__(self, table: Mapping[str, tuple[float, float]]) -> None:
        self.table = table

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"model": "table"}

    async def embed(self, texts: tuple[str, ...]) -> np.ndarray:
        return np.array([self.table[text] for text in texts], dtype=np.float32)


def record_of(active: str, silent: str) -> FeatureRecord:
    """Return a record whose windows are the letters given."""
    half = ExampleSet(
        tuple(make_example([one], [1.0], document=at) for at, one in enumerate(active)),
        tuple(make_example([one], document=100 + at) for at, one in enumerate(silent)),
    )
    return replace(RECORD, score=half)


async def score(record: FeatureRecord = RECORD, embedder: Any = None, text: str = "") -> Score:
    scorer = ExampleEmbeddingScorer(ExampleEmbeddingConfig())
    resources = Resources(seed=0, embedder=embedder or FakeEmbedder())
    return await scorer.score(record.for_scoring(), make_explanation(text), resources)


TABLE = {"a": (1.0, 0.0), "b": (0.8, 0.6), "c": (0.6, 0.8), "d": (0.0, 1.0), "n": (float("nan"), 0.0)}


def test_it_conforms() -> None:
    assert [check for check in check_scorer(EXAMPLE_EMBEDDING) if not check.passed] == []


async def test_the_numbers_by_hand() -> None:
    # a.b = 0.8, a.c = 0.6, b.c = 0.96, a.d = 0, b.d = 0.6, c.d = 0.8; c is silent, as is d.
    found = await score(record_of("ab", "cd"), TableEmbedder(TABLE))
    # From a: b (0.8) is nearer than c and d, 1. From b: a (0.8) is nearer than d (0.6) and not than c (0.96), 1/2.
    assert found.metrics["auroc"] == pytest.approx(0.75)
    assert found.metrics["mean_difference"] == pytest.approx(((0.8 - 0.3) + (0.8 - 0.78)) / 2)
    assert [item.value for item in found.items] == pytest.approx([0.8, 0.8, 0.78, 0.3])


async def test_equal_windows_are_ties() -> None:
    found = await score(record_of("aaa", "aa"), TableEmbedder(TABLE))
    assert found.metrics == {"auroc": 0.5, "mean_difference": 0.0}


async def test_windows_that_share_a_word_are_nearer_and_parts_are_reported() -> None:
    silent = tuple(
        replace(one, kind=ExampleKind.SIMILAR) if at % 2 else one for at, one in enumerate(RECORD.score.non_activating)
    )
    found = await score(replace(RECORD, score=replace(RECORD.score, non_activating=silent)))
    area, kinds = found.metrics["auroc"], [found.breakdown[f"kind_{kind}"] for kind in ("random", "similar")]
    assert area is not None
    assert area > 0.55
    assert [part["n"] for part in kinds] == [10.0, 10.0]
    assert sum(part["auroc"] or 0.0 for part in kinds) / 2 == pytest.approx(area)
    assert sum(found.breakdown[f"decile_{decile}"]["n"] or 0.0 for decile in range(1, 11)) == 20


async def test_the_explanation_is_not_read() -> None:
    assert await score(text=HOSTILE) == await score(text="the word harbour")


@pytest.mark.parametrize(
    ("active", "silent", "reason"),
    [("ab", "", NO_SILENT), ("a", "cd", NO_PAIR), ("", "cd", NO_PAIR), ("", "", NO_PAIR)],
)
async def test_what_cannot_be_compared_is_undefined_with_a_reason(active: str, silent: str, reason: str) -> None:
    found = await score(record_of(active, silent), TableEmbedder(TABLE))
    assert found.metrics == {"auroc": None, "mean_difference": None}
    assert found.reasons == {"auroc": reason, "mean_difference": reason}


@pytest.mark.parametrize(("active", "silent"), [("abn", "cd"), ("ab", "cdn")])
async def test_a_window_without_an_embedding_enters_no_number(active: str, silent: str) -> None:
    found = await score(record_of(active, silent), TableEmbedder(TABLE))
    assert found.metrics["auroc"] == pytest.approx(0.75)
    (failed,) = [item for item in found.items if item.outcome is not Outcome.OK]
    assert (failed.text, failed.value, failed.outcome) == ("n", None, Outcome.ERROR)


async def test_without_an_embedder_it_is_refused() -> None:
    scorer = ExampleEmbeddingScorer(ExampleEmbeddingConfig())
    with pytest.raises(ConfigError, match="embedder"):
        await scorer.score(RECORD.for_scoring(), make_explanation(""), Resources(seed=0))


async def test_windows_of_one_document_are_not_compared() -> None:
    record = record_of("ab", "cd")
    again = make_example(["a"], [1.0], document=0, start=9)
    beside = make_example(["a"], document=0, start=5)
    half = replace(
        record.score,
        activating=(*record.score.activating, again),
        non_activating=(*record.score.non_activating, beside),
    )
    found = await score(replace(record, score=half), TableEmbedder(TABLE))
    # From either a: b (0.8) is nearer than c and d, 1. From b: both a (0.8) than d (0.6), not than c (0.96), and tie
    # with the silent a, 1/2. With windows of one document an equal text would be the nearest.
    assert found.metrics["auroc"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert found.breakdown["left_out"] == {"of_one_document": 4.0}
    values = {(item.text, item.key): item.value for item in found.items}
    assert [value for (text, _), value in values.items() if text == "a"] == [0.8, 0.8, 0.8]


async def test_activating_windows_of_one_document_only_are_no_pair() -> None:
    half = ExampleSet(
        tuple(make_example([one], [1.0], document=0, start=at) for at, one in enumerate("ab")),
        (make_example(["c"], document=1),),
    )
    found = await score(replace(RECORD, score=half), TableEmbedder(TABLE))
    assert found.metrics == {"auroc": None, "mean_difference": None}
    assert set(found.reasons.values()) == {NO_PAIR}
