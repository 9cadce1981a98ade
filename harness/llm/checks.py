"""Whether the configuration of a language model makes sense, before anything is imported or asked."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.errors import ConfigError, UnknownNameError
from harness.identity import plain
from harness.llm.checkpoint_model import check_checkpoint_model
from harness.llm.credentials import credential_names
from harness.llm.facts import AUTO
from harness.llm.failures import brief
from harness.llm.oracle.model import check_oracle
from harness.llm.transformers_backend import check_transformers
from harness.llm.vllm_backend import check_vllm
from harness.llm.wire import ChoiceMode, StructuredMode

if TYPE_CHECKING:
    from harness.config.schema import LLMConfig
    from harness.llm.diagnosis import Place

__all__ = ["BACKENDS", "KEEP_ALL", "check_llm", "endpoint_url"]

BACKENDS = ("litellm", "local", "oracle", "transformers", "vllm")
KEEP_ALL = "all"
_KEEP = ("ok", KEEP_ALL)
_MISSING = "???"
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*\Z")
_LEAST = {"concurrency": 1, "max_retries": 0, "slots": 1, "context_tokens": 64}


def endpoint_url(config: LLMConfig) -> str | None:
    """Return the URL that is really asked: litellm also takes one from the provider's environment variable."""
    provider = config.model.partition("/")[0] if "/" in config.model else "openai"
    name = re.sub(r"\W", "_", provider).upper()
    url = config.api_base or os.environ.get(f"{name}_BASE_URL") or os.environ.get(f"{name}_API_BASE")
    return url.rstrip("/") if url else None


def check_llm(config: LLMConfig, place: Place) -> None:
    """Check the values of a language model's configuration, before anything is imported or asked.

    Raises:
        ConfigError: If a value is missing, out of range, contradicts another, or looks like a credential.
    """
    if config.backend not in BACKENDS:
        raise UnknownNameError("LLM backend", config.backend, BACKENDS, where=place.key("backend"))
    if config.model in {_MISSING, ""}:
        raise ConfigError("no model is given", where=place.key("model"), hint="for instance openai/gpt-4o-mini")
    _check_text(config, place)
    _check_modes(config, place)
    _check_cache(config, place)
    _check_numbers(config, place)
    _check_secrets(config, place)
    if config.backend == "oracle":
        check_oracle(config, place)
        return
    if config.backend == "local":
        _check_local(config, place)
    elif config.backend in {"transformers", "vllm"}:
        check_checkpoint_model(config, place)
        (check_vllm if config.backend == "vllm" else check_transformers)(config, place)
    elif (url := endpoint_url(config)) is not None:
        _check_url(url, place)


def _check_modes(config: LLMConfig, place: Place) -> None:
    for name, kind, what in (
        ("choices", ChoiceMode, "way to enforce choices"),
        ("structured", StructuredMode, "way to structure answers"),
    ):
        modes = [AUTO, *(mode.value for mode in kind)]
        if getattr(config, name) not in modes:
            raise UnknownNameError(what, getattr(config, name), modes, where=place.key(name))


def _check_cache(config: LLMConfig, place: Place) -> None:
    if config.cache_answers not in _KEEP:
        where = place.key("cache_answers")
        raise UnknownNameError("choice of answers to keep", config.cache_answers, _KEEP, where=where)


def _check_numbers(config: LLMConfig, place: Place) -> None:
    for name, least in _LEAST.items():
        if getattr(config, name) < least:
            raise ConfigError(f"must be at least {least}, not {getattr(config, name)}", where=place.key(name))
    for name in ("timeout_s", "deadline_s", "patience_s"):
        if not getattr(config, name) > 0:
            raise ConfigError(f"must be more than 0 seconds, not {getattr(config, name):g}", where=place.key(name))
    for name in ("threads", "requests_per_minute", "tokens_per_minute"):
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ConfigError(f"must be at least 1, not {value}", where=place.key(name))


def _check_secrets(config: LLMConfig, place: Place) -> None:
    # A key pasted here would be printed with the config, so what does not look like a variable's name is not echoed.
    if config.api_key_env is not None and not _VARIABLE.match(config.api_key_env):
        what = "this is not the name of an environment variable (capitals, digits, underscores)"
        raise ConfigError(what, where=place.key("api_key_env"), hint="put the key into a variable and give its name")
    for field, hint in (
        ("extra_body", f"use {place.key('api_key_env')}"),
        ("engine", "export it as the variable its library reads, such as HF_TOKEN"),
    ):
        name = next(credential_names(plain(dict(getattr(config, field)))), None)
        if name is not None:
            what = f"'{brief(name)}' looks like a credential, and configs are stored with every run"
            raise ConfigError(what, where=place.key(field), hint=hint)


def _check_text(config: LLMConfig, place: Place) -> None:
    """Refuse what a command line that is not UTF-8 leaves behind: no endpoint could be sent it, no record hold it."""
    for name, value in plain(config).items():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            what = "this is not valid text (a byte that is not UTF-8, or half a character)"
            raise ConfigError(what, where=place.key(name), hint="type it in UTF-8") from None


def _check_local(config: LLMConfig, place: Place) -> None:
    if not config.path or config.path == _MISSING:
        raise ConfigError("the local backend needs a GGUF file", where=place.key("path"))
    if config.api_base is not None:
        what = "the local backend starts its own server and takes no URL"
        raise ConfigError(
            what, where=place.key("api_base"), hint=f"{place.key('backend')}=litellm for a server you run"
        )


def _check_url(url: str, place: Place) -> None:
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
