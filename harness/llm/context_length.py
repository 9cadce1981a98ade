"""How many tokens a model's prompt and answer may have together, as its server states it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["context_in_listing", "context_in_props", "context_in_table", "server_context"]

_LISTED = ("max_model_len", "context_length", "max_context_length", "context_window", "max_input_tokens")
_HTTP_OK = 200


async def server_context(http: Any, api_base: str, key: str | None, model: str, timeout_s: float) -> int | None:
    """Return the context length an OpenAI-compatible server states, or None: it is worth no failed run.

    Args:
        http: An ``httpx.AsyncClient``.
        api_base: The API's URL.
        key: Bearer key, if any.
        model: The model's name there.
        timeout_s: Seconds to wait for each of at most two answers.
    """
    base = api_base.rstrip("/")
    listing = await _json(http, f"{base}/models", key, timeout_s)
    found, is_llama_cpp = context_in_listing(listing, model)
    if is_llama_cpp:
        # What it was trained with is in the list; what it is served with may be less.
        served = context_in_props(await _json(http, f"{base.removesuffix('/v1')}/props", key, timeout_s))
        return served or found
    return found


def context_in_listing(listing: Any, model: str) -> tuple[int | None, bool]:
    """Return the context length in a list of models, and whether the server is llama.cpp's.

    The entry of another name is taken where it is the only one: servers of one model answer to any name.
    """
    entries = listing.get("data") if isinstance(listing, dict) else None
    entries = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    named = [entry for entry in entries if entry.get("id") == model] or (entries if len(entries) == 1 else [])
    if not named:
        return None, False
    entry = named[0]
    meta = entry.get("meta")
    trained = _count(meta.get("n_ctx_train")) if isinstance(meta, dict) else None
    stated = next((count for name in _LISTED if (count := _count(entry.get(name))) is not None), None)
    return stated or trained, trained is not None or entry.get("owned_by") == "llamacpp"


def context_in_props(props: Any) -> int | None:
    """Return the context length of one sequence in what llama.cpp says under ``/props``."""
    settings = props.get("default_generation_settings") if isinstance(props, dict) else None
    return _count(settings.get("n_ctx")) if isinstance(settings, dict) else None


def context_in_table(table: Mapping[str, Any], model: str) -> int | None:
    """Return the context length in litellm's table, under the model's name with or without its provider."""
    for name in (model, model.partition("/")[2]):
        entry = table.get(name)
        if isinstance(entry, dict) and (count := _count(entry.get("max_input_tokens"))) is not None:
            return count
    return None


async def _json(http: Any, url: str, key: str | None, timeout_s: float) -> Any:
    import httpx  # noqa: PLC0415  -- comes with litellm and, like it, is no business of `harness --help`

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        response = await http.get(url, headers=headers, timeout=timeout_s)
        return response.json() if response.status_code == _HTTP_OK else None
    except (httpx.HTTPError, ValueError, RecursionError):
        return None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
