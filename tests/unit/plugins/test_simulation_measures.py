from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from harness_simulation.measures import NO_WINDOW, Predicted, Report, calibration_documents, measure

from harness.api import ExampleKind, FeatureStatistics, Sampling
from harness.testing import make_example, make_record

if TYPE_CHECKING:
    from collections.abc import Sequence

STATISTICS = FeatureStatistics(n_tokens=4_000, n_active_tokens=100, n_activating_windows=100, max_activation=10.0)
GOLDEN = ([0.0, 0.0, 5.0, 0.0], [0.0, 1.0, 4.0, 0.0]), ([10.0, 0.0, 0.0, 2.0], [9.0, 0.0, 1.0, 0.0])


def window(truth: Sequence[float], predicted: Sequence[float | None], document: int = 0, **changes: Any) -> Predicted:
    example = make_example([" x"] * len(truth), list(truth), document=document, **changes)
    return Predicted(example, tuple(predicted))


def measured(windows: Sequence[Predicted], *held_out: int, **changes: Any) -> Report:
    statistics = dataclasses.replace(STATISTICS, **changes.pop("statistics", {}))
    return measure(windows, statistics, held_out=frozenset(held_out), calibration=changes.pop("calibration", "linear"))


def drawn(slope: float, *, documents: int = 12, noise: float = 0.5, seed: int = 0) -> list[Predicted]:
    """Return windows, half of them silent, whose predictions follow the truth with ``slope``."""
    rng = np.random.default_rng(seed)
    windows = []
    for document in range(documents):
        truth = [0.0, 0.0, float(rng.uniform(2, 10)), 0.0] if document % 2 else [0.0] * 4
        predicted = [min(10.0, max(0.0, 5 + slope * (t - 2) + float(rng.normal(0, noise)))) for t in truth]
        windows.append(window(truth, predicted, document))
    return windows


def test_golden_values_over_all_tokens_and_as_a_mean_of_windows() -> None:
    report = measured([window(*one, document) for document, one in enumerate(GOLDEN)])
    assert report.metrics.values["r"] == pytest.approx(0.962929, abs=5e-7)
    assert report.metrics.values["r_mean_of_windows"] == pytest.approx(0.966117, abs=5e-7)
    assert report.parts["tokens"] == {"predicted": 8.0, "missing": 0.0}


def test_missing_predictions_enter_nothing() -> None:
    truth, predicted = [0.0, 5.0, 3.0, 0.0, 1.0], [0.5, 4.0, None, 0.0, 2.0]
    known = np.array([(t, p) for t, p in zip(truth, predicted, strict=True) if p is not None])
    report = measured([window(truth, predicted)])
    assert report.metrics.values["r"] == pytest.approx(np.corrcoef(known.T)[0, 1])
    assert report.parts["tokens"] == {"predicted": 4.0, "missing": 1.0}


def test_nothing_predicted_is_nothing_measured() -> None:
    report = measured([])
    assert set(report.metrics.values.values()) == {None}
    assert set(report.metrics.reasons.values()) == {NO_WINDOW}


def test_windows_that_were_missed_count_within_windows() -> None:
    """One window of 20 is predicted without a fault, in the other 19 nothing is; silent ones have nothing to miss."""
    active = [window([0.0, 4.0, 0.0, 1.0], [0.0, 8.0, 0.0, 2.0] if not one else [0.0] * 4, one) for one in range(20)]
    silent = [window([0.0] * 4, [0.0, 1.0, 0.0, 0.0], 20 + one, kind=ExampleKind.RANDOM) for one in range(20)]
    report = measured([*active, *silent])
    assert report.metrics.values["r_mean_of_windows"] == pytest.approx(1 / 20)
    assert report.parts["within_windows"] == {"n": 20.0, "constant_prediction": 19.0}
    level = [window([0.0, 4.0], [float(one)] * 2, one) for one in range(2)]
    assert measured(level).metrics.values["r_mean_of_windows"] == 0.0
    flat = [window([float(one)] * 2, [0.0, 1.0], one) for one in range(2)]
    assert measured(flat).metrics.reasons["r_mean_of_windows"] == "in no window do the true activations vary"


@pytest.mark.parametrize(
    ("truth", "predicted", "reason"),
    [
        ([0.0] * 4, [0.0, 1.0, 2.0, 3.0], "the true activations are all equal"),
        ([0.0, 1.0, 2.0, 3.0], [0.0] * 4, "the predictions are all equal"),
    ],
)
def test_what_is_constant_is_undefined_with_the_reason(truth: list[float], predicted: list[float], reason: str) -> None:
    report = measured([window(truth, predicted, document) for document in range(4)], 0, 1)
    assert set(report.metrics.values.values()) == {None}
    assert report.metrics.reasons["r"] == reason
    assert reason in report.metrics.reasons["r2_zero"]
    assert set(report.metrics.reasons) == set(report.metrics.values)


def test_calibrated_metrics_are_measured_on_other_documents_than_they_are_fitted_on() -> None:
    windows = drawn(0.6)
    held_out = [document for document in range(12) if document % 4 < 2]
    report = measured(windows, *held_out)
    assert (report.metrics.values["r2_mean"] or 0.0) > 0.5
    # Truth in other units is fitted as well; spoiling it where nothing is measured spoils the fit, and the other way
    # round the fit stays as it was.
    spoilt = [
        window([t * 50 for t in one.example.activations], one.values, one.example.document)
        if one.example.document in held_out
        else one
        for one in windows
    ]
    other = measured(spoilt, *held_out)
    assert other.parts["calibration"]["slope"] == pytest.approx(50 * (report.parts["calibration"]["slope"] or 0.0))
    assert (other.metrics.values["r2_mean"] or 0.0) < 0
    elsewhere = [
        one if one.example.document in held_out else window([1.0, 0.0, 3.0, 0.0], one.values, one.example.document)
        for one in windows
    ]
    assert measured(elsewhere, *held_out).parts["calibration"] == report.parts["calibration"]


