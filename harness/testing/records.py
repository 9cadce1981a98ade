"""Feature records with a known rule: the feature fires on one word and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.examples.record import Example, ExampleKind, ExampleSet, FeatureRecord, FeatureStatistics
from harness.explainers.protocol import Explanation, Provenance
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

__all__ = ["FILLER", "make_example", "make_explanation", "make_record"]

FILLER: tuple[str, ...] = (
    " the", " river", " runs", " slowly", " past", " old", " stone", " walls", " and", " under", " bridges", " where",
    " people", " meet", " after", " work", " to", " talk", " about", " weather", ",", ".", " 12", "ing",
)  # fmt: skip
"""Tokens a planted feature is silent on."""


def make_example(
    tokens: Sequence[str],
    activations: Sequence[float] | None = None,
    *,
    document: int = 0,
    start: int = 0,
    kind: ExampleKind | None = None,
    decile: int | None = None,
) -> Example:
    """Return an example of ``tokens``; activating, in decile 10, if any of ``activations`` is above 0."""
    values = tuple(activations) if activations is not None else (0.0,) * len(tokens)
    active = any(value > 0 for value in values)
    return Example(
        document=document,
        start=start,
        tokens=tuple(tokens),
        token_ids=tuple(range(len(tokens))),
        activations=values,
        kind=kind or (ExampleKind.ACTIVATING if active else ExampleKind.RANDOM),
        decile=(decile or 10) if active else None,
    )


def make_record(
    *,
    word: str = " harbour",
    n_activating: int = 20,
    n_non_activating: int = 20,
    window_tokens: int = 24,
    most_active: int = 3,
    seed: int = 0,
    subject: str = "planted",
    feature: int = 0,
) -> FeatureRecord:
    """Return a record of a feature that fires on ``word`` only; both halves have the same numbers of examples.

    Activating windows hold the word one to ``most_active`` times at drawn places, with drawn activations; deciles are
    equally filled, the strongest windows first.
    """
    halves = []
    for half, first in (("explain", 0), ("score", 1_000)):
        rng = generator(seed, "planted record", feature, half)
        active = [_activating(rng, word, window_tokens, most_active) for _ in range(n_activating)]
        active.sort(key=lambda pair: max(pair[1]), reverse=True)
        activating = tuple(
            make_example(tokens, values, document=first + place, decile=10 - place * 10 // n_activating)
            for place, (tokens, values) in enumerate(active)
        )
        silent = tuple(
            make_example(_filler(rng, window_tokens), document=first + n_activating + place)
            for place in range(n_non_activating)
        )
        halves.append(ExampleSet(activating, silent))
    both = [example for half in halves for example in (*half.activating, *half.non_activating)]
    statistics = FeatureStatistics(
        n_tokens=len(both) * window_tokens,
        n_active_tokens=sum(value > 0 for example in both for value in example.activations),
        n_activating_windows=2 * n_activating,
        max_activation=max((example.max_activation for example in both), default=0.0),
    )
    return FeatureRecord(subject, feature, statistics, halves[0], halves[1], protocol="planted")


def make_explanation(text: str, *, set_name: str = "given", subject: str = "planted", feature: int = 0) -> Explanation:
    """Return ``text`` as an explanation written by hand."""
    return Explanation(subject, feature, set_name, text, Provenance("given", 1))


def _filler(rng: np.random.Generator, n: int) -> list[str]:
    return [FILLER[place] for place in rng.integers(len(FILLER), size=n).tolist()]


def _activating(rng: np.random.Generator, word: str, n: int, most_active: int) -> tuple[list[str], list[float]]:
    tokens, values = _filler(rng, n), [0.0] * n
    times = int(rng.integers(1, most_active + 1))
    for place in rng.choice(n, size=min(times, n), replace=False).tolist():
        tokens[place] = word
        values[place] = float(rng.uniform(1.0, 10.0))
    return tokens, values
