"""From configuration to a language model. Importing this imports no provider library."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from harness.errors import ConfigError, LLMError
from harness.identity import plain
from harness.llm.answers_file import answers_path
from harness.llm.cache import AnswerCache
from harness.llm.checkpoint_model import CheckpointModel
from harness.llm.checks import KEEP_ALL, check_llm, endpoint_url
from harness.llm.client import Client, ClientSettings
from harness.llm.credentials import NO_KEY
from harness.llm.diagnosis import Place
from harness.llm.endpoint_memory import EndpointMemory
from harness.llm.facts import stated_facts
from harness.llm.gate import GateSettings
from harness.llm.litellm_backend import Endpoint, LitellmBackend
from harness.llm.local import NUMERICS_VERSION, LocalBackend, LocalModel
from harness.llm.modes import known_modes
from harness.llm.oracle.model import OracleJudge, oracle_identity
from harness.llm.price import configured_price
from harness.llm.retry import RetryPolicy
from harness.llm.transformers_backend import TransformersBackend, transformers_key_fields
from harness.llm.vllm_backend import VllmBackend, vllm_key_fields
from harness.llm.wire import WireFormat
from harness.materials import material_identity
from harness.materials.checkpoint import checkpoint_identity
from harness.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.config.schema import LLMConfig
    from harness.llm.backend import Backend
    from harness.llm.protocol import LLM
    from harness.llm.traffic import Traffic
    from harness.progress import Progress

__all__ = ["answers_path", "endpoint_memory", "key_fields", "llm_identity", "open_backend", "open_llm"]

# llama.cpp's own samplers, on by default, would cut the distribution that temperature and top_p describe.
_PLAIN_SAMPLING = {"top_k": 0, "min_p": 0.0}


def open_llm(
    config: LLMConfig, role: str, cache: Path, progress: Progress = SILENT, traffic: Traffic | None = None
) -> LLM:
    """Return the language model of ``role``, not started: nothing is imported, loaded or asked before ``start``.

    Args:
        config: Which model, where and how.
        role: ``explainer`` or ``judge``; errors name its config keys.
        cache: Root of the harness's cache; answers are kept in ``llm/answers.sqlite`` there.
        progress: Told when a local model is fetched and loaded.
        traffic: What all models of one run share; None for one of its own.

    Raises:
        ConfigError: If a value is missing or makes no sense.
    """
    place = Place.of(config, role)
    check_llm(config, place)
    if config.backend == "oracle":
        return OracleJudge(config, llm_identity(config, known_modes(config)), stated_facts(config), place)
    settings = ClientSettings(
        place=place,
        identity=llm_identity(config),
        key_fields=key_fields(config),
        stated=stated_facts(config),
        memory=endpoint_memory(config, cache),
        gate=GateSettings(
            ceiling=config.concurrency,
            requests_per_minute=config.requests_per_minute,
            tokens_per_minute=config.tokens_per_minute,
            patience_s=config.patience_s,
        ),
        policy=RetryPolicy(max_retries=config.max_retries, deadline_s=config.deadline_s),
        seed=config.seed,
    )
    answers = AnswerCache(answers_path(cache), keep_all=config.cache_answers == KEEP_ALL)
    return Client(settings, _backend(config, place, cache, progress), answers, traffic)


def open_backend(config: LLMConfig, role: str, cache: Path, progress: Progress = SILENT) -> Backend:
    """Return what answers for ``role``, without cache, retries and accounting: for looking at the endpoint itself.

    Raises:
        ConfigError: As ``open_llm``.
    """
    place = Place.of(config, role)
    check_llm(config, place)
    if config.backend == "oracle":
        what = "an oracle is no endpoint: it can do all that a scorer asks for, at once"
        raise ConfigError(what, where=place.key("backend"), hint="harness run judge=oracle")
    return _backend(config, place, cache, progress)


def endpoint_memory(config: LLMConfig, cache: Path) -> EndpointMemory | None:
    """Return where the facts of the endpoint are remembered; None for models of this process, which are not asked."""
    if config.backend != "litellm":
        return None
    return EndpointMemory.of(cache, llm_identity(config), stated_facts(config))


def llm_identity(config: LLMConfig, modes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return plain data naming a model for records: backend, model, revision or digest, endpoint, engine, constraints.

    Holds no key, and nothing that only says how fast or how often it is asked. Nor the length of a context: what does
    not fit is an error or cut off, and no answer.

    Args:
        config: The model's configuration.
        modes: How it is really asked (``harness.llm.modes``), in place of what may be configured as ``auto``; None if
            that is not known yet.
    """
    identity: dict[str, Any] = {
        "backend": config.backend,
        "model": config.model,
        "revision": config.revision,
        "choices": config.choices,
        "structured": config.structured,
        "logprobs": config.logprobs,
        "extra_body": plain(dict(config.extra_body)),
        "seed": config.seed,
        **(modes or {}),
    }
    if config.backend == "local":
        return identity | {"material": material_identity(config.path or "", config.sha256)}
    if config.backend in {"transformers", "vllm"}:
        weights = checkpoint_identity(config.path or "", config.revision, config.sha256)
        identity |= {"weights": weights, "dtype": config.dtype}
        # Its arguments choose numerics: quantisation, kernels, how a model is split.
        return identity | ({"engine": plain(dict(config.engine))} if config.backend == "vllm" else {})
    if config.backend == "oracle":
        return identity | oracle_identity(config)
    return identity | {"api_base": _public_url(endpoint_url(config))}


