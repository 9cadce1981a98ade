"""Registers the four FADE scorers."""

from __future__ import annotations

from harness.api import MetricSpec, Need, ScorerSpec, hookimpl

__all__ = ["CLARITY", "FAITHFULNESS", "PURITY", "RESPONSIVENESS", "harness_scorers"]

_CITATION = "Puri et al. 2025, arXiv 2502.16994 (FADE)"
_ABOVE_NULL = "how much of what is possible beyond luck its size reaches, signed"


def _gini(what: str) -> MetricSpec:
    return MetricSpec("signed_gini", f"2 AUROC - 1 of {what}", low=-1.0, chance=0.0)


def _paper(name: str, what: str) -> MetricSpec:
    return MetricSpec(name, f"the paper's: {what}", published=True)


CLARITY = ScorerSpec(
    name="clarity",
    version=3,
    summary="Do texts a judge writes after the explanation activate the feature more than natural ones?",
    factory="harness_fade.clarity:ClarityScorer",
    config="harness_fade.config:ClarityConfig",
    example_needs="harness_fade.config:clarity_needs",
    citation=f"{_CITATION}, clarity",
    metrics=(
        _gini("written texts against natural ones without the concept, weighted to the corpus"),
        MetricSpec("gini_above_null", f"signed_gini: {_ABOVE_NULL}", low=-1.0, chance=0.0),
        _paper("fade_clarity", "size of 2 AUROC - 1, written texts against all natural ones"),
    ),
    primary_metric="signed_gini",
    needs=frozenset({Need.JUDGE, Need.SUBJECT}),
    fidelity="input",
    aspect="clarity",
)

RESPONSIVENESS = ScorerSpec(
    name="responsiveness",
    version=3,
    summary="Does the feature activate more on texts that hold the concept, as a judge rates them, than on others?",
    factory="harness_fade.responsiveness:ResponsivenessScorer",
    config="harness_fade.config:ResponsivenessConfig",
    example_needs="harness_fade.config:rated_needs",
    citation=f"{_CITATION}, responsiveness",
    metrics=(
        _gini("natural texts rated 2 against those rated 0"),
        MetricSpec("gini_above_null", f"signed_gini: {_ABOVE_NULL}", low=-1.0, chance=0.0),
        _paper("fade_responsiveness", "size of 2 AUROC - 1 of texts rated 2 against 0"),
    ),
    primary_metric="signed_gini",
    needs=frozenset({Need.JUDGE}),
    fidelity="input",
    aspect="responsiveness",
)

PURITY = ScorerSpec(
    name="purity",
    version=3,
    summary="When the feature activates, does the text hold the concept, as a judge rates it?",
    factory="harness_fade.purity:PurityScorer",
    config="harness_fade.config:PurityConfig",
    example_needs="harness_fade.config:rated_needs",
    citation=f"{_CITATION}, purity",
    metrics=(
        MetricSpec("precision_above_null", "average precision, beyond what it is by luck", low=-1.0, chance=0.0),
        MetricSpec("average_precision", "average precision of texts rated 2 against 0; near their share by luck"),
        MetricSpec("average_precision_corpus", "the same with texts weighted to the corpus"),
        _paper("fade_purity", "average precision, turned round where 2 AUROC - 1 is below 0"),
    ),
    primary_metric="precision_above_null",
    needs=frozenset({Need.JUDGE}),
    fidelity="input",
    aspect="purity",
)

FAITHFULNESS = ScorerSpec(
    name="faithfulness",
    version=2,
    summary="Does the subject write what the explanation names when the feature is turned up?",
    factory="harness_fade.faithfulness:FaithfulnessScorer",
    config="harness_fade.config:FaithfulnessConfig",
    example_needs="harness_fade.config:faithfulness_needs",
    citation=f"{_CITATION}, faithfulness",
    metrics=(
        MetricSpec(
            "rise_over_unmodified",
            "largest rise of the share rated 2 over the model as it is, beyond luck",
            -1.0,
            1.0,
            0.0,
        ),
        MetricSpec("rise_over_ablated", "the same over the model with the feature ablated", -1.0, 1.0, 0.0),
        _paper("fade_faithfulness", "largest rise over the ablated feature, behind its gate"),
    ),
    primary_metric="rise_over_unmodified",
    needs=frozenset({Need.JUDGE, Need.SUBJECT, Need.WRITES}),
    fidelity="output",
    aspect="faithfulness",
)


@hookimpl
def harness_scorers() -> tuple[ScorerSpec, ...]:
    """Return the four scorers."""
    return (CLARITY, RESPONSIVENESS, PURITY, FAITHFULNESS)
