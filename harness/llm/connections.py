"""Our own HTTP connections to an endpoint, in the forms in which litellm takes them.

Imports httpx and openai, which come with litellm: to be imported as late as litellm is.
"""

from __future__ import annotations

import importlib
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import openai
from httpx_aiohttp import HttpxAiohttpClient

from harness.llm.credentials import NO_KEY
from harness.llm.transport import GatedTransport

if TYPE_CHECKING:
    from harness.llm.litellm_backend import Endpoint

__all__ = ["Connections", "open_connections"]

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_OPENAI = "openai"
_HOSTED_VLLM = "hosted_vllm"


class GatedClient(HttpxAiohttpClient):
    """aiohttp under httpx's interface, as litellm itself does, with the door of a call before every request.

    httpx's own pool looks at every connection for every request, which at a hundred connections takes longer than all
    the rest of a call.
    """

    def _init_transport(self, *args: Any, **kwargs: Any) -> httpx.AsyncBaseTransport:
        return GatedTransport(super()._init_transport(*args, **kwargs))

    def _init_proxy_transport(self, *args: Any, **kwargs: Any) -> httpx.AsyncBaseTransport:
        return GatedTransport(super()._init_proxy_transport(*args, **kwargs))


class Connections:
    """The connections of one endpoint and what hands them to litellm.

    Args:
        http: The pool.
        openai_client: OpenAI's client on that pool, for providers that litellm asks through one; else None.
        chat: The client that a chat completion takes, None where litellm must make its own.
    """

    def __init__(self, http: httpx.AsyncClient, openai_client: openai.AsyncOpenAI | None, chat: object | None) -> None:
        self.http = http
        self._openai_client = openai_client
        self._chat = chat

    @property
    def gated(self) -> bool:
        """Return whether every request of a call comes through here."""
        return self._chat is not None

    @property
    def for_chat(self) -> dict[str, Any]:
        """Return the argument for a chat completion, if any."""
        return {} if self._chat is None else {"client": self._chat}

    @property
    def for_text(self) -> dict[str, Any]:
        """Return the argument for a text completion: litellm would open a session for every call, and close none."""
        return {} if self._openai_client is None else {"client": self._openai_client}

    async def close(self) -> None:
        """Close the pool."""
        if self._openai_client is not None:
            await self._openai_client.close()
        await self.http.aclose()


async def open_connections(endpoint: Endpoint, api_key: str | None) -> Connections:
    """Return a pool sized for our concurrency rather than a library's default, given to litellm where it takes one."""
    limits = httpx.Limits(max_connections=endpoint.connections + 1, max_keepalive_connections=endpoint.connections)
    # A proxy from the environment cannot reach this machine's own loopback interface.
    loopback = urlsplit(endpoint.api_base or "").hostname in _LOOPBACK
    handlers: Any = importlib.import_module("litellm.llms.custom_httpx.http_handler")
    http = GatedClient(
        limits=limits,
        timeout=endpoint.timeout_s,
        trust_env=not loopback,
        follow_redirects=True,
        # Certificates as litellm's users set them: SSL_VERIFY, SSL_CERT_FILE.
        verify=handlers.get_ssl_configuration(),
        # A load balancer's cookie would bind all connections to one of its servers.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )
    if endpoint.api_base is None or endpoint.provider not in {_OPENAI, _HOSTED_VLLM}:
        return Connections(http, None, None)
    library: Any = openai  # which of httpx's branches its types name depends on its version; it takes either
    client = library.AsyncOpenAI(
        api_key=api_key or NO_KEY,
        base_url=endpoint.api_base,
        max_retries=0,
        timeout=endpoint.timeout_s,
        http_client=http,
    )
    chat = client if endpoint.provider == _OPENAI else await _handler(handlers, http)
    return Connections(http, client, chat)


async def _handler(handlers: Any, http: httpx.AsyncClient) -> object:
    """Return litellm's own kind of client, with our pool in place of the one it opens."""
    handler = handlers.AsyncHTTPHandler()
    opened, handler.client = handler.client, http
    await opened.aclose()
    return handler