def key_fields(config: LLMConfig) -> dict[str, Any]:
    """Return what a configuration says of an endpoint that can change an answer: identity, and engine versions.

    How questions are put there is found out by asking it, and joins these fields then (``EndpointFacts.wire_fields``):
    stating what ``auto`` finds asks nothing anew. Whether log-probabilities are wanted is in every request.
    """
    found_out = {"choices", "structured", "logprobs"}
    fields = {name: value for name, value in llm_identity(config).items() if name not in found_out}
    if config.backend != "litellm":
        # Decides where an answer is cut off, and such a one may be kept (``cache_answers``).
        fields["context_tokens"] = config.context_tokens
    if config.backend == "local":
        fields["engine"] = _engine_version()
    if config.backend == "transformers":
        fields |= transformers_key_fields(config)
    if config.backend == "vllm":
        fields |= vllm_key_fields()
    return fields


def _engine_version() -> str | None:
    try:
        return f"xllamacpp {version('xllamacpp')}, settings {NUMERICS_VERSION}"
    except PackageNotFoundError:
        return None


def _public_url(url: str | None) -> str | None:
    """Return a URL without user name, password, query and fragment: an environment variable may hold any of them."""
    if url is None:
        return None
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _backend(config: LLMConfig, place: Place, cache: Path, progress: Progress) -> Backend:
    wire = WireFormat(extra_body=plain(dict(config.extra_body)))
    if config.backend == "local":
        model = LocalModel(
            name=config.model,
            path=config.path or "",
            sha256=config.sha256,
            context_tokens=config.context_tokens,
            slots=config.slots,
            threads=config.threads,
        )
        local_wire = WireFormat(extra_body={**_PLAIN_SAMPLING, **wire.extra_body})
        return LocalBackend(model, local_wire, config.timeout_s, config.concurrency, cache, progress)
    if config.backend == "transformers":
        return TransformersBackend(CheckpointModel.of(config, place), config.batch_tokens, cache, progress)
    if config.backend == "vllm":
        engine = plain(dict(config.engine))
        return VllmBackend(CheckpointModel.of(config, place), config.batch_tokens, engine, cache, progress)
    return LitellmBackend(
        Endpoint(
            model=config.model if "/" in config.model else f"openai/{config.model}",
            api_base=endpoint_url(config),
            timeout_s=config.timeout_s,
            connections=config.concurrency,
            wire=wire,
            price=configured_price(config),
            prompt_cache=config.prompt_cache,
        ),
        lambda: _key(config, place),
    )


def _key(config: LLMConfig, place: Place) -> str | None:
    """Return the key to send. Where a URL is configured but no key, litellm must not send another service's."""
    if config.api_key_env is None:
        return NO_KEY if config.api_base else None
    key = os.environ.get(config.api_key_env, "").strip()
    if key:
        return key
    what = f"the environment variable {config.api_key_env} is not set"
    raise LLMError(what, where=place.key("api_key_env"), hint=f"export {config.api_key_env}=..., or name another one")
