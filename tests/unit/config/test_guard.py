from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config.guard import refuse_code_in_hydra, refuse_targets, refuse_targets_in_overrides
from harness.errors import ConfigError

keys = st.text(alphabet="abc_", min_size=1, max_size=5)
harmless = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@given(harmless)
def test_what_names_no_code_passes(value: Any) -> None:
    refuse_targets(value)


@given(harmless, st.lists(keys | st.none(), max_size=4))
def test_a_target_is_found_however_deep(value: Any, path: list[str | None]) -> None:
    buried: Any = {"_target_": "os.system", "rest": value}
    for key in path:
        buried = [value, buried] if key is None else {key: buried, "other": value}
    with pytest.raises(ConfigError, match="_target_ is not allowed"):
        refuse_targets(buried)


def test_the_error_names_the_place() -> None:
    with pytest.raises(ConfigError, match=r"^scorers\.x\[1\]\._target_: _target_ is not allowed"):
        refuse_targets({"scorers": {"x": [1, {"_target_": "os.system"}]}})


@pytest.mark.parametrize("override", ["+a._target_=os.system", "+a={_target_: os.system}", "+a=[{_target_:x}]"])
def test_overrides_are_read_before_anything_else(override: str) -> None:
    with pytest.raises(ConfigError, match="cannot name code to run"):
        refuse_targets_in_overrides(["seed=1", override])


BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


@pytest.mark.parametrize(
    "node",
    [
        {"callbacks": {"x": {"_target_": "os.system"}}},
        {"launcher": {"_target_": "os.system"}},
        {"launcher": {"_target_": BASIC, "nested": {"_target_": "os.system"}}},
        {"sweeper": {"_target_": "hydra.utils.call"}},
        {"job_logging": {"root": {"handlers": ["x"]}, "handlers": {"x": {"()": "os.system"}}}},
        {"hydra_logging": {"root": {"handlers": ["x"]}}},
    ],
)
def test_hydras_own_node_may_name_no_other_code(node: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^hydra\."):
        refuse_code_in_hydra(node)


def test_hydras_own_launchers_pass() -> None:
    refuse_code_in_hydra(
        {
            "launcher": {"_target_": BASIC},
            "sweeper": {"_target_": "hydra_plugins.some_sweeper.Sweeper", "max_batch_size": None},
            "job_logging": {"root": None},
            "callbacks": {},
        }
    )


@pytest.mark.parametrize(
    "text", ["${oc.create:{_target_: os.getcwd}}", "${oc.decode:${oc.env:X}}", "a _target_ in a text"]
)
def test_text_that_could_become_a_target_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"explainer\.note"):
        refuse_targets({"explainer": {"note": text}})


def test_hydra_callbacks_are_refused_whatever_they_hold() -> None:
    with pytest.raises(ConfigError, match=r"hydra\.callbacks"):
        refuse_code_in_hydra({"callbacks": {"x": "${somewhere}"}})
    refuse_code_in_hydra({"callbacks": {}})
