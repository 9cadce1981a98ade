"""What is different when a run is repeated from its manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.results.manifest import collect_versions
from harness.runner.identity import run_id
from harness.runner.manifest_facts import plugin_versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.config.resolve import ResolvedRun
    from harness.results.manifest import Manifest, Versions

__all__ = ["differences"]

_PLUGIN_GROUPS = ("subject", "scorers", "controls")
_SINGLE_PLUGINS = ("corpus", "explainer")


def differences(manifest: Manifest, resolved: ResolvedRun) -> list[str]:
    """Return one line for each thing that is not as in the run that is repeated.

    Args:
        manifest: That run's manifest.
        resolved: The run to be done now.
    """
    there, here = manifest.versions, collect_versions(plugin_versions(resolved))
    lines = [
        _line(name, before, now)
        for name, before, now in _versions(there, here)
        if before != now
    ]  # fmt: skip
    before, now = _interfaces(manifest.config), _interfaces(resolved.plain())
    lines += [_line(f"the code of {place}", before[place], now[place]) for place in sorted(before) if place in now
              and before[place] != now[place]]  # fmt: skip
    if resolved.config_sha256 != manifest.config_sha256:
        lines.append(f"the configuration is not that of {manifest.run_id}: this is another run, {run_id(resolved)}")
    return lines


def _versions(there: Versions, here: Versions) -> list[tuple[str, str | None, str | None]]:
    """Return name, version there and version here of everything the run rested on."""
    found: list[tuple[str, str | None, str | None]] = [
        ("harness", there.harness, here.harness),
        ("python", there.python, here.python),
    ]
    libraries = sorted({*there.libraries, *here.libraries})
    found += [(name, there.libraries.get(name), here.libraries.get(name)) for name in libraries]
    plugins = sorted(set(there.plugins) & set(here.plugins))
    return found + [(name, there.plugins[name].version, here.plugins[name].version) for name in plugins]


def _interfaces(config: Mapping[str, object]) -> dict[str, object]:
    """Return the number version of every plugin in a plain configuration, by its key: raised when numbers change."""
    places: dict[str, object] = {key: config.get(key) for key in _SINGLE_PLUGINS}
    for group in _PLUGIN_GROUPS:
        members = config.get(group)
        if isinstance(members, dict):
            places |= {f"{group}.{name}": plugin for name, plugin in members.items()}
    return {
        place: plugin["version"] for place, plugin in places.items() if isinstance(plugin, dict) and "version" in plugin
    }


def _line(name: str, before: object, now: object) -> str:
    here = "is not installed here" if now is None else f"is {now} here"
    return f"{name} {here}, and was {before if before is not None else 'not installed'} in the run that is repeated"
