"""What plugins hand to the harness: frozen specs. A factory may be a ``module:attribute`` text, imported on use."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from harness.errors import PluginError, UnknownNameError
from harness.registry.aspects import ASPECTS

if TYPE_CHECKING:
    from harness.registry.aspects import Aspect
    from harness.scoring.protocol import ExampleNeeds, MetricSpec, Need

__all__ = [
    "API_VERSION",
    "ControlSpec",
    "CorpusSpec",
    "ExplainerSpec",
    "Factory",
    "ScorerSpec",
    "Spec",
    "SubjectSpec",
]

API_VERSION = 1
"""Version of the plugin interface; a spec made for another one is refused."""

Factory = Callable[..., Any] | str


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What every registered thing has.

    Attributes:
        name: Short name, used in configs.
        summary: One line for listings.
        factory: Callable, or ``"package.module:attribute"``.
        config: Dataclass of its parameters (or its ``"module:attribute"``), all with defaults where sensible.
        version: Raise it whenever a number could change.
        citation: Paper and section, or None.
        requires_extra: Extra of the harness that must be installed, or None.
        api_version: Plugin interface it was written for.
    """

    name: str
    summary: str
    factory: Factory
    config: type | str
    version: int = 1
    citation: str | None = None
    requires_extra: str | None = None
    api_version: int = API_VERSION

    def resolve_factory(self) -> Callable[..., Any]:
        """Return the factory itself.

        Raises:
            PluginError: If it cannot be imported.
        """
        return cast("Callable[..., Any]", _resolve(self.factory, self.name))

    def resolve_config(self) -> type:
        """Return the config dataclass itself.

        Raises:
            PluginError: If it cannot be imported.
        """
        return cast("type", _resolve(self.config, self.name))


@dataclass(frozen=True, kw_only=True)
class ScorerSpec(Spec):
    """A scorer. ``factory(config) -> Scorer``.

    ``check(config, judge)``, of a scorer that needs a judge, raises LLMError if that judge lacks what the scorer cannot
    do without; it is called once the judge was started and before anything is asked of it. None: any judge will do.

    ``judge_reports`` says in words what that is: what a judge has to report besides text, and in which mode it has not.

    ``fidelity`` says which side of a feature an explanation is held against: ``input``, what the feature responds to,
    or ``output``, what it makes the subject do. None: neither (the scorer reads no explanation), or not declared; such
    a scorer is on neither axis of a profile.

    ``aspect`` says which of FADE's four aspects (``harness.registry.aspects``) it measures. None: none of them, or not
    declared; such a scorer is not in a profile's block of aspects. It changes no number and is part of no identity.

    ``example_needs`` says how many windows it takes for any value at all, so that a run that gives fewer is refused
    when it is planned: an ``ExampleNeeds``, or where it depends on the parameters ``example_needs(config)``, which
    returns one. None: one activating window will do.

    Raises:
        UnknownNameError: If there is no such aspect.
    """

    metrics: tuple[MetricSpec, ...]
    primary_metric: str
    needs: frozenset[Need] = field(default_factory=frozenset)
    check: Factory | None = None
    judge_reports: str = ""
    fidelity: Literal["input", "output"] | None = None
    aspect: Aspect | None = None
    example_needs: ExampleNeeds | Factory | None = None

    def __post_init__(self) -> None:
        if self.aspect is not None and self.aspect not in ASPECTS:
            raise UnknownNameError("aspect", str(self.aspect), ASPECTS, where=f"scorer '{self.name}'")

    def resolve_check(self) -> Callable[..., Any] | None:
        """Return the check itself, or None.

        Raises:
            PluginError: If it cannot be imported.
        """
        return None if self.check is None else _resolve(self.check, self.name)

    def resolve_example_needs(self, config: Any) -> ExampleNeeds | None:
        """Return the fewest windows with which the scorer, so configured, can have a value; None if not declared.

        Raises:
            PluginError: If what says so cannot be imported.
        """
        needs = self.example_needs
        if isinstance(needs, str) or callable(needs):
            return cast("ExampleNeeds", _resolve(needs, self.name)(config))
        return needs


@dataclass(frozen=True, kw_only=True)
class SubjectSpec(Spec):
    """A kind of feature source. ``factory(config, model) -> FeatureSource``, ``model`` a loaded SubjectModel.

    ``source_identity(config) -> plain data`` says cheaply, without loading a model, what determines the features: it
    is used to find a stored activation store. It may be a ``module:attribute`` text.

    ``writes`` is False for a kind whose features can never be changed: a run with a scorer that does is then refused
    when it is planned. Where it depends on the weights, it is found out when they are loaded.

    ``has_directions`` is False for a kind whose features are no directions, neither read along one nor writing one: a
    run that compares directions is then refused when it is planned, otherwise when the weights are loaded and have
    none.
    """

    source_identity: Factory
    writes: bool = True
    has_directions: bool = True

    def resolve_source_identity(self) -> Callable[..., Any]:
        """Return the identity function itself.

        Raises:
            PluginError: If it cannot be imported.
        """
        return cast("Callable[..., Any]", _resolve(self.source_identity, self.name))


@dataclass(frozen=True, kw_only=True)
class ExplainerSpec(Spec):
    """An explainer. ``factory(config) -> Explainer``.

    ``identity(config) -> plain data`` names what the parameters alone do not determine (the digest of a file they
    point to), so that explanations are written again when it changes; None where the parameters say all.
    ``needs_silent`` says that it compares activating windows with silent ones, so that a run whose explain half has
    none is refused before anything is done.
    """

    needs_llm: bool = False
    needs_silent: bool = False
    identity: Factory | None = None

    def resolve_identity(self) -> Callable[..., Any] | None:
        """Return the identity function itself, or None.

        Raises:
            PluginError: If it cannot be imported.
        """
        return None if self.identity is None else _resolve(self.identity, self.name)


@dataclass(frozen=True, kw_only=True)
class ControlSpec(Spec):
    """A control. ``factory(config) -> Control``.

    ``rank`` says what is known of it beforehand. ``uses_explanations`` says whether it is made from the real set's
    explanations, so that each real set has its own.
    """

    rank: str = "no better than chance"
    uses_explanations: bool = False


@dataclass(frozen=True, kw_only=True)
class CorpusSpec(Spec):
    """A corpus reader. ``factory(config) -> Iterable[Document]``, streaming.

    ``identity(config) -> plain data`` that determines the documents (digests of files, dataset revision).
    """

    identity: Factory

    def resolve_identity(self) -> Callable[..., Any]:
        """Return the identity function itself.

        Raises:
            PluginError: If it cannot be imported.
        """
        return cast("Callable[..., Any]", _resolve(self.identity, self.name))


def _resolve(reference: Any, name: str) -> Any:
    if not isinstance(reference, str):
        return reference
    module, _, attribute = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        message = f"plugin '{name}' cannot load {reference}: {error}"
        raise PluginError(message, hint="install what it needs, or see `harness list plugins`") from error
