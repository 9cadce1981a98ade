"""The verb ``doctor``: what is installed here, and what an explainer's or judge's endpoint can do."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from harness.cli.environment import environment
from harness.cli.kinds import disabled_plugins
from harness.cli.output import warn_of_broken, write, write_error, write_json
from harness.errors import ConfigError, HarnessError
from harness.identity import plain
from harness.materials import cache_root
from harness.registry.catalogue import load_catalogue
from harness.text import for_terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.config.schema import LLMConfig
    from harness.llm.examine import Examination

__all__ = ["doctor"]

_ROLES = ("explainer", "judge")
_GIB = 1 << 30
_WIDTH = 17


@dataclass(frozen=True)
class _Failed:
    """An endpoint that could not be looked at."""

    role: str
    error: HarnessError


def doctor(arguments: argparse.Namespace) -> int:
    """Show the installation, or the endpoints of the roles that the overrides name; return the exit code.

    Raises:
        HarnessError: If the overrides describe no configuration.
    """
    catalogue = load_catalogue(disabled_plugins(arguments.plugins))
    if not arguments.overrides:
        found = environment(catalogue, cache_root(None))
        if arguments.json:
            write_json({"environment": found, "endpoints": []})
        else:
            _write_environment(found)
        return 0
    warn_of_broken(catalogue)
    from harness.config.compose import compose_run

    composed = _plain(compose_run(arguments.overrides, catalogue))
    cache = cache_root((composed.get("paths") or {}).get("cache"))
    configs = _configs(composed, arguments.overrides)
    results = [_look(config, role, cache) for role, config in configs.items()]
    if arguments.json:
        endpoints = [_facts(result) for result in results]
        write_json({"environment": environment(catalogue, cache), "endpoints": endpoints})
    for result in results:
        if isinstance(result, _Failed):
            write_error(str(result.error))
        elif not arguments.json:
            _write_examination(result)
    return max((result.error.exit_code for result in results if isinstance(result, _Failed)), default=0)


def _plain(composed: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from harness.config.parameters import said

    try:
        content = OmegaConf.to_container(composed, resolve=True, throw_on_missing=False)
    except OmegaConfBaseException as error:
        raise ConfigError(said(error), where=error.full_key or None) from error
    return cast("dict[str, Any]", content)


def _configs(composed: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, LLMConfig]:
    """Return the models of the roles that the overrides name; of all roles, if they name none."""
    from harness.config.parameters import parameters
    from harness.config.schema import LLMConfig

    named = [role for role in _ROLES if any(_names(override, role) for override in overrides)]
    explainer = composed.get("explainer")
    given = {
        "explainer": ("explainer.llm", explainer.get("llm") if isinstance(explainer, dict) else None),
        "judge": ("judge", composed.get("judge")),
    }
    configs = {}
    for role in named or _ROLES:
        where, values = given[role]
        if isinstance(values, dict) and values:
            configs[role] = parameters(LLMConfig, values, where)
        elif role in named:
            raise ConfigError(
                f"the {role} of this configuration is no language model", where=where, hint=f"{role}=NAME"
            )
    if not configs:
        raise ConfigError("this configuration has no language model", hint="harness doctor judge=local")
    return configs


def _names(override: str, role: str) -> bool:
    key = override.partition("=")[0].lstrip("+~")
    return re.search(rf"(?:^|@){role}(?:$|[.@/])", key) is not None


def _look(config: LLMConfig, role: str, cache: Path) -> Examination | _Failed:
    from harness.cli.progress import terminal_progress
    from harness.llm.examine import examine

    try:
        return asyncio.run(examine(config, role, cache, terminal_progress()))
    except HarnessError as error:
        return _Failed(role, error)


def _facts(result: Examination | _Failed) -> dict[str, Any]:
    if isinstance(result, _Failed):
        return {"role": result.role, "reachable": False, "error": str(result.error)}
    found: dict[str, Any] = plain(result)
    return {"reachable": True, "error": None, **found}


def _write_environment(found: Mapping[str, Any]) -> None:
    libraries = found["libraries"]
    installed = [f"{name} {number}" for name, number in libraries.items() if number is not None]
    missing = [name for name, number in libraries.items() if number is None]
    writable = "" if found["cache_writable"] else ", not writable"
    _row("harness", found["harness"])
    _row("python", f"{found['python']} on {found['platform']}")
    _row("libraries", ", ".join(installed))
    _row("not installed", ", ".join(missing) or "none of those that matter")
    _row("cache", f"{found['cache']} ({found['free_bytes'] / _GIB:.1f} GiB free{writable})")
    _row("processors", f"{found['cpus']} CPUs, {found['gpu'] or 'no'} GPU")
    _row("keys", ", ".join(found["keys"]) or "none in the environment")
    _row("broken plugins", "; ".join(found["broken_plugins"]) or "none")


def _write_examination(result: Examination) -> None:
    found, speed, identity = result.found, result.speed, result.identity
    write(for_terminal(f"{result.role}: {identity['model']} ({identity.get('api_base') or identity['backend']})"))
    _row("  reachable", f"yes, ready after {result.ready_s:.1f} s")
    _row("  schema", found.structured.value)
    _row("  choices", found.choices.value)
    _row("  logprobs", _yes(found.logprobs))
    _row("  prompt logprobs", _yes(found.prompt_logprobs))
    _row("  seeds", _yes(found.seeds))
    _row("  context length", f"{found.context_tokens:,} tokens" if found.context_tokens else "unknown")
    _row("  latency", _measured(speed.latency_s, "s for a short call", 3))
    _row("  prompt", _measured(speed.prompt_tokens_per_s, "tokens/s"))
    _row("  output", _measured(speed.output_tokens_per_s, "tokens/s"))
    _row("  calls", _measured(speed.calls_per_s, f"short calls/s, {speed.at_once} at once", 1))
    for line in (*result.disagreements, *([speed.problem] if speed.problem else [])):
        _row("  note", line)


def _row(name: str, value: str) -> None:
    write(f"{name:<{_WIDTH}} {for_terminal(value, limit=2000)}")


def _yes(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "unknown"}[value]


def _measured(value: float | None, unit: str, digits: int = 0) -> str:
    return "not measured" if value is None else f"{value:,.{digits}f} {unit}"
