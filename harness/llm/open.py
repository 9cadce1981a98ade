"""From configuration to a language model. Importing this imports no provider library."""

from __future__ import annotations

import os
import re
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from harness.errors import ConfigError, LLMError, UnknownNameError
from harness.identity import plain
from harness.llm.cache import AnswerCache
from harness.llm.client import Client, ClientSettings
from harness.llm.diagnosis import Place
from harness.llm.facts import AUTO, stated_facts
from harness.llm.litellm_backend import Endpoint, LitellmBackend
from harness.llm.local import NUMERICS_VERSION, LocalBackend, LocalModel
from harness.llm.price import configured_price
from harness.llm.retry import RetryPolicy
from harness.llm.wire import ChoiceMode, StructuredMode, WireFormat
from harness.materials import material_identity
from harness.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.config.schema import LLMConfig
    from harness.llm.backend import Backend
    from harness.llm.protocol import LLM
    from harness.llm.traffic import Traffic
    from harness.progress import Progress

__all__ = ["answers_path", "key_fields", "llm_identity", "open_llm"]

_BACKENDS = ("litellm", "local")
_MISSING = "???"
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*\Z")
_SECRET_FIELDS = re.compile(r"api[-_]?key|authorization|password|secret", re.IGNORECASE)
_LEAST = {"concurrency": 1, "max_retries": 0, "slots": 1, "context_tokens": 64}
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
    _validate(config, place)
    settings = ClientSettings(
        place=place,
        identity=llm_identity(config),
        key_fields=key_fields(config),
        stated=stated_facts(config),
        concurrency=config.concurrency,
        policy=RetryPolicy(max_retries=config.max_retries),
        seed=config.seed,
    )
    return Client(settings, _backend(config, place, cache, progress), AnswerCache(answers_path(cache)))


def answers_path(cache: Path) -> Path:
    """Return where the answers of all models lie under the cache root."""
    return cache / "llm" / "answers.sqlite"


def llm_identity(config: LLMConfig) -> dict[str, Any]:
    """Return plain data naming a model for records: backend, model, revision or digest, endpoint, constraints.

    Holds no key, and nothing that only says how fast or how often it is asked.
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
    }
    if config.backend == "local":
        return identity | {"material": material_identity(config.path or "", config.sha256)}
    return identity | {"api_base": _public_url(_endpoint_url(config))}


def key_fields(config: LLMConfig) -> dict[str, Any]:
    """Return everything about an endpoint that can change an answer: its identity, and a local engine's version."""
    fields = llm_identity(config)
    # Whether log-probabilities are asked for is in every request; here it only says what scorers may rely on.
    del fields["logprobs"]
    if config.backend == "local":
        fields["engine"] = _engine_version()
    return fields


def _engine_version() -> str | None:
    try:
        return f"xllamacpp {version('xllamacpp')}, settings {NUMERICS_VERSION}"
    except PackageNotFoundError:
        return None


def _endpoint_url(config: LLMConfig) -> str | None:
    """Return the URL that is really asked: litellm also takes one from the provider's environment variable."""
    provider = config.model.partition("/")[0] if "/" in config.model else "openai"
    name = re.sub(r"\W", "_", provider).upper()
    url = config.api_base or os.environ.get(f"{name}_BASE_URL") or os.environ.get(f"{name}_API_BASE")
    return url.rstrip("/") if url else None


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
    return LitellmBackend(
        Endpoint(
            model=config.model if "/" in config.model else f"openai/{config.model}",
            api_base=_endpoint_url(config),
            timeout_s=config.timeout_s,
            connections=config.concurrency,
            wire=wire,
            price=configured_price(config),
        ),
        lambda: _key(config, place),
    )


def _key(config: LLMConfig, place: Place) -> str | None:
    """Return the key to send. Where a URL is configured but no key, litellm must not send another service's."""
    if config.api_key_env is None:
        return "none" if config.api_base else None
    key = os.environ.get(config.api_key_env, "").strip()
    if key:
        return key
    what = f"the environment variable {config.api_key_env} is not set"
    raise LLMError(what, where=place.key("api_key_env"), hint=f"export {config.api_key_env}=..., or name another one")


def _validate(config: LLMConfig, place: Place) -> None:
    if config.backend not in _BACKENDS:
        raise UnknownNameError("LLM backend", config.backend, _BACKENDS, where=place.key("backend"))
    for name, kind, what in (
        ("choices", ChoiceMode, "way to enforce choices"),
        ("structured", StructuredMode, "way to structure answers"),
    ):
        modes = [AUTO, *(mode.value for mode in kind)]
        if getattr(config, name) not in modes:
            raise UnknownNameError(what, getattr(config, name), modes, where=place.key(name))
    if config.model in {_MISSING, ""}:
        raise ConfigError("no model is given", where=place.key("model"), hint="for instance openai/gpt-4o-mini")
    for name, least in _LEAST.items():
        if getattr(config, name) < least:
            raise ConfigError(f"must be at least {least}, not {getattr(config, name)}", where=place.key(name))
    if config.timeout_s <= 0:
        raise ConfigError(f"must be more than 0 seconds, not {config.timeout_s:g}", where=place.key("timeout_s"))
    if config.threads is not None and config.threads < 1:
        raise ConfigError(f"must be at least 1, not {config.threads}", where=place.key("threads"))
    _validate_secrets(config, place)
    if config.backend == "local":
        _validate_local(config, place)
    elif (url := _endpoint_url(config)) is not None:
        _validate_url(url, place)


def _validate_secrets(config: LLMConfig, place: Place) -> None:
    # A key pasted here would be printed with the config, so what does not look like a variable's name is not echoed.
    if config.api_key_env is not None and not _VARIABLE.match(config.api_key_env):
        what = "this is not the name of an environment variable (capitals, digits, underscores)"
        raise ConfigError(what, where=place.key("api_key_env"), hint="put the key into a variable and give its name")
    for name in _names(plain(dict(config.extra_body))):
        if _SECRET_FIELDS.search(name):
            what = f"'{name}' looks like a credential, and configs are stored with every run"
            raise ConfigError(what, where=place.key("extra_body"), hint=f"use {place.key('api_key_env')}")


def _names(value: Any) -> Iterator[str]:
    """Yield every key at any depth of plain data."""
    if isinstance(value, dict):
        yield from value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _names(item)


def _validate_local(config: LLMConfig, place: Place) -> None:
    if not config.path or config.path == _MISSING:
        raise ConfigError("the local backend needs a GGUF file", where=place.key("path"))
    if config.api_base is not None:
        what = "the local backend starts its own server and takes no URL"
        raise ConfigError(
            what, where=place.key("api_base"), hint=f"{place.key('backend')}=litellm for a server you run"
        )


def _validate_url(url: str, place: Place) -> None:
    where = place.key("api_base")
    if url == _MISSING:
        raise ConfigError("no URL is given", where=where, hint="for instance http://127.0.0.1:8000/v1")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 -- reading it is what checks it
    except ValueError:
        raise ConfigError("this is not a URL", where=where, hint="for instance http://127.0.0.1:8000/v1") from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        what = "a URL here must hold no credentials, query or fragment, as configs are stored with every run"
        raise ConfigError(what, where=where, hint=f"use {place.key('api_key_env')}")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError("this is not an http(s) URL", where=where, hint="for instance http://127.0.0.1:8000/v1")
