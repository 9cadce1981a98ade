"""What of a manifest is taken over when its run is repeated: it may come from somebody who wishes the user ill."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from harness.config.resolved import PACE
from harness.config.schema import BudgetConfig, ExecutionConfig, MemoryConfig
from harness.errors import ResultsError
from harness.text import for_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["check_parts", "withhold"]

_NUMBERED = frozenset(
    {
        "name",
        "seed",
        "subject",
        "corpus",
        "examples",
        "features",
        "explainer",
        "judge",
        "embedder",
        "scorers",
        "controls",
    }
)
"""What ``ResolvedRun.plain`` writes."""

_SETTINGS = {
    "explainer.llm": PACE,
    "judge": PACE,
    "execution": frozenset(field.name for field in fields(ExecutionConfig)),
    "budget": frozenset(field.name for field in fields(BudgetConfig)),
    "memory": frozenset(field.name for field in fields(MemoryConfig)),
}
"""What ``ResolvedRun.settings`` writes."""

_KEY, _TRUST, _ENGINE = "api_key_env", "trust_remote_code", "engine"
_HARMLESS_NAMES = frozenset({"kv_cache_dtype", "quantization"})
"""Arguments of an engine that are texts and choose among what the engine has itself."""


def check_parts(config: Mapping[str, Any], settings: Mapping[str, Any], where: str) -> None:
    """Check that a manifest configures nothing but what the harness writes into one.

    Raises:
        ResultsError: If it does: folders, tracebacks, Hydra's own matters are for the command line to choose.
    """
    for key in config:
        if key not in _NUMBERED:
            raise _foreign(f"config.{key}", where)
    for place, values in settings.items():
        if place not in _SETTINGS or not isinstance(values, dict):
            raise _foreign(f"settings.{place}", where)
        for key in values:
            if key not in _SETTINGS[place]:
                raise _foreign(f"settings.{place}.{key}", where)


def withhold(config: Any, overrides: Sequence[str] = ()) -> list[str]:
    """Take out of a configuration what must not be handed on in a file, and return a line about each thing.

    That is the name of a key's variable, which the manifest's own endpoint would be sent; trust in a model's code; and
    whatever argument of an engine could name code. What ``overrides`` give again is not spoken of.
    """
    lines: list[tuple[str, str]] = []
    for node, key, place in list(_places(config, "")):
        value, shown = node.get(key), for_terminal(place)
        if key == _KEY and value is not None:
            node[key] = None
            endpoint, name = (for_terminal(str(text)) for text in (node.get("api_base") or node.get("model"), value))
            again = f"add {shown}={name} if {endpoint} is to be sent that key"
            lines.append((place, f"{shown} is not taken over from a manifest: {again}"))
        elif key == _TRUST and value:
            node[key] = False
            again = f"read that code, then add {shown}=true"
            lines.append((place, f"{shown} was on in the run that is repeated, and is off: {again}"))
        elif key == _ENGINE and isinstance(value, dict):
            for name in [name for name, argument in value.items() if _could_name_code(name, argument)]:
                del value[name]
                argument = f"{place}.{name}"
                why = "is not taken over from a manifest, as it could name code: give it again if it is harmless"
                lines.append((argument, f"{for_terminal(argument)} {why}"))
    given = {override.lstrip("+~").partition("=")[0] for override in overrides}
    return [line for place, line in lines if place not in given]


def _foreign(key: str, where: str) -> ResultsError:
    return ResultsError(f"{for_terminal(key)} is nothing that the harness writes into a manifest", where=where)


def _could_name_code(name: object, argument: Any) -> bool:
    return name not in _HARMLESS_NAMES and name != _TRUST and not isinstance(argument, bool | int | float | None)


def _places(value: Any, where: str) -> Iterator[tuple[Any, str, str]]:
    """Yield every mapping at any depth with each of its keys and the key's place in the whole."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        place = f"{where}.{key}" if where else str(key)
        if isinstance(value, dict):
            yield value, key, place
        yield from _places(item, place)
