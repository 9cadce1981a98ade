"""The verb ``list``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.cli.kinds import disabled_plugins
from harness.cli.output import write, write_json, write_table
from harness.config.paths import conf_dir
from harness.registry.catalogue import load_catalogue

if TYPE_CHECKING:
    import argparse

    from harness.registry.catalogue import Catalogue

__all__ = ["list_things"]


def list_things(arguments: argparse.Namespace) -> int:
    """List what is registered of one kind, the plugins, or the configuration options; return the exit code."""
    if arguments.what in {"experiments", "configs"}:
        _list_options(arguments)
        return 0
    catalogue = load_catalogue(disabled_plugins(arguments.plugins))
    if arguments.what == "plugins":
        _list_plugins(catalogue, as_json=arguments.json)
        return 0
    entries = [_entry(catalogue, arguments.what, name) for name in catalogue.names(arguments.what)]
    if arguments.json:
        write_json(entries)
        return 0
    write_table(
        ("name", "version", "from", "summary"),
        [(e["name"], str(e["version"]), f"{e['distribution']} {e['distribution_version']}", e["summary"]) for e in entries],
    )
    _warn_of_broken(catalogue)
    return 0


def _entry(catalogue: Catalogue, kind: str, name: str) -> dict[str, Any]:
    registered = catalogue.get(kind, name)
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
        entry["needs"] = sorted(spec.needs)
    return entry


def _list_plugins(catalogue: Catalogue, *, as_json: bool) -> None:
    working = [
        {"name": p.name, "distribution": p.distribution, "version": p.version, "status": "ok"} for p in catalogue.plugins
    ]
    broken = [
        {
            "name": p.name,
            "distribution": p.distribution,
            "version": p.version,
            "status": "broken",
            "stage": p.stage,
            "traceback": p.traceback,
        }
        for p in catalogue.broken
    ]
    disabled = [{"name": name, "status": "disabled"} for name in catalogue.disabled]
    if as_json:
        write_json([*working, *broken, *disabled])
        return
    rows = [(p["name"], p["status"], f"{p['distribution']} {p['version']}") for p in (*working, *broken)]
    write_table(("plugin", "status", "from"), [*rows, *((p["name"], p["status"], "") for p in disabled)])
    for plugin in catalogue.broken:
        write(f"\n{plugin.name} (broken at {plugin.stage}):\n{plugin.traceback.rstrip()}")


def _warn_of_broken(catalogue: Catalogue) -> None:
    if catalogue.broken:
        names = ", ".join(plugin.name for plugin in catalogue.broken)
        write(f"\nbroken plugins: {names} (`harness list plugins` shows why)")


def _list_options(arguments: argparse.Namespace) -> None:
    """List the YAML options of the shipped groups with the comment each begins with."""
    folder = conf_dir()
    options = []
    for path in sorted(folder.glob("*/*.yaml")):
        group = path.parent.name
        if arguments.what == "configs" or group == "experiment":
            options.append({"group": group, "name": path.stem, "summary": _first_comment(path.read_text("utf-8"))})
    if arguments.json:
        write_json(options)
    elif arguments.what == "experiments":
        write_table(("name", "summary"), [(o["name"], o["summary"]) for o in options])
    else:
        write_table(("group", "name", "summary"), [(o["group"], o["name"], o["summary"]) for o in options])


def _first_comment(text: str) -> str:
    comments = [line[1:].strip() for line in text.splitlines() if line.startswith("#") and "@package" not in line]
    return re.split(r"(?<=[.:;])\s", comments[0])[0] if comments else ""
