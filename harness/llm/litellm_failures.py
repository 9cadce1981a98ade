"""From an exception raised inside a litellm call to a ``Failure``. Goes by names, so it imports no litellm.

litellm folds several causes into one exception type (a refused connection, a cut reply and a reply that is not JSON are
all ``InternalServerError`` 500), so the chain of causes is what is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.llm.failures import Failure, FailureKind, brief, kind_of_status, says_too_long
from harness.llm.retry_after import retry_after

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["classify"]

_DEPTH = 12
_UNREACHABLE = frozenset({"ConnectError", "ClientConnectorError", "ConnectionRefusedError", "gaierror"})
# What the layer between aiohttp and httpx also calls a connection that was dropped.
_NOT_CONNECTED = frozenset({"ConnectTimeout"})
_TIMEOUTS = frozenset(
    {"ReadTimeout", "WriteTimeout", "PoolTimeout", "APITimeoutError", "TimeoutError", "SocketTimeoutError"}
)
_DROPPED = frozenset(
    {"ReadError", "WriteError", "RemoteProtocolError", "ServerDisconnectedError", "ClientPayloadError", "ClientOSError"}
)
_BY_NAME = {
    "ContextWindowExceededError": FailureKind.CONTEXT,
    "ContentPolicyViolationError": FailureKind.REFUSED,
    "UnsupportedParamsError": FailureKind.UNSUPPORTED,
}
# Not openai.APIStatusError: litellm derives its own guesses from that.
_HTTP = frozenset({"HTTPStatusError", "MaskedHTTPStatusError"})
_POLICY_CODES = frozenset({"content_policy_violation", "content_filter"})
_NO_PROVIDER = "LLM Provider NOT provided"
_NO_KEY = ("Missing credentials", "api_key client option must be set", "API Key")
_SAID_AFTER = "Exception - "


def classify(error: BaseException, *, secrets: Iterable[str] = ()) -> Failure:
    """Return what went wrong with one attempt.

    Args:
        error: What litellm raised.
        secrets: Texts that must not appear in the message (the key).
    """
    chain = list(_chain(error))
    names = {type(item).__name__ for item in chain}
    message = brief(_said(error), secrets=secrets)
    status = _status(chain)
    kind = _kind(error, names, message, status)
    return Failure(kind, message, status, _retry_after(chain))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_DEPTH):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _kind(error: BaseException, names: set[str], message: str, status: int | None) -> FailureKind:
    named = _BY_NAME.get(type(error).__name__)
    if named is not None:
        return named
    context = status == 400 and says_too_long(message)  # noqa: PLR2004 -- HTTP
    rules = (
        (getattr(error, "code", None) in _POLICY_CODES, FailureKind.REFUSED),
        (bool(names & _UNREACHABLE), FailureKind.UNREACHABLE),
        (bool(names & _DROPPED), FailureKind.DROPPED),
        (status is None and bool(names & _TIMEOUTS), FailureKind.TIMEOUT),
        (bool(names & _NOT_CONNECTED), FailureKind.UNREACHABLE),
        (_NO_PROVIDER in message, FailureKind.MODEL),
        (status is None and any(words in message for words in _NO_KEY), FailureKind.KEY),
        (context, FailureKind.CONTEXT),
    )
    first = next((kind for applies, kind in rules if applies), None)
    if first is not None:
        return first
    return _kind_without_http(error) if status is None else kind_of_status(status, message)


def _kind_without_http(error: BaseException) -> FailureKind:
    """Return the kind of an error raised over a reply of status 200, or before anything was sent."""
    claimed = getattr(error, "status_code", None)
    # litellm says 500 of whatever it cannot read; any other number is what an error body claimed for itself.
    if isinstance(claimed, int) and claimed >= 400 and claimed != 500:  # noqa: PLR2004 -- HTTP
        return kind_of_status(claimed, str(error))
    return FailureKind.MALFORMED


def _status(chain: list[BaseException]) -> int | None:
    """Return the status the server really sent, or None if it sent none or 200."""
    for item in chain:
        if type(item).__name__ in _HTTP:
            status = getattr(getattr(item, "response", None), "status_code", None) or getattr(item, "status_code", None)
            if isinstance(status, int):
                return status
    return None


def _said(error: BaseException) -> str:
    """Return the endpoint's own words, without litellm's prefixes and tracebacks."""
    text = str(getattr(error, "message", "") or error)
    if "Invalid response object" in text or "'choices' that is not a list" in text:
        return "the reply is not a chat completion"
    _, mark, said = text.partition(_SAID_AFTER)
    said = (said if mark else text).split("Traceback (most recent call last)")[0]
    return said.split("Check the reverse proxy")[0].strip() or type(error).__name__


def _retry_after(chain: list[BaseException]) -> float | None:
    """Return the seconds a Retry-After header asks for, as a number or as a date."""
    for item in chain:
        for headers in (getattr(item, "litellm_response_headers", None), getattr(item, "headers", None)):
            value = retry_after(headers)
            if value is not None:
                return value
    return None
