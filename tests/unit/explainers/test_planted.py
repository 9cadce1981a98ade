from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import UnknownNameError
from harness.explainers.builtin import CONTROLS, EXPLAINERS
from harness.explainers.config import PlantedTextConfig
from harness.explainers.planted import PlantedTrue
from harness.explainers.protocol import ExplainerResources
from harness.outcome import Outcome
from harness.planted.catalogue import CATALOGUES, FEATURES, believed
from harness.planted.features import SETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.examples.record import Example, ExplainRecord

NUMBER = next(place for place, feature in enumerate(FEATURES) if feature.name == "seafaring")
SHIP = ((" the", 0.0), (" ship", 10.0), (" sails", 6.0))


@pytest.fixture
def record(
    make_explain_record: Callable[..., ExplainRecord], make_window: Callable[..., Example]
) -> Callable[[int], ExplainRecord]:
    return lambda feature: make_explain_record(make_window(*SHIP), feature=feature)


async def test_the_explainer_writes_the_true_explanation(record: Callable[[int], ExplainRecord]) -> None:
    draft = await PlantedTrue(PlantedTextConfig()).explain(record(NUMBER), ExplainerResources(seed=0))
    assert (draft.text, draft.outcome) == ("words about ships and sailing", Outcome.OK)


@pytest.mark.parametrize("spec", [spec for spec in CONTROLS if spec.name.startswith("planted_")], ids=lambda s: s.name)
def test_each_control_writes_its_distortion(spec: object, record: Callable[[int], ExplainRecord]) -> None:
    name = spec.name.removeprefix("planted_")  # type: ignore[attr-defined]
    control = spec.resolve_factory()(PlantedTextConfig())  # type: ignore[attr-defined]
    assert control.build([record(NUMBER)], {}, 0)[NUMBER].text == believed(FEATURES, NUMBER, name).text
    estimate = control.estimate(20, 32)
    assert (estimate.calls, estimate.input_tokens) == (0, 0)
    assert 3 < estimate.explanation_tokens < 40


def test_every_distortion_has_a_control_with_a_rank() -> None:
    ranks = {spec.name: spec.rank for spec in CONTROLS}
    assert {f"planted_{name}" for name in SETS} - {"planted_true", "planted_empty"} <= set(ranks)
    assert "empty" in ranks
    assert "planted" in {spec.name for spec in EXPLAINERS}


@pytest.mark.parametrize("feature", [NUMBER - 1, len(FEATURES), 4000])
def test_a_feature_that_is_not_planted_has_no_explanation(feature: int, record: Callable[[int], ExplainRecord]) -> None:
    draft = PlantedTrue(PlantedTextConfig()).build([record(feature)], {}, 0)[feature]
    assert (draft.text, draft.outcome) == (None, Outcome.ERROR)
    assert "no planted feature" in (draft.error or "")


def test_output_features_are_known_by_number_alone(record: Callable[[int], ExplainRecord]) -> None:
    draft = PlantedTrue(PlantedTextConfig("output")).build([record(0)], {}, 0)[0]
    assert draft.text == CATALOGUES["output"][0].said["true"].text


def test_an_unknown_catalogue_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean input"):
        PlantedTextConfig("inputs")
