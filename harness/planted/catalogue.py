"""All planted features, and the rule behind every text that speaks of one."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from harness.errors import FeatureSourceError
from harness.identity import fingerprint, plain
from harness.planted.features import EMPTY, OTHER, SETS
from harness.planted.forms import FORMS
from harness.planted.lexical import LEXICAL
from harness.planted.promoters import PROMOTERS
from harness.planted.subject_matter import SUBJECT_MATTER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.planted.features import Believed, Planted
    from harness.planted.rules import Rule

__all__ = [
    "CATALOGUES",
    "FEATURES",
    "RULES_VERSION",
    "believed",
    "features_digest",
    "planted_rule",
    "rules_digest",
    "texts_identity",
]

RULES_VERSION = 1
"""Raise it when the same rules come to mean other matches or strengths."""

FEATURES: tuple[Planted, ...] = (*LEXICAL, *SUBJECT_MATTER, *FORMS)
"""The features that read text, in order of their numbers."""

CATALOGUES: Mapping[str, tuple[Planted, ...]] = {"input": FEATURES, "output": PROMOTERS}
"""Features that read text, and features that promote tokens."""


def believed(features: Sequence[Planted], feature: int, name: str) -> Believed:
    """Return the explanation of a feature in the set ``name``.

    In the set ``other`` a feature has the true explanation of one half the catalogue away, or further on if that is of
    its own family.

    Args:
        features: The catalogue.
        feature: Number of the feature.
        name: One of ``harness.planted.features.SETS``.

    Raises:
        FeatureSourceError: If there is no such feature.
        UnknownNameError: If there is no such set.
    """
    if not 0 <= feature < len(features):
        what = f"there is no planted feature {feature}"
        raise FeatureSourceError(what, hint=f"they are numbered 0 to {len(features) - 1}")
    mine = features[feature]
    ring = [features[(feature + len(features) // 2 + step) % len(features)] for step in range(len(features))]
    return mine.explanation(name, next((one for one in ring if one.family != mine.family), ring[0]))


def planted_rule(text: str) -> Rule | None:
    """Return what somebody expects who believes ``text``, or None if no planted set has that text."""
    return _rules().get(text.strip())


def texts_identity(config: object) -> dict[str, str]:  # noqa: ARG001  -- the seam
    """Return what determines the texts of planted explanations."""
    return {"rules": rules_digest()}


@cache
def rules_digest() -> str:
    """Return the fingerprint of every explanation of every planted set with its rule: what an oracle knows."""
    return fingerprint({"version": RULES_VERSION, "rules": {text: plain(rule) for text, rule in _rules().items()}})


@cache
def features_digest() -> str:
    """Return the fingerprint of the features that read text, which determines every activation."""
    return fingerprint({"version": RULES_VERSION, "rules": [plain(feature.rule) for feature in FEATURES]})


@cache
def _rules() -> dict[str, Rule]:
    return {
        said.text: said.rule
        for features in CATALOGUES.values()
        for feature in features
        for name in SETS
        if name not in {EMPTY, OTHER}
        for said in (feature.said[name],)
    }
