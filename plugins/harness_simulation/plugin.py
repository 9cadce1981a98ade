"""Registers the simulation scorer."""

from __future__ import annotations

from harness.api import MetricSpec, Need, ScorerSpec, hookimpl

__all__ = ["SIMULATION", "harness_scorers"]

SIMULATION = ScorerSpec(
    name="simulation",
    version=3,
    summary="Can the activation on every token be predicted from the explanation? Asked of a judge",
    factory="harness_simulation.scorer:SimulationScorer",
    config="harness_simulation.config:SimulationConfig",
    citation="Bills et al. 2023, Language models can explain neurons in language models (simulation)",
    metrics=(
        MetricSpec("r", "Pearson correlation over the tokens of all windows", low=-1.0, chance=0.0),
        MetricSpec("r_random_only", "the same over windows as they come at random in the corpus", low=-1.0, chance=0.0),
        MetricSpec(
            "r_mean_of_windows",
            "mean of the correlations within windows, 0 for a constant prediction",
            low=-1.0,
            chance=0.0,
        ),
        MetricSpec("r2_zero", "squared activation explained, about zero, held-out calibration", low=None),
        MetricSpec("r2_mean", "variance explained, about the mean, held-out calibration", low=None, chance=0.0),
        MetricSpec("absdev_zero", "absolute activation explained, held-out calibration", low=None),
    ),
    primary_metric="r",
    needs=frozenset({Need.JUDGE}),
    fidelity="input",
    check="harness_simulation.scorer:check",
)


@hookimpl
def harness_scorers() -> tuple[ScorerSpec, ...]:
    """Return the simulation scorer."""
    return (SIMULATION,)
