"""Identities: what a run, a unit of work and a protocol are the fingerprint of.

An identity holds everything that can change a number and nothing else, so a unit is done again exactly when its number
could be different.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.identity import fingerprint, parameters_of, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.config.resolve import ResolvedPlugin, ResolvedRun

__all__ = [
    "IDENTITY_VERSION",
    "control_set_name",
    "explain_unit_id",
    "plugin_identity",
    "protocol_fields",
    "run_id",
    "score_unit_id",
]

IDENTITY_VERSION = 1
"""Raise it when the meaning of an identity changes; units of older versions are then done again."""


def run_id(resolved: ResolvedRun) -> str:
    """Return the name of the run's folder: its name and the beginning of its configuration's digest.

    The same configuration always has the same folder, which is what makes the same command resume a run.
    """
    return f"{resolved.name}-{resolved.config_sha256[:10]}"


def plugin_identity(plugin: ResolvedPlugin) -> dict[str, Any]:
    """Return what of a plugin can change a number: which one, its version, its parameters."""
    spec = plugin.registered.spec
    return {
        "plugin": plugin.registered.qualified,
        "version": spec.version,
        "params": parameters_of(plugin.config),
    }


def protocol_fields(
    resolved: ResolvedRun,
    scorer: ResolvedPlugin,
    *,
    corpus: Mapping[str, Any],
    judge: Mapping[str, Any] | None,
    embedder: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return everything that must be equal before two scores of ``scorer`` may be ranked together.

    The subject and the explanation set are what a leaderboard compares, so they are no part of it.
    """
    return {
        "corpus": plain(corpus),
        "examples": parameters_of(resolved.examples),
        "features": parameters_of(resolved.features),
        "scorer": plugin_identity(scorer),
        "judge": plain(judge),
        "embedder": plain(embedder),
        "seed": resolved.seed,
    }


def explain_unit_id(
    *, subject: str, activations: str, feature: int, examples: str, explainer: Mapping[str, Any], seed: int
) -> str:
    """Return the identity of one explanation to be written.

    Args:
        subject: The subject's name, on which draws depend.
        activations: Fingerprint of the subject's activation store.
        feature: Index of the feature.
        examples: Fingerprint of the example protocol.
        explainer: Identity of the explainer with its language model, or of the control with what it is made from.
        seed: Root seed.
    """
    return fingerprint(
        {
            "stage": "explain",
            "identity_version": IDENTITY_VERSION,
            "subject": subject,
            "activations": activations,
            "feature": feature,
            "examples": examples,
            "explainer": plain(explainer),
            "seed": seed,
        }
    )


def score_unit_id(
    *,
    subject: str,
    activations: str,
    feature: int,
    examples: str,
    set_name: str,
    explanation: str | None,
    protocol: str,
) -> str:
    """Return the identity of one score: of ``explanation`` (its digest) on one feature, under one protocol."""
    return fingerprint(
        {
            "stage": "score",
            "identity_version": IDENTITY_VERSION,
            "subject": subject,
            "activations": activations,
            "feature": feature,
            "examples": examples,
            "set": set_name,
            "explanation": explanation,
            "protocol": protocol,
        }
    )


def control_set_name(control: ResolvedPlugin, base: str) -> str:
    """Return the name of a control's explanation set.

    A control made from the real explanations (``shuffled``) belongs to one real set and carries its name; one that is
    not (``top_tokens``) is the same set whatever explainer it is compared with.
    """
    spec: Any = control.registered.spec
    return f"{control.name}({base})" if spec.uses_explanations else control.name
