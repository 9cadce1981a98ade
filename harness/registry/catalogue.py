"""What is registered, from where, and what is broken."""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from harness.errors import PluginError, UnknownNameError
from harness.registry.kinds import KINDS, kind_named
from harness.registry.manager import PluginManager
from harness.registry.selection import Selection
from harness.registry.specs import API_VERSION, ControlSpec, CorpusSpec, ExplainerSpec, ScorerSpec, Spec, SubjectSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.registry.broken import BrokenPlugin
    from harness.registry.kinds import Kind
    from harness.registry.manager import PluginOrigin

__all__ = ["Catalogue", "Registered", "load_catalogue"]

SpecT_co = TypeVar("SpecT_co", bound=Spec, covariant=True)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")


@dataclass(frozen=True)
class Registered(Generic[SpecT_co]):
    """A spec and where it is from: distribution, its version, and the name of the plugin (entry point)."""

    spec: SpecT_co
    distribution: str
    version: str
    plugin: str

    @property
    def qualified(self) -> str:
        """Return the name that is never ambiguous: ``distribution/name``."""
        return f"{self.distribution}/{self.spec.name}"


@dataclass
class Catalogue:
    """Everything registered, by kind and name, sorted by name.

    A name that two distributions use is in none of the mappings by itself; both are there as ``distribution/name``.

    Attributes:
        manager: The plugins behind it.
        subjects: Kinds of feature source.
        corpora: Corpus readers.
        explainers: Explainers.
        scorers: Scorers.
        controls: Controls.
        config_packages: Importable packages of YAML options, and the distribution that provides each.
    """

    manager: PluginManager
    subjects: dict[str, Registered[SubjectSpec]] = field(default_factory=dict)
    corpora: dict[str, Registered[CorpusSpec]] = field(default_factory=dict)
    explainers: dict[str, Registered[ExplainerSpec]] = field(default_factory=dict)
    scorers: dict[str, Registered[ScorerSpec]] = field(default_factory=dict)
    controls: dict[str, Registered[ControlSpec]] = field(default_factory=dict)
    config_packages: dict[str, str] = field(default_factory=dict)

    @property
    def broken(self) -> list[BrokenPlugin]:
        """Return the plugins that failed, and how."""
        return self.manager.broken

    @property
    def plugins(self) -> list[PluginOrigin]:
        """Return the plugins that were loaded, the built-in one first."""
        return self.manager.origins

    @property
    def disabled(self) -> list[PluginOrigin]:
        """Return the plugins that are installed and were not to be loaded."""
        return self.manager.disabled

    def of_kind(self, kind: str) -> dict[str, Registered[Any]]:
        """Return what is registered of a kind, named in the singular or the plural.

        Raises:
            UnknownNameError: If there is no such kind.
        """
        mapping: dict[str, Registered[Any]] = getattr(self, kind_named(kind).plural)
        return mapping

    def names(self, kind: str) -> list[str]:
        """Return the names registered of a kind, sorted.

        Raises:
            UnknownNameError: If there is no such kind.
        """
        return list(self.of_kind(kind))

    def get(self, kind: str, name: str, *, where: str | None = None) -> Registered[Any]:
        """Return what is registered as ``name`` (or ``distribution/name``).

        Args:
            kind: Kind, in the singular or the plural.
            name: Its name.
            where: Where the name was given, for the error.

        Raises:
            UnknownNameError: If there is no such kind or name.
            PluginError: If the plugin that should provide it is broken or disabled, or the name is ambiguous.
        """
        word = kind_named(kind).name
        registered = self.of_kind(kind)
        if name in registered:
            return registered[name]
        same = [entry for entry in registered.values() if name in {entry.spec.name, entry.qualified}]
        if len(same) == 1:
            return same[0]
        if same:
            choices = " or ".join(sorted(entry.qualified for entry in same))
            raise PluginError(f"{word} '{name}' is provided by several plugins", where=where, hint=choices)
        self._explain_absence(word, name, where)
        raise UnknownNameError(word, name, registered, where=where)

    def emit(self, hook: str, event: Any) -> None:
        """Tell every plugin that implements a lifecycle hook of ``event``; one that raises is warned about once."""
        known = len(self.broken)
        for _ in self.manager.call(hook, event=event):
            pass
        for record in self.broken[known:]:
            logging.getLogger(__name__).warning("%s; it is told of no more such events", record)

    def _explain_absence(self, word: str, name: str, where: str | None) -> None:
        for record in self.broken:
            if name in {record.name, f"{record.distribution}/{record.name}"}:
                raise PluginError(f"{word} '{name}': {record}", where=where, hint="harness list plugins")
        for origin in self.manager.disabled:
            if name in {origin.name, origin.key}:
                raise PluginError(
                    f"{word} '{name}': its plugin ({origin.distribution} {origin.version}) is disabled",
                    where=where,
                    hint="see HARNESS_DISABLE_PLUGINS, HARNESS_PLUGINS and -p no:NAME",
                )


def load_catalogue(disabled: Iterable[str] = ()) -> Catalogue:
    """Return what all installed plugins register, apart from those ``disabled`` here or by environment variables."""
    catalogue = Catalogue(PluginManager.load(Selection.from_environment(os.environ, disabled)))
    for kind in KINDS:
        catalogue.of_kind(kind.name).update(_collect(catalogue.manager, kind))
    catalogue.config_packages = dict(_config_packages(catalogue.manager))
    return catalogue


def _collect(manager: PluginManager, kind: Kind) -> dict[str, Registered[Any]]:
    by_name: dict[str, list[Registered[Any]]] = defaultdict(list)
    for origin, spec in _specs(manager, kind):
        if any(origin.distribution == other.distribution for other in by_name[spec.name]):
            manager.note_broken(origin, f"its distribution offers {kind.name} '{spec.name}' twice")
            continue
        by_name[spec.name].append(Registered(spec, origin.distribution, origin.version, origin.name))
    named = {
        name if len(same) == 1 else entry.qualified: entry for name, same in by_name.items() for entry in same
    }  # fmt: skip
    return dict(sorted(named.items()))


def _specs(manager: PluginManager, kind: Kind) -> Iterator[tuple[PluginOrigin, Spec]]:
    for origin, specs in manager.call(kind.hook):
        for spec in specs:
            fault = _fault(spec, kind)
            if fault is None:
                yield origin, spec
            else:
                manager.note_broken(origin, f"{kind.hook} returned {fault}")


def _fault(spec: Any, kind: Kind) -> str | None:
    """Return what is wrong with what a plugin returned, or None."""
    if not isinstance(spec, kind.spec):
        return f"a {type(spec).__name__} where a {kind.spec.__name__} is due"
    if spec.api_version != API_VERSION:
        return (
            f"{kind.name} '{spec.name}' made for version {spec.api_version} of the plugin interface; "
            f"this harness has version {API_VERSION}"
        )
    if not _NAME.match(spec.name):
        return f"{kind.name} '{spec.name}', whose name is not made of letters, digits, '_', '.' and '-'"
    return None


def _config_packages(manager: PluginManager) -> Iterator[tuple[str, str]]:
    for origin, packages in manager.call("harness_config_packages"):
        for package in packages:
            if isinstance(package, str) and all(part.isidentifier() for part in package.split(".")):
                yield package, origin.distribution
            else:
                manager.note_broken(origin, f"harness_config_packages returned {package!r}, which is no package name")
