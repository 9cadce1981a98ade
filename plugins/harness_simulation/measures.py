"""From the predictions of all windows to numbers, each named for what it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from harness.api import (
    ExampleKind,
    Measure,
    Metrics,
    absdev_zero,
    fit_linear,
    fit_percentiles,
    generator,
    pearson,
    r2_mean,
    r2_zero,
)
from harness_simulation.config import LINEAR

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.api import Calibration, Example, FeatureStatistics, Fitted

__all__ = ["Predicted", "Report", "calibration_documents", "measure"]

Part = dict[str, float | None]

NO_WINDOW = "no window was predicted"
_CALIBRATED = {"r2_zero": r2_zero, "r2_mean": r2_mean, "absdev_zero": absdev_zero}


@dataclass(frozen=True, slots=True)
class Predicted:
    """A window with a prediction for some or all of its tokens."""

    example: Example
    values: tuple[float | None, ...]

    @property
    def pairs(self) -> list[tuple[float, float]]:
        """Return the true and the predicted activation of each token that has a prediction."""
        both = zip(self.example.activations, self.values, strict=True)
        return [(truth, value) for truth, value in both if value is not None]


@dataclass(frozen=True, slots=True)
class Report:
    """The metrics, and what else the record says: by part of the windows, of the tokens, of the calibration."""

    metrics: Metrics
    parts: dict[str, Part]


def measure(
    windows: Sequence[Predicted],
    statistics: FeatureStatistics,
    *,
    held_out: frozenset[int],
    calibration: str,
) -> Report:
    """Return every metric of the scorer.

    Args:
        windows: Those that were predicted.
        statistics: Of the feature, over the whole corpus.
        held_out: Documents whose windows the calibration is fitted on, and no calibrated metric is measured on.
        calibration: ``linear`` or ``percentile``.
    """
    together, within = _together(windows), _within(windows)
    fitted = _fit([one for one in windows if one.example.document in held_out], calibration)
    measures = {
        "r": together,
        "r_random_only": _at_random(windows, statistics),
        # Predictions that are all equal, in all windows, are no predictions: undefined as r is.
        "r_mean_of_windows": together if together.value is None else _mean(within),
        **_calibrated([one for one in windows if one.example.document not in held_out], fitted),
    }
    if not windows:
        measures = dict.fromkeys(measures, Measure(None, NO_WINDOW))
    return Report(
        Metrics(
            {name: found.value for name, found in measures.items()},
            {name: found.reason for name, found in measures.items() if found.reason is not None},
        ),
        {
            **_by_part(windows),
            "within_windows": {"n": float(len(within)), "constant_prediction": float(within.count(None))},
            "tokens": _token_counts(windows),
            "calibration": _facts(fitted.calibration),
        },
    )


def calibration_documents(examples: Sequence[Example], seed: int) -> frozenset[int]:
    """Return the documents to calibrate on: about half of those with activating windows, and half of the others.

    They depend on the windows and the seed alone, so all explanations of a feature are compared on the same halves.
    """
    active = {example.document for example in examples if example.activating}
    silent = {example.document for example in examples} - active
    draws = generator(seed, "calibration")
    chosen: list[int] = []
    for documents in (sorted(active), sorted(silent)):
        order = draws.permutation(len(documents)).tolist()
        chosen += [documents[place] for place in order[: len(documents) // 2]]
    return frozenset(chosen)


def _columns(windows: Iterable[Predicted]) -> tuple[list[float], list[float]]:
    pairs = list(chain.from_iterable(one.pairs for one in windows))
    return [truth for truth, _ in pairs], [value for _, value in pairs]


def _together(windows: Sequence[Predicted]) -> Measure:
    return pearson(*_columns(windows))


def _within(windows: Sequence[Predicted]) -> list[float | None]:
    """Return the correlation within each window in which the truth varies; None where the prediction does not."""
    varied = [one for one in windows if pearson(truth := _columns([one])[0], truth).value is not None]
    return [_together([one]).value for one in varied]


def _mean(within: Sequence[float | None]) -> Measure:
    """Return the mean over windows; a constant prediction tells no token from another, which is a correlation of 0.

    Without it, to predict nothing at all in the windows one does not understand would raise the mean.
    """
    if not within:
        return Measure(None, "in no window do the true activations vary")
    return Measure(math.fsum(one or 0.0 for one in within) / len(within))


def _at_random(windows: Sequence[Predicted], statistics: FeatureStatistics) -> Measure:
    """Return the correlation over windows as a random draw from the corpus would have them.

    A record has far more activating windows than the corpus. They, and the silent ones that were drawn at random, are
    weighted so that either kind has the share it has in the corpus, and every decile the same share of the first.
    """
    active = [one for one in windows if one.example.activating]
    silent = [one for one in windows if one.example.kind is ExampleKind.RANDOM]
    if not active or not silent:
        return Measure(None, "it takes activating windows and silent ones that were drawn at random")
    if statistics.sampling is not None:
        return Measure(
            None, "contexts of the feature were sampled, so the share of its windows in the corpus is unknown"
        )
    n_windows = statistics.n_tokens / len(active[0].example.tokens)
    share = min(1.0, statistics.n_activating_windows / n_windows) if n_windows else 0.0
    deciles = [one.example.decile for one in active]
    weights = [share / len(set(deciles)) / deciles.count(decile) for decile in deciles]
    weights += [(1 - share) / len(silent)] * len(silent)
    chosen = [*active, *silent]
    per_token = [weight for weight, one in zip(weights, chosen, strict=True) for _ in one.pairs]
    return pearson(*_columns(chosen), per_token)


def _fit(windows: Sequence[Predicted], calibration: str) -> Fitted:
    truth, predicted = _columns(windows)
    return (fit_linear if calibration == LINEAR else fit_percentiles)(predicted, truth)


def _calibrated(windows: Sequence[Predicted], fitted: Fitted) -> dict[str, Measure]:
    if fitted.calibration is None:
        return dict.fromkeys(_CALIBRATED, Measure(None, f"no calibration on the held-out windows: {fitted.reason}"))
    truth, predicted = _columns(windows)
    related = pearson(truth, predicted)
    if related.value is None:
        return dict.fromkeys(_CALIBRATED, related)
    mapped = [fitted.calibration(value) for value in predicted]
    return {name: explained(truth, mapped) for name, explained in _CALIBRATED.items()}


def _by_part(windows: Sequence[Predicted]) -> dict[str, Part]:
    """Return r by decile, each with all silent windows, and by kind of silent window, each with all activating ones."""
    active = [one for one in windows if one.example.activating]
    silent = [one for one in windows if not one.example.activating]
    parts: dict[str, Part] = {}
    for decile in sorted({one.example.decile for one in active if one.example.decile is not None}, reverse=True):
        own = [one for one in active if one.example.decile == decile]
        parts[f"decile_{decile}"] = _part(own, [*own, *silent])
    for kind in sorted({str(one.example.kind) for one in silent}):
        own = [one for one in silent if str(one.example.kind) == kind]
        parts[f"kind_{kind}"] = _part(own, [*active, *own])
    return parts


def _part(own: Sequence[Predicted], compared: Sequence[Predicted]) -> Part:
    predicted = _columns(own)[1]
    mean = math.fsum(predicted) / len(predicted) if predicted else None
    return {"n": float(len(own)), "r": _together(compared).value, "mean_predicted": mean}


def _token_counts(windows: Sequence[Predicted]) -> Part:
    n_predicted = sum(len(one.pairs) for one in windows)
    n_tokens = sum(len(one.values) for one in windows)
    return {"predicted": float(n_predicted), "missing": float(n_tokens - n_predicted)}


def _facts(calibration: Calibration | None) -> Part:
    if calibration is None:
        return {"slope": None, "intercept": None}
    return {"slope": calibration.slope, "intercept": calibration.intercept}
