"""The options of every config group: those shipped, those of plugins' config packages, and the automatic ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from harness.config.paths import conf_dir
from harness.registry.builtin import DISTRIBUTION
from harness.registry.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from harness.registry.catalogue import Catalogue

__all__ = ["ConfigOption", "list_options", "option_names"]

_SENTENCE_END = re.compile(r"(?<=[^.]\.)\s")


@dataclass(frozen=True)
class ConfigOption:
    """One option of a config group.

    Attributes:
        group: The group, for instance ``scorers``.
        name: What to choose it by.
        summary: The first sentence of the comment it begins with.
        distribution: Who provides it.
    """

    group: str
    name: str
    summary: str
    distribution: str


def list_options(catalogue: Catalogue) -> list[ConfigOption]:
    """Return all options by group and name. One provided twice is listed once: Hydra takes the first."""
    options: dict[tuple[str, str], ConfigOption] = {}
    for option in (*_written(catalogue), *_automatic(catalogue)):
        options.setdefault((option.group, option.name), option)
    return [options[key] for key in sorted(options)]


def option_names(catalogue: Catalogue, group: str) -> list[str]:
    """Return the names of the options of one group."""
    return [option.name for option in list_options(catalogue) if option.group == group]


def _written(catalogue: Catalogue) -> Iterator[ConfigOption]:
    yield from _in_folder(conf_dir(), DISTRIBUTION)
    for package, distribution in catalogue.config_packages.items():
        try:
            folder = resources.files(package)
        except (ImportError, TypeError):
            continue  # Hydra warns of it when it composes
        yield from _in_folder(folder, distribution)


def _automatic(catalogue: Catalogue) -> Iterator[ConfigOption]:
    for kind in KINDS:
        for name, registered in catalogue.of_kind(kind.name).items():
            if "/" not in name:
                yield ConfigOption(kind.group, name, registered.spec.summary, registered.distribution)


def _in_folder(folder: Traversable, distribution: str, group: str = "") -> Iterator[ConfigOption]:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _in_folder(entry, distribution, f"{group}/{entry.name}".lstrip("/"))
        elif group and entry.name.endswith(".yaml") and not entry.name.startswith("_"):
            summary = _summary(entry.read_text(encoding="utf-8"))
            yield ConfigOption(group, entry.name.removesuffix(".yaml"), summary, distribution)


def _summary(text: str) -> str:
    """Return the first sentence of the comment that a file begins with."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if "@package" not in line:
            lines.append(line.lstrip("#").strip())
    return _SENTENCE_END.split(" ".join(lines))[0]
