"""The kinds of thing that can be registered: how each is called, which hook collects it, what its spec is."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import UnknownNameError
from harness.registry.specs import ControlSpec, CorpusSpec, ExplainerSpec, ScorerSpec, Spec, SubjectSpec

__all__ = ["KINDS", "Kind", "kind_named"]


@dataclass(frozen=True)
class Kind:
    """One kind of registered thing.

    Attributes:
        name: In the singular, as errors say it.
        plural: In the plural, as listings say it.
        hook: The hook that collects its specs.
        spec: The type every such spec must have.
        group: The config group (and the key of a run's config) it is named in.
    """

    name: str
    plural: str
    hook: str
    spec: type[Spec]
    group: str


KINDS: tuple[Kind, ...] = (
    Kind("subject", "subjects", "harness_subjects", SubjectSpec, "subject"),
    Kind("corpus", "corpora", "harness_corpora", CorpusSpec, "corpus"),
    Kind("explainer", "explainers", "harness_explainers", ExplainerSpec, "explainer"),
    Kind("scorer", "scorers", "harness_scorers", ScorerSpec, "scorers"),
    Kind("control", "controls", "harness_controls", ControlSpec, "controls"),
)


def kind_named(text: str) -> Kind:
    """Return the kind called ``text``, in the singular or the plural.

    Raises:
        UnknownNameError: If there is no such kind.
    """
    for kind in KINDS:
        if text in {kind.name, kind.plural}:
            return kind
    raise UnknownNameError("kind", text, [kind.name for kind in KINDS])
