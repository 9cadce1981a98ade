from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.registry.selection import Selection

names = st.from_regex(r"[a-z]{1,6}", fullmatch=True)


@pytest.mark.parametrize("given_as", ["detection", "my-dist", "my-dist/detection"])
def test_a_plugin_is_named_by_entry_point_distribution_or_both(given_as: str) -> None:
    assert not Selection(disabled=frozenset({given_as})).admits("detection", "my-dist")
    assert Selection(disabled=frozenset({given_as})).admits("fuzzing", "other-dist")
    assert Selection(allowed=frozenset({given_as})).admits("detection", "my-dist")
    assert not Selection(allowed=frozenset({given_as})).admits("fuzzing", "other-dist")


@given(name=names, disabled=st.sets(names), listed=st.sets(names))
def test_disabled_wins_over_allowed(name: str, disabled: set[str], listed: set[str]) -> None:
    environment = {"HARNESS_PLUGINS": ", ".join(listed), "HARNESS_DISABLE_PLUGINS": ",".join(disabled)}
    selection = Selection.from_environment(environment)
    assert selection.admits(name, "0dist") == (name in listed and name not in disabled)


def test_no_allow_list_admits_all_and_an_empty_one_none() -> None:
    assert Selection.from_environment({}).admits("any", "dist")
    assert not Selection.from_environment({"HARNESS_PLUGINS": ""}).admits("any", "dist")
    assert not Selection.from_environment({}, ["any"]).admits("any", "dist")
