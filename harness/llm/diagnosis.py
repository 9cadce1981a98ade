"""From a failed attempt to an error that names the config key to mend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import LLMError, closest
from harness.llm.failures import Failure, FailureKind

if TYPE_CHECKING:
    from harness.config.schema import LLMConfig

__all__ = ["Place", "diagnose", "diagnose_broken"]

_PREFIX = {"explainer": "explainer.llm"}
_SHOWN_MODELS = 5


@dataclass(frozen=True, slots=True)
class Place:
    """Where an endpoint stands in the configuration.

    Attributes:
        role: ``explainer`` or ``judge``.
        model: The configured model.
        api_base: The configured URL, or None for a provider's own.
        api_key_env: Name of the variable that holds the key, or None.
        backend: What answers.
        path: The weights of a model of this process.
    """

    role: str
    model: str
    api_base: str | None
    api_key_env: str | None
    backend: str = "litellm"
    path: str | None = None

    @classmethod
    def of(cls, config: LLMConfig, role: str) -> Place:
        """Return the place of ``config`` as ``role``."""
        return cls(role, config.model, config.api_base, config.api_key_env, config.backend, config.path)

    def key(self, name: str) -> str:
        """Return the full config key of field ``name``, for instance ``judge.api_base``."""
        return f"{_PREFIX.get(self.role, self.role)}.{name}"

    @property
    def address(self) -> tuple[str | None, ...]:
        """Return what tells endpoints apart: roles of one address share its limits."""
        return (self.backend, self.api_base, self.path, self.model, self.api_key_env)

    @property
    def endpoint(self) -> str:
        """Return what to call the endpoint in a sentence."""
        return self.api_base or f"the provider of {self.model}"


def diagnose(failure: Failure, place: Place) -> LLMError:
    """Return the error that ends a run for ``failure``: what happened, which config key it concerns, what to do."""
    known = {
        FailureKind.UNREACHABLE: _unreachable,
        FailureKind.KEY: _key,
        FailureKind.MODEL: _model,
        FailureKind.QUOTA: _quota,
        FailureKind.UNSUPPORTED: _unsupported,
        FailureKind.NOT_FOUND: _no_api,
        FailureKind.MALFORMED: _no_api,
    }
    return known.get(failure.kind, _other)(failure, place)


def diagnose_broken(failure: Failure, why: str, place: Place) -> LLMError:
    """Return the error that ends a run because an endpoint answers with nothing but failures."""
    error = diagnose(failure, place)
    what = f"{place.endpoint} was given up, {why}; it says: {failure.line}"
    return LLMError(what, where=error.where, hint=f"{error.hint}; the same command then goes on")


def _unreachable(failure: Failure, place: Place) -> LLMError:
    hint = f"start the server, or correct {place.key('api_base')}" if place.api_base else "check the network"
    what = f"{place.endpoint} cannot be reached ({failure.message})"
    return LLMError(what, where=place.key("api_base"), hint=hint)


def _key(failure: Failure, place: Place) -> LLMError:
    if place.api_key_env is None:
        hint = f"name the environment variable that holds the key: {place.key('api_key_env')}=NAME"
        said = f"{place.endpoint} wants a key"
    else:
        hint = f"put a valid key into the environment variable {place.api_key_env}"
        said = f"{place.endpoint} refuses the key in {place.api_key_env}"
    return LLMError(f"{said} ({_said(failure)})", where=place.key("api_key_env"), hint=hint)


def _model(failure: Failure, place: Place) -> LLMError:
    provider, _, bare = place.model.partition("/")
    near = [f"{provider}/{name}" for name in closest(bare or provider, failure.models)]
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif failure.models:
        hint = f"one of: {', '.join(f'{provider}/{name}' for name in failure.models[:_SHOWN_MODELS])}"
    else:
        hint = "write it as PROVIDER/NAME, as litellm does; openai/NAME for any OpenAI-compatible server"
    what = f"{place.endpoint} has no model '{place.model}' ({_said(failure)})"
    return LLMError(what, where=place.key("model"), hint=hint)


def _quota(failure: Failure, place: Place) -> LLMError:
    what = f"{place.endpoint} says the quota or credit is used up ({_said(failure)})"
    return LLMError(what, where=place.key("api_key_env"), hint="add credit or use another key, then repeat the command")


def _unsupported(failure: Failure, place: Place) -> LLMError:
    what = f"{place.endpoint} lacks something that is needed: {failure.message}"
    hint = f"choose another model, or switch it off with {place.key('structured')}=none, choices=none or logprobs=false"
    return LLMError(what, where=place.key("model"), hint=hint)


def _no_api(failure: Failure, place: Place) -> LLMError:
    what = f"{place.endpoint} does not answer like an OpenAI-compatible API ({_said(failure)})"
    return LLMError(what, where=place.key("api_base"), hint="the URL usually ends in /v1")


def _other(failure: Failure, place: Place) -> LLMError:
    what = f"{place.endpoint} does not answer: {failure.line}"
    return LLMError(what, where=place.key("model"), hint="try again later, or choose another endpoint")


def _said(failure: Failure) -> str:
    return f"HTTP {failure.status}: {failure.message}" if failure.status else failure.message
