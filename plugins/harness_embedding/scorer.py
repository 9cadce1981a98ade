"""The embedding scorer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.api import Item, Outcome, Score, ScorerEstimate, breakdown, embedder_of, graded_auroc
from harness_embedding.prompt import query_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import Embedder, Example, ExampleShape, Explanation, Resources, ScoreRecord
    from harness_embedding.config import EmbeddingConfig

__all__ = ["EmbeddingScorer"]

_DIGITS = 6  # float32 cosines carry no more; the same windows then give the same ties on any machine


class EmbeddingScorer:
    """Grades every window by its cosine with the explanation; the score is the AUROC of activating ones.

    Paulo et al. 2024 (arXiv 2410.13928, section 3.2). An empty explanation says nothing, so every window gets the
    same grade and the score is 0.5, not an embedding of the empty text.
    """

    def __init__(self, config: EmbeddingConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``auroc``."""
        return "auroc"

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        """Return the score of ``explanation`` over all windows of the record.

        Raises:
            ConfigError: If there is no embedder.
        """
        embedder = embedder_of(resources, "embedding")
        examples = (*record.examples.activating, *record.examples.non_activating)
        cosines = await self._cosines(explanation.text, [example.text for example in examples], embedder)
        items = tuple(_item(example, cosine) for example, cosine in zip(examples, cosines, strict=True))
        value, why = graded_auroc(items)
        return Score(
            metrics={"auroc": value},
            items=items,
            reasons={} if why is None else {"auroc": why},
            breakdown=breakdown(items, graded="mean_cosine"),
        )

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:  # noqa: ARG002  -- the protocol's signature
        """Return zero: no judge is asked."""
        return ScorerEstimate()

    async def _cosines(self, explanation: str, texts: Sequence[str], embedder: Embedder) -> list[float]:
        if not explanation.strip() or not texts:
            return [0.0] * len(texts)
        instruction = self.config.query_instruction
        if instruction is None:
            instruction = str(embedder.identity.get("query_instruction") or "")
        vectors = (await embedder.embed((query_text(instruction, explanation), *texts))).astype("float64")
        # Row by row, not as one product: the sum of a row must not depend on how many rows there are.
        return [round(float((vectors[0] * row).sum()), _DIGITS) for row in vectors[1:]]


def _item(example: Example, cosine: float) -> Item:
    known = math.isfinite(cosine)
    return Item(
        key=example.key,
        kind=str(example.kind),
        decile=example.decile,
        truth=example.activating,
        prediction=None,
        value=cosine if known else None,
        outcome=Outcome.OK if known else Outcome.ERROR,
        text=example.text,
        error=None if known else "the embedding of the window is not finite",
    )
