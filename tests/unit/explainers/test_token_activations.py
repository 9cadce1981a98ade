from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.examples.record import ExampleSet, ExplainRecord, FeatureStatistics
from harness.explainers.config import TokenActivationsConfig
from harness.explainers.protocol import ExplainerResources
from harness.explainers.token_activations import (
    STEM,
    TokenActivations,
    integer_levels,
    token_activation_messages,
)
from harness.outcome import Outcome
from harness.testing.judges import ScriptedJudge
from harness.testing.records import make_example


def levels(*values: float) -> list[int]:
    example = make_example([f" t{place}" for place in range(len(values))], values)
    return [level for _, level in integer_levels([example])[0]]


def record(*windows: tuple[float, ...]) -> ExplainRecord:
    examples = tuple(make_example([f" t{place}" for place in range(len(one))], one) for one in windows)
    return ExplainRecord("planted", 7, FeatureStatistics(100, 2, 2, 8.0), ExampleSet(examples, ()))


def test_strengths_are_floored_and_only_the_largest_is_10() -> None:
    assert levels(0.0, 0.99, 1.0, 9.99, 10.0, -3.0) == [0, 0, 1, 9, 10, 0]


@pytest.mark.parametrize("values", [(0.0, 0.0), (-1.0, -2.0)])
def test_where_the_largest_is_not_positive_all_are_0(values: tuple[float, ...]) -> None:
    assert levels(*values) == [0, 0]


def test_the_largest_is_that_of_all_windows_shown() -> None:
    found = integer_levels([make_example([" a"], [8.0]), make_example([" b"], [4.0])])
    assert found == [[(" a", 10)], [(" b", 5)]]


@given(st.lists(st.floats(-5, 50, allow_nan=False), min_size=1, max_size=20))
def test_strengths_are_from_0_to_10_and_keep_the_order(values: list[float]) -> None:
    found = levels(*values)
    assert all(0 <= level <= 10 for level in found)
    ordered = [level for _, level in sorted(zip(values, found, strict=True))]
    assert ordered == sorted(ordered)


def test_a_record_is_a_token_and_its_strength_a_line() -> None:
    question = token_activation_messages(record((0.0, 8.0, 4.0)), TokenActivationsConfig())[-1].content
    assert question.startswith("<start>\n t0\t0\n t1\t10\n t2\t5\n<end>\n\n")
    assert question.endswith(STEM)
    assert "without the zeros" not in question


@pytest.mark.parametrize(("active", "again"), [(1, True), (2, False)])
def test_sparse_records_are_given_again_without_zeros(active: int, again: bool) -> None:
    values = (5.0,) * active + (0.0,) * (10 - active)  # a share of 0.1, and one of 0.2, which is not under 0.2
    question = token_activation_messages(record(values), TokenActivationsConfig())[-1].content
    assert ("The same without the zeros:\n<start>\n t0\t10\n<end>" in question) is again


def test_worked_examples_have_the_same_form() -> None:
    messages = token_activation_messages(record((1.0,)), TokenActivationsConfig(few_shots=1))
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]
    assert "\n violin\t9\n" in messages[1].content
    assert "\n<<" not in messages[1].content
    assert messages[1].content.endswith(STEM)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (" musical instruments", "musical instruments"),
        ("The feature responds to musical instruments.", "musical instruments."),
        ("[EXPLANATION]: This neuron fires on musical instruments", "musical instruments"),
        ("The feature responds to", None),
        ("The feature responds to ...", None),
        ("one\ntwo", None),
    ],
)
async def test_the_answer_goes_on_from_the_stem(reply: str, text: str | None) -> None:
    llm = ScriptedJudge([reply])
    draft = await TokenActivations(TokenActivationsConfig()).explain(record((1.0,)), ExplainerResources(1, llm))
    assert draft.text == text
    assert draft.outcome is (Outcome.OK if text else Outcome.UNPARSED)


@pytest.mark.parametrize("options", [{"few_shots": 4}, {"max_windows": 0}, {"max_tokens": 0}])
def test_parameters_out_of_range_are_refused_by_name(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        TokenActivationsConfig(**options)