@pytest.mark.parametrize("calibration", ["linear", "percentile"])
def test_the_units_of_the_feature_are_nothing(calibration: str) -> None:
    windows = drawn(0.6)
    scaled = [window([t * 1e-3 for t in w.example.activations], w.values, w.example.document) for w in windows]
    one, other = (measured(each, 0, 1, 4, 5, calibration=calibration).metrics.values for each in (windows, scaled))
    assert other == {name: pytest.approx(value) for name, value in one.items()}


@pytest.mark.parametrize("calibration", ["linear", "percentile"])
def test_predictions_against_the_truth_get_no_credit(calibration: str) -> None:
    report = measured(drawn(-0.6), 0, 1, 4, 5, calibration=calibration)
    assert (report.metrics.values["r"] or 0.0) < -0.5
    assert (report.parts["calibration"]["slope"] or 0.0) < 0
    assert (report.metrics.values["r2_mean"] or 0.0) <= 0.01


def test_windows_at_random_weigh_what_they_are_in_the_corpus() -> None:
    """1,000 windows of four tokens, 100 of them activating: a tenth of a random draw."""
    active = [
        window([0.0, 6.0, 0.0, 0.0], [1.0, 7.0, 0.0, 2.0], 1),
        window([0.0, 0.0, 3.0, 0.0], [0.0, 4.0, 1.0, 0.0], 2),
    ]
    silent = [window([0.0] * 4, [0.0, 3.0, 0.0, 1.0], 3)]
    corpus = [*active, *(silent * 18)]
    truth = np.concatenate([one.example.activations for one in corpus])
    predicted = np.concatenate([np.array(one.values, dtype=float) for one in corpus])
    report = measured([*active, *silent])
    assert report.metrics.values["r_random_only"] == pytest.approx(np.corrcoef(truth, predicted)[0, 1])
    assert report.metrics.values["r_random_only"] != pytest.approx(report.metrics.values["r"])


def test_every_decile_has_the_same_share_of_a_random_draw() -> None:
    strong = [window([0.0, 9.0], [0.0, 9.0], document, decile=10) for document in range(3)]
    weak = [window([0.0, 1.0], [5.0, 1.0], 9, decile=1)]
    silent = [window([0.0, 0.0], [0.0, 1.0], 10)]
    few, many = (measured([*part, *weak, *silent]).metrics.values["r_random_only"] for part in (strong[:1], strong))
    assert few == pytest.approx(many)


@pytest.mark.parametrize(
    ("windows", "statistics", "words"),
    [
        ([window([0.0, 6.0], [1.0, 7.0])], {}, "drawn at random"),
        ([window([0.0, 6.0], [1.0, 7.0]), window([0.0] * 2, [0.0, 1.0], kind=ExampleKind.SIMILAR)], {}, "at random"),
        ([window([0.0] * 2, [1.0, 7.0])], {}, "activating windows"),
        (
            [window([0.0, 6.0], [1.0, 7.0]), window([0.0] * 2, [0.0, 1.0])],
            {"sampling": Sampling(0.1, 10, 10)},
            "sampled",
        ),
        ([window([0.0, 6.0], [1.0, 7.0]), window([0.0] * 2, [0.0, 1.0])], {"n_activating_windows": 0}, "all equal"),
    ],
)
def test_a_random_draw_that_the_record_cannot_stand_for_is_none(
    windows: list[Predicted], statistics: dict[str, Any], words: str
) -> None:
    report = measured(windows, statistics=statistics)
    assert report.metrics.values["r_random_only"] is None
    assert words in report.metrics.reasons["r_random_only"]


def test_parts_are_by_decile_and_by_kind() -> None:
    windows = [
        window([0.0, 9.0], [0.0, 9.0], 1, decile=10),
        window([0.0, 1.0], [6.0, 1.0], 2, decile=1),
        window([0.0, 0.0], [0.0, 1.0], 3),
        window([0.0, 0.0], [8.0, 8.0], 4, kind=ExampleKind.SIMILAR),
    ]
    parts = measured(windows).parts
    whole = ["within_windows", "tokens", "calibration"]
    assert list(parts) == ["decile_10", "decile_1", "kind_random", "kind_similar", *whole]
    assert (parts["decile_10"]["r"] or 0.0) > (parts["decile_1"]["r"] or 0.0)
    assert (parts["kind_random"]["r"] or 0.0) > (parts["kind_similar"]["r"] or 0.0)
    assert parts["kind_similar"]["mean_predicted"] == 8.0
    assert {part["n"] for name, part in parts.items() if name not in whole} == {1.0}


@pytest.mark.parametrize("seed", range(5))
def test_halves_share_no_document_and_both_have_both_kinds(seed: int) -> None:
    score = make_record().score
    examples = (*score.activating, *score.non_activating)
    held_out = calibration_documents(examples, seed)
    assert held_out == calibration_documents(tuple(reversed(examples)), seed)
    for side in (score.activating, score.non_activating):
        assert sum(example.document in held_out for example in side) == 10
    assert held_out != calibration_documents(examples, seed + 1)


@pytest.mark.parametrize(("n", "expected"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_few_documents_are_halved_downwards(n: int, expected: int) -> None:
    examples = [make_example([" x"], [1.0], document=document) for document in range(n)]
    assert len(calibration_documents(examples, 0)) == expected
