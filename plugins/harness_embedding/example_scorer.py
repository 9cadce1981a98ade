"""The example-embedding scorer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import Item, Outcome, Score, ScorerEstimate, WindowScorer, auroc, embedder_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.api import Embedder, Example, ExampleShape, Resources, ScoreRecord
    from harness_embedding.config import ExampleEmbeddingConfig

__all__ = ["ExampleEmbeddingScorer"]

_DIGITS = 6  # float32 cosines carry no more; the same windows then give the same ties on any machine
NO_PAIR = "there are no two activating windows of different documents whose embeddings are known"
NO_SILENT = "there is no silent window of another document whose embedding is known"


@dataclass(frozen=True, slots=True)
class _Anchor:
    """One activating window, and the cosine of each window of another document that it is compared with."""

    example: Example
    near: tuple[float, ...]
    far: tuple[tuple[str, float], ...]

    def area(self, kind: str | None = None) -> float | None:
        """Return the share of (activating, silent) pairs of which the activating one is nearer, ties half."""
        return auroc(self.near, [cosine for origin, cosine in self.far if kind in {None, origin}])


class ExampleEmbeddingScorer(WindowScorer):
    """Compares every activating window with the other activating ones and with the silent ones, in embedding space.

    It reads no explanation: it says how much the activating windows have in common by topic. All explanations of a
    feature get the same score. Windows of one document share its topic whatever the feature, so they are not compared.
    """

    def __init__(self, config: ExampleEmbeddingConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``auroc``."""
        return "auroc"

    async def score_windows(self, record: ScoreRecord, resources: Resources) -> Score:
        """Return the score of the record's windows.

        Raises:
            ConfigError: If there is no embedder.
        """
        embedder = embedder_of(resources, "example_embedding")
        examples = (*record.examples.activating, *record.examples.non_activating)
        cosines = await _cosines([example.text for example in examples], embedder)
        known = [place for place, row in enumerate(cosines) if math.isfinite(row[place])]
        anchors = [_anchor(examples, cosines, known, place) for place in known if examples[place].activating]
        items = tuple(_item(example, place, cosines, examples, known) for place, example in enumerate(examples))
        metrics = {
            "auroc": _mean(anchor.area() for anchor in anchors),
            "mean_difference": _mean(_difference(anchor) for anchor in anchors),
        }
        why = NO_SILENT if any(anchor.near for anchor in anchors) else NO_PAIR
        return Score(
            metrics=metrics,
            items=items,
            reasons={name: why for name, value in metrics.items() if value is None},
            breakdown=_breakdown(anchors, [examples[place] for place in known]),
        )

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:  # noqa: ARG002  -- the protocol's signature
        """Return zero: no judge is asked."""
        return ScorerEstimate()


async def _cosines(texts: Sequence[str], embedder: Embedder) -> list[list[float]]:
    """Return the cosine of every text with every other one; not a number where an embedding is not finite."""
    if not texts:
        return []
    vectors = (await embedder.embed(tuple(texts))).astype("float64")
    # Row by row, not as one product: the sum of a row must not depend on how many rows there are.
    return [[round(float(value), _DIGITS) for value in (vectors * row).sum(axis=1).tolist()] for row in vectors]


def _anchor(
    examples: Sequence[Example], cosines: Sequence[Sequence[float]], known: Sequence[int], place: int
) -> _Anchor:
    row = cosines[place]
    others = [other for other in known if examples[other].document != examples[place].document]
    return _Anchor(
        examples[place],
        tuple(row[other] for other in others if examples[other].activating),
        tuple((str(examples[other].kind), row[other]) for other in others if not examples[other].activating),
    )


def _difference(anchor: _Anchor) -> float | None:
    if not anchor.near or not anchor.far:
        return None
    far = math.fsum(cosine for _, cosine in anchor.far) / len(anchor.far)
    return math.fsum(anchor.near) / len(anchor.near) - far


def _mean(measures: Iterable[float | None]) -> float | None:
    """Return the mean over anchors, of those that have one."""
    values = [value for value in measures if value is not None]
    return math.fsum(values) / len(values) if values else None


def _breakdown(anchors: Sequence[_Anchor], known: Sequence[Example]) -> dict[str, dict[str, float | None]]:
    """Return the AUROC by decile of the window compared, and by kind of the silent windows; and what was left out."""
    parts: dict[str, dict[str, float | None]] = {}
    for decile in sorted({anchor.example.decile or 0 for anchor in anchors} - {0}, reverse=True):
        own = [anchor for anchor in anchors if anchor.example.decile == decile]
        parts[f"decile_{decile}"] = {"n": float(len(own)), "auroc": _mean(anchor.area() for anchor in own)}
    silent = [str(example.kind) for example in known if not example.activating]
    for kind in sorted(set(silent)) if anchors else ():
        parts[f"kind_{kind}"] = {
            "n": float(silent.count(kind)),
            "auroc": _mean(anchor.area(kind) for anchor in anchors),
        }
    compared = sum(len(anchor.near) + len(anchor.far) for anchor in anchors)
    parts["left_out"] = {"of_one_document": float(len(anchors) * (len(known) - 1) - compared)}
    return parts


def _item(
    example: Example, place: int, cosines: Sequence[Sequence[float]], examples: Sequence[Example], known: Sequence[int]
) -> Item:
    """Return the evidence of one window: its mean cosine with the activating windows of other documents."""
    fine = place in known
    others = [
        cosines[place][other]
        for other in known
        if examples[other].activating and examples[other].document != example.document
    ]
    return Item(
        key=example.key,
        kind=str(example.kind),
        decile=example.decile,
        truth=example.activating,
        prediction=None,
        value=math.fsum(others) / len(others) if fine and others else None,
        outcome=Outcome.OK if fine else Outcome.ERROR,
        text=example.text,
        error=None if fine else "the embedding of the window is not finite",
    )
