from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.activations.facts import FeatureFacts
from harness.errors import ConfigError, HarnessError, UnknownNameError
from harness.examples.where import Condition

RARE = FeatureFacts(3, 10, 1e-4, max=5.0, mean=2.0, positional_share=0.1, token_share=0.95, previous_share=0.2)
DEAD = FeatureFacts(4, 0, 0.0)


@pytest.mark.parametrize(
    ("text", "rare", "dead"),
    [
        ("density > 1e-5", True, False),
        ("1e-5 < density <= 1e-4", True, False),
        ("not dead", True, False),
        ("single_token", True, False),
        ("single_token and max > 6", False, False),
        ("single_token or dead", True, True),
        ("not (single_token or dead)", False, False),
        ("max < 100", True, False),
        ("max >= -1", True, False),
        ("feature != 3", False, True),
        ("n_active == 10", True, False),
        (" mean == 2 ", True, False),
    ],
)
def test_conditions_hold_or_not(text: str, rare: bool, dead: bool) -> None:
    condition = Condition(text)
    assert (condition.holds(RARE), condition.holds(DEAD)) == (rare, dead)


def test_the_facts_named_are_shown() -> None:
    assert Condition("density > 1 and not single_token and max > 1").detail(RARE) == (
        "density 0.0001, single_token yes, max 5"
    )
    assert Condition("max > 1").detail(DEAD) == "max none"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no condition"),
        ("density >", "is no condition"),
        ("density", "'density' is a number, and must be compared"),
        ("dead > 1", "'dead' is a yes/no fact"),
        ("density > 'a'", "\"'a'\"|'a'"),
        ("density > True", "'True' is not understood"),
        ("__import__('os').system('true')", "is not understood"),
        ("density.real > 0", r"'density\.real' is not understood"),
        ("density in [1, 2]", "is not understood"),
        ("(lambda: 1)() > 0", "is not understood"),
        ("density + 1 > 0", r"'density \+ 1' is not understood"),
        ("1", "'1' is not understood"),
        ("dead" + " or dead" * 200, "longer than 1000"),
        ("n_active < " + "9" * 400, "is not understood"),
    ],
)
def test_what_is_no_condition_is_refused_with_the_part(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Condition(text)


def test_unknown_facts_get_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="did you mean density"):
        Condition("densty > 0")
    with pytest.raises(UnknownNameError, match="did you mean dead"):
        Condition("not daed")


@given(st.text(max_size=60))
def test_whatever_is_written_ends_in_our_errors(text: str) -> None:
    try:
        condition = Condition(text)
    except HarnessError:
        return
    assert condition.holds(RARE) in {True, False}
