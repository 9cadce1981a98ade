"""The verb ``list``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.cli.kinds import disabled_plugins
from harness.cli.output import warn_of_broken, write, write_json, write_table
from harness.registry.catalogue import load_catalogue
from harness.registry.kinds import KINDS
from harness.text import for_terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from harness.registry.catalogue import Catalogue

__all__ = ["list_things"]

_LINE = 1000


def list_things(arguments: argparse.Namespace) -> int:
    """List what is registered of one kind, the plugins, or the configuration options; return the exit code."""
    catalogue = load_catalogue(disabled_plugins(arguments.plugins))
    if arguments.what == "plugins":
        _list_plugins(_plugins(catalogue), as_json=arguments.json)
        return 0
    warn_of_broken(catalogue)
    if arguments.what in {"experiments", "configs"}:
        _list_options(catalogue, experiments=arguments.what == "experiments", as_json=arguments.json)
    else:
        _list_registered(catalogue, arguments.what, as_json=arguments.json)
    return 0


def _list_registered(catalogue: Catalogue, kind: str, *, as_json: bool) -> None:
    entries = [_entry(catalogue, kind, name) for name in catalogue.names(kind)]
    if as_json:
        write_json(entries)
        return
    write_table(
        ("name", "version", "from", "summary"),
        [
            (e["name"], str(e["version"]), f"{e['distribution']} {e['distribution_version']}", e["summary"])
            for e in entries
        ],
    )


def _entry(catalogue: Catalogue, kind: str, name: str) -> dict[str, Any]:
    registered = catalogue.of_kind(kind)[name]
    spec: Any = registered.spec
    entry = {
        "name": name,
        "version": spec.version,
        "summary": spec.summary,
        "distribution": registered.distribution,
        "distribution_version": registered.version,
        "plugin": registered.plugin,
        "citation": spec.citation,
    }
    if kind == "scorers":
        entry["primary_metric"] = spec.primary_metric
        entry["metrics"] = [metric.name for metric in spec.metrics]
        entry["needs"] = sorted(need.value for need in spec.needs)
    return entry


def _plugins(catalogue: Catalogue) -> list[dict[str, Any]]:
    """Return every plugin with its status. One that loads and whose hook fails is listed as broken."""
    failed = {(record.distribution, record.name) for record in catalogue.broken}
    working = [
        {
            "name": origin.name,
            "distribution": origin.distribution,
            "version": origin.version,
            "status": "ok",
            "provides": _provided(catalogue, origin.distribution, origin.name),
        }
        for origin in catalogue.plugins
        if (origin.distribution, origin.name) not in failed
    ]
    broken = [
        {
            "name": record.name,
            "distribution": record.distribution,
            "version": record.version,
            "status": "broken",
            "stage": record.stage,
            "traceback": record.traceback,
            "provides": _provided(catalogue, record.distribution, record.name),
        }
        for record in catalogue.broken
    ]
    disabled = [
        {
            "name": origin.name,
            "distribution": origin.distribution,
            "version": origin.version,
            "status": "disabled",
            "provides": [],
        }
        for origin in catalogue.disabled
    ]
    return [*working, *broken, *disabled]


def _provided(catalogue: Catalogue, distribution: str, plugin: str) -> list[str]:
    return [
        f"{kind.name} {name}"
        for kind in KINDS
        for name, registered in catalogue.of_kind(kind.name).items()
        if (registered.distribution, registered.plugin) == (distribution, plugin)
    ]


def _list_plugins(plugins: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        write_json(plugins)
        return
    write_table(
        ("plugin", "status", "from", "provides"),
        [(p["name"], p["status"], f"{p['distribution']} {p['version']}", ", ".join(p["provides"])) for p in plugins],
    )
    for plugin in plugins:
        if plugin["status"] == "broken":
            write(f"\n{for_terminal(plugin['name'])} is broken at {plugin['stage']}:")
            for line in plugin["traceback"].splitlines():
                write(f"  {for_terminal(line, limit=_LINE)}")


def _list_options(catalogue: Catalogue, *, experiments: bool, as_json: bool) -> None:
    from harness.config.options import list_options

    options = [option for option in list_options(catalogue) if not experiments or option.group == "experiment"]
    if as_json:
        write_json(options)
    elif experiments:
        write_table(("name", "summary"), [(option.name, option.summary) for option in options])
    else:
        write_table(
            ("group", "name", "from", "summary"),
            [(option.group, option.name, option.distribution, option.summary) for option in options],
        )
