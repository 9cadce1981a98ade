from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from omegaconf import MISSING

from harness.config.parameters import defaults_of, parameters
from harness.errors import ConfigError, PluginError


@dataclass
class Inner:
    path: str = MISSING
    depth: int = 1


@dataclass(frozen=True)
class Outer:
    needed: str = MISSING
    inner: Inner = field(default_factory=Inner)
    ratio: float = 0.5
    ids: list[int] = field(default_factory=list)
    maybe: int | None = None

    def __post_init__(self) -> None:
        if self.ratio > 1:
            raise ConfigError("must be at most 1", where="ratio", hint="a share")
        if self.ratio < 0:
            message = "negative"
            raise ValueError(message)


FULL: dict[str, Any] = {"needed": "x", "inner": {"path": "p"}}


def test_values_become_the_dataclass_nested_ones_included() -> None:
    made = parameters(Outer, {**FULL, "ids": [1, 2], "ratio": 1}, "scorers.x")
    assert made == Outer(needed="x", inner=Inner(path="p"), ratio=1.0, ids=[1, 2])
    assert isinstance(made.inner, Inner)
    assert type(made.ids) is list


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"neded": "x"}, "scorers.x: unknown parameter 'neded'. Try: did you mean needed?"),
        ({"inner": {"pth": "x"}}, "scorers.x.inner: unknown parameter 'pth'. Try: did you mean path"),
        ({"zzz": 1}, "scorers.x: unknown parameter 'zzz'. Try: one of: ids, inner, maybe, needed, ratio"),
        ({"ratio": "much"}, "scorers.x.ratio: Value 'much' of type 'str' could not be converted to Float"),
        ({"ids": 3}, "scorers.x.ids: "),
        ({"inner": {"path": "p", "depth": "x"}}, "scorers.x.inner.depth: Value 'x'"),
        ({"needed": None}, "scorers.x.needed: "),
        ({"needed": "???"}, "scorers.x.needed: a value is needed. Try: give scorers.x.needed=..."),
        ({"inner": {}}, "scorers.x.inner.path: a value is needed"),
        ({"ratio": 2.0}, "scorers.x.ratio: must be at most 1. Try: a share"),
        ({"ratio": -1.0}, "scorers.x: negative"),
    ],
)
def test_each_mistake_is_one_line_that_names_the_key(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parameters(Outer, {**FULL, **changes}, "scorers.x")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@dataclass
class Unusable:
    mode: Literal["a", "b"] = "a"


@pytest.mark.parametrize("config_type", [Unusable, dict, "module:Config"])
def test_a_class_that_cannot_hold_parameters_is_the_plugins_mistake(config_type: Any) -> None:
    with pytest.raises(PluginError, match=r"^scorers\.x: the plugin's parameters"):
        parameters(config_type, {}, "scorers.x")


def test_defaults_are_plain_and_say_what_is_needed() -> None:
    assert defaults_of(Outer) == {
        "needed": "???",
        "inner": {"path": "???", "depth": 1},
        "ratio": 0.5,
        "ids": [],
        "maybe": None,
    }
