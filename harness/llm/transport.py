"""The HTTP transport of our own connections: requests wait here for leave to be sent, and leave when they are read.

Imports httpx, which comes with litellm: to be imported as late as litellm is.
"""

from __future__ import annotations

from contextlib import suppress

import httpx

from harness.llm.desk import current_seat, note_sent
from harness.llm.door import Door, current_door
from harness.llm.failures import Failure, FailureKind, kind_of_status, says_too_long
from harness.llm.retry_after import retry_after

__all__ = ["GatedTransport"]

_ERROR = 400
# Whatever it was, nothing came back; which of its names it has matters only to the question.
_SENT_AGAIN = (httpx.ConnectError, httpx.RemoteProtocolError)
_NOTHING_CAME = Failure(FailureKind.DROPPED, "no reply")


class GatedTransport(httpx.AsyncBaseTransport):
    """Sends each request through the door of the call it belongs to; requests of no call at once.

    Args:
        inner: What really sends them.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the reply to ``request``, its body read."""
        door, seat = current_door(), current_seat()
        note_sent()
        if seat is not None:
            seat.give()
        if door is not None:
            await door.enter()
        response = await self._sent(request, door)
        if seat is not None:
            await seat.take()
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    async def _sent(self, request: httpx.Request, door: Door | None) -> httpx.Response:
        try:
            response = await self._inner.handle_async_request(request)
            await _read(response)
        except httpx.TransportError as error:
            if door is not None:
                door.landed(_NOTHING_CAME)
            if isinstance(error, _SENT_AGAIN):
                # litellm would send such a request once more, on connections of its own and past every door.
                raise httpx.NetworkError(str(error)) from error
            raise
        if door is not None and not response.has_redirect_location:
            door.landed(_head_failure(response))
        return response


async def _read(response: httpx.Response) -> None:
    """Read the whole body; a connection on which it was cut off is not used again."""
    try:
        await response.aread()
    except BaseException:
        with suppress(Exception):  # what went wrong first is what counts
            await response.aclose()
        raise


def _head_failure(response: httpx.Response) -> Failure | None:
    """Return what the status says went wrong, None for what may be an answer."""
    status = response.status_code
    if status < _ERROR:
        return None
    kind = kind_of_status(status, "")
    if kind is FailureKind.OVERLOADED and says_too_long(response.text):
        kind = FailureKind.CONTEXT  # some servers answer 500 to a prompt that is too long
    return Failure(kind, f"HTTP {status}", status, retry_after(response.headers))
