"""Loads plugins one by one, so that a broken one is a line in a list and not the end of the program.

pluggy isolates nothing: one entry point that fails to import, or one implementation that raises, ends the whole call.
So every entry point is loaded and registered in its own ``try``, and every hook is called one implementation at a time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any, cast

import pluggy

from harness.errors import closest
from harness.registry import builtin, hookspecs
from harness.registry.broken import BrokenPlugin
from harness.registry.hookspecs import PROJECT
from harness.registry.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.registry.broken import Stage

__all__ = ["PluginManager", "PluginOrigin"]

# A plugin that ends the process at import must not end ours; an interrupt by the user must.
_ISOLATED = (Exception, SystemExit)


@dataclass(frozen=True)
class PluginOrigin:
    """Where a plugin is from: the name of its entry point, its distribution and that one's version."""

    name: str
    distribution: str
    version: str

    @property
    def key(self) -> str:
        """Return the name it is registered under, unique among all plugins: ``distribution/name``."""
        return f"{self.distribution}/{self.name}"

    def broken(self, stage: Stage, error: BaseException | str) -> BrokenPlugin:
        """Return the record that this plugin failed with ``error`` at ``stage``."""
        if isinstance(error, str):
            return BrokenPlugin(self.name, self.distribution, self.version, stage, error)
        return BrokenPlugin.from_error(self.name, self.distribution, self.version, stage, error)


@dataclass
class PluginManager:
    """The loaded plugins.

    Attributes:
        origins: Where each working plugin is from, in order of distribution and name, the built-in one first.
        disabled: Plugins that are installed and were not to be loaded.
        broken: Plugins that failed, and how.
    """

    origins: list[PluginOrigin] = field(default_factory=list)
    disabled: list[PluginOrigin] = field(default_factory=list)
    broken: list[BrokenPlugin] = field(default_factory=list)
    _pluggy: pluggy.PluginManager = field(default_factory=lambda: pluggy.PluginManager(PROJECT))
    _failed: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def load(cls, selection: Selection | None = None) -> PluginManager:
        """Return the manager with the built-in plugin and every installed one that ``selection`` admits.

        Args:
            selection: Which to load; None takes what the environment variables say.
        """
        selection = Selection.from_environment(os.environ) if selection is None else selection
        manager = cls()
        manager._pluggy.add_hookspecs(hookspecs)
        manager._register(PluginOrigin(builtin.NAME, builtin.DISTRIBUTION, builtin.VERSION), builtin)
        for origin, entry_point in _installed():
            if not selection.admits(origin.name, origin.distribution):
                manager.disabled.append(origin)
                continue
            try:
                plugin = entry_point.load()
            except _ISOLATED as error:
                manager.broken.append(origin.broken("load", error))
                continue
            manager._register(origin, plugin)
        return manager

    def call(self, hook: str, **arguments: Any) -> Iterator[tuple[PluginOrigin, list[Any]]]:
        """Yield what each plugin's implementation of ``hook`` returns, one by one, in the order of ``origins``.

        What a generator yields and what a list holds come out the same. A plugin that raises is added to ``broken``,
        yields nothing, and is not asked for this hook again.
        """
        for origin in [origin for origin in self.origins if self._implements(origin, hook)]:
            plugin = self._pluggy.get_plugin(origin.key)
            others = [other for other in self._pluggy.get_plugins() if other is not plugin]
            caller = self._pluggy.subset_hook_caller(hook, others)
            try:
                returned = caller(**arguments)
                results = [] if not returned or returned[0] is None else _listed(returned[0])
            except _ISOLATED as error:
                self.note_broken(origin, error)
                self._failed.add((origin.key, hook))
                continue
            yield origin, results

    def note_broken(self, origin: PluginOrigin, error: BaseException | str) -> BrokenPlugin:
        """Record that a plugin's hook failed or returned what it must not, and return the record."""
        record = origin.broken("hook", error)
        self.broken.append(record)
        return record

    def _implements(self, origin: PluginOrigin, hook: str) -> bool:
        if (origin.key, hook) in self._failed:
            return False
        plugin = self._pluggy.get_plugin(origin.key)
        caller = cast("pluggy.HookCaller", getattr(self._pluggy.hook, hook))
        return any(implementation.plugin is plugin for implementation in caller.get_hookimpls())

    def _register(self, origin: PluginOrigin, plugin: Any) -> None:
        try:
            self._pluggy.register(plugin, name=origin.key)
        except _ISOLATED as error:
            self._forget(origin)
            self.broken.append(origin.broken("register", error))
            return
        unknown = self._unknown_hook(plugin)
        if unknown is not None:
            self._forget(origin)
            self.broken.append(origin.broken("register", unknown))
            return
        self.origins.append(origin)

    def _unknown_hook(self, plugin: Any) -> str | None:
        """Return a sentence about a hook that ``plugin`` implements and nobody specified (a misspelt one), or None."""
        for caller in self._pluggy.get_hookcallers(plugin) or []:
            mine = [one for one in caller.get_hookimpls() if one.plugin is plugin]
            if not caller.has_spec() and not all(one.optionalhook for one in mine):
                known = [name for name in vars(hookspecs) if name.startswith("harness_")]
                near = closest(caller.name, known)
                mend = f"; did you mean {' or '.join(near)}?" if near else ""
                return f"there is no hook '{caller.name}'{mend}"
        return None

    def _forget(self, origin: PluginOrigin) -> None:
        # A plugin that failed half-way through its registration stays known to pluggy by name.
        if self._pluggy.has_plugin(origin.key):
            self._pluggy.unregister(name=origin.key)


def _installed() -> Iterable[tuple[PluginOrigin, metadata.EntryPoint]]:
    found = []
    for entry_point in metadata.entry_points(group=PROJECT):
        distribution = entry_point.dist
        name = distribution.name if distribution is not None else "unknown"
        version = distribution.version if distribution is not None else "unknown"
        found.append((PluginOrigin(entry_point.name, name, version), entry_point))
    return sorted(found, key=lambda pair: (pair[0].distribution.lower(), pair[0].name))


def _listed(returned: Any) -> list[Any]:
    if isinstance(returned, (str, bytes)) or not hasattr(returned, "__iter__"):
        raise TypeError(f"a collection hook returns an iterable of specs, not {type(returned).__name__}")
    return list(returned)
