"""The list of models an OpenAI-compatible server offers: the cheapest proof that it is one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.llm.failures import AttemptError, Failure, FailureKind, brief, kind_of_status
from harness.llm.litellm_failures import classify

__all__ = ["list_models"]

_HTTP_ERROR = 400


async def list_models(http: Any, api_base: str, key: str | None, timeout_s: float) -> tuple[str, ...]:
    """Return the names under ``{api_base}/models``; empty where there is no such list.

    Args:
        http: An ``httpx.AsyncClient``.
        api_base: The API's URL.
        key: Bearer key, if any.
        timeout_s: Seconds to wait.

    Raises:
        AttemptError: If nothing answers there, or the key is refused.
    """
    import aiohttp  # noqa: PLC0415  -- comes with litellm and, like it, is no business of `harness --help`
    import httpx  # noqa: PLC0415  -- as aiohttp

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    secrets = (key or "",)
    try:
        response = await http.get(f"{api_base.rstrip('/')}/models", headers=headers, timeout=timeout_s)
    except aiohttp.ClientError as error:
        # A reply that is not HTTP comes through httpx's interface as it is.
        message = brief(str(error), secrets=secrets)
        raise AttemptError(Failure(FailureKind.NOT_FOUND, message)) from None
    except httpx.HTTPError as error:
        failure = classify(error, secrets=secrets)
        # What hangs up on a plain GET is no HTTP server.
        no_api = failure.kind is FailureKind.DROPPED
        raise AttemptError(replace(failure, kind=FailureKind.NOT_FOUND) if no_api else failure) from None
    if response.status_code >= _HTTP_ERROR:
        message = brief(response.text, secrets=secrets)
        kind = kind_of_status(response.status_code, message)
        if kind is FailureKind.KEY:
            raise AttemptError(Failure(kind, message, response.status_code))
        return ()
    return _names(response)


def _names(response: Any) -> tuple[str, ...]:
    try:
        body = response.json()
    except ValueError:
        return ()
    entries = body.get("data") if isinstance(body, dict) else None
    if not isinstance(entries, list):
        return ()
    return tuple(str(entry["id"]) for entry in entries if isinstance(entry, dict) and "id" in entry)
