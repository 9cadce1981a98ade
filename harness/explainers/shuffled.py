"""``shuffled``: every feature gets another feature's explanation, the floor that any real set must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.explainers.protocol import Draft
from harness.outcome import Outcome
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.examples.record import ExplainRecord
    from harness.explainers.config import ShuffledConfig
    from harness.explainers.protocol import Explanation

__all__ = ["Shuffled", "derange"]


class Shuffled:
    """Exchanges the explanations of one subject's features among them."""

    def __init__(self, config: ShuffledConfig) -> None:
        self._config = config

    def build(
        self, records: Sequence[ExplainRecord], explanations: Mapping[int, Explanation], seed: int
    ) -> dict[int, Draft]:
        """Return another feature's explanation for every feature that has one of its own.

        The exchange is a bijection, so the set holds the very texts of the real one, and a feature without an
        explanation is compared on neither side. With fewer than two explanations there is nothing to exchange.
        """
        texts = {
            record.feature: explanations[record.feature].text for record in records if record.feature in explanations
        }
        sources = derange(texts, seed) if len(texts) > 1 else {}
        return {record.feature: _draft(record.feature, texts, sources) for record in records}


def derange(texts: Mapping[int, str], seed: int) -> dict[int, int]:
    """Return for each feature the feature whose text it gets: a bijection without fixed points.

    Features with the same text (but for case, white space and a final full stop) are put next to each other, within
    and between the groups at random, and all are moved on by the size of the largest group. No feature gets its own
    text back unless one group holds more than half of all features; then as few do as is possible.

    Args:
        texts: Explanations by feature, at least two.
        seed: Seed of the draw.
    """
    draw = generator(seed, "shuffled")
    groups: dict[str, list[int]] = {}
    for feature in sorted(texts):
        groups.setdefault(_same(texts[feature]), []).append(feature)
    ordered = list(groups.values())
    ring = [
        ordered[place][member]
        for place in draw.permutation(len(ordered))
        for member in draw.permutation(len(ordered[place]))
    ]
    step = max(len(group) for group in ordered)
    step = 1 if step == len(ring) else step
    return {feature: ring[(place + step) % len(ring)] for place, feature in enumerate(ring)}


def _same(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(". ")


def _draft(feature: int, texts: Mapping[int, str], sources: Mapping[int, int]) -> Draft:
    if feature not in texts:
        return Draft(None, Outcome.ERROR, error=f"feature {feature} has no explanation, so it gets no other one")
    if not sources:
        return Draft(None, Outcome.ERROR, error="only one feature of the subject has an explanation: none to exchange")
    return Draft(texts[sources[feature]], source_feature=sources[feature])
