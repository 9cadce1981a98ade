from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from harness.llm.desk import Desk, at_desk
from harness.llm.door import Door, passing
from harness.llm.gate import Gate, GateSettings
from harness.llm.transport import GatedTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

URL = "http://127.0.0.1/v1/chat/completions"


class Body(httpx.AsyncByteStream):
    """A body in two pieces, of which the second may never come."""

    def __init__(self, *, cut: bool = False) -> None:
        self.cut = cut
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"half "
        await asyncio.sleep(0)
        if self.cut:
            message = "cut"
            raise httpx.ReadError(message)
        yield b"whole"

    async def aclose(self) -> None:
        self.closed = True


class Inner(httpx.AsyncBaseTransport):
    """Sends nothing; replies as told, and notes how many requests were in flight then."""

    def __init__(self, gate: Gate, status: int = 200, body: Body | None = None, **headers: str) -> None:
        self.gate = gate
        self.status = status
        self.body = body or Body()
        self.headers = headers
        self.in_flight: list[int] = []
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.in_flight.append(self.gate.in_flight)
        await asyncio.sleep(0)
        return httpx.Response(self.status, headers=self.headers, stream=self.body, request=request)

    async def aclose(self) -> None:
        self.closed = True


async def test_a_request_holds_its_place_until_its_reply_was_read() -> None:
    gate = Gate(GateSettings(ceiling=4))
    inner, door = Inner(gate), Door(gate, 1, "a")
    async with httpx.AsyncClient(transport=GatedTransport(inner)) as client:
        with passing(door):
            reply = await client.post(URL)
    assert (reply.text, inner.in_flight, gate.in_flight) == ("half whole", [1], 0)
    assert inner.closed
    assert inner.body.closed


async def test_requests_of_no_call_are_not_held_up_and_hold_nobody_up() -> None:
    gate, desk, reached = Gate(GateSettings(ceiling=1)), Desk(), asyncio.Event()
    await gate.admit(1)

    class Waiting(Inner):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.wait_for(reached.wait(), 1)
            return await super().handle_async_request(request)

    async def reach() -> None:
        reached.set()

    async with httpx.AsyncClient(transport=GatedTransport(Waiting(gate))) as client:
        asked = asyncio.ensure_future(at_desk(desk.seat(), lambda: client.get(URL)))
        await asyncio.sleep(0)
        await asyncio.wait_for(at_desk(desk.seat(), reach), 1)
        assert (await asked).status_code == 200


@pytest.mark.parametrize(("status", "limit"), [(200, 10), (429, 7), (503, 7), (500, 10), (400, 10)])
async def test_the_limit_hears_what_the_head_says_at_once(status: int, limit: int) -> None:
    gate = Gate(GateSettings(ceiling=10))
    door = Door(gate, 1, "a")
    async with httpx.AsyncClient(transport=GatedTransport(Inner(gate, status))) as client:
        with passing(door):
            await client.post(URL)
    assert (gate.limit, gate.in_flight) == (limit, 0)


@pytest.mark.parametrize("lost", [httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadTimeout])
async def test_a_lost_connection_is_none_that_litellm_sends_again_by_itself(lost: type[httpx.TransportError]) -> None:
    class Losing(Inner):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            del request
            message = "gone"
            raise lost(message)

    gate = Gate(GateSettings(ceiling=4))
    async with httpx.AsyncClient(transport=GatedTransport(Losing(gate))) as client:
        with passing(Door(gate, 1, "a")), pytest.raises(httpx.TransportError) as caught:
            await client.post(URL)
    assert not isinstance(caught.value, (httpx.ConnectError, httpx.RemoteProtocolError))
    assert lost in {type(caught.value), type(caught.value.__cause__)}
    assert gate.in_flight == 0


async def test_a_redirect_keeps_the_place_of_its_call() -> None:
    gate = Gate(GateSettings(ceiling=1))

    class Moved(Inner):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            reply = await super().handle_async_request(request)
            if request.url.path.endswith("/moved"):
                return reply
            return httpx.Response(307, headers={"Location": "/moved"}, stream=Body(), request=request)

    inner = Moved(gate)
    async with httpx.AsyncClient(transport=GatedTransport(inner), follow_redirects=True) as client:
        with passing(Door(gate, 1, "a")):
            assert (await asyncio.wait_for(client.post(URL), 1)).text == "half whole"
    assert (inner.in_flight, gate.in_flight) == ([1, 1], 0)


async def test_a_prompt_that_is_too_long_is_no_fault_of_the_endpoint_whatever_the_status() -> None:
    class Long(Body):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"the prompt is longer than the context size (100 tokens)"

    gate = Gate(GateSettings(ceiling=8))
    async with httpx.AsyncClient(transport=GatedTransport(Inner(gate, 500, Long()))) as client:
        for _ in range(10):
            with passing(Door(gate, 1, "a")):
                await client.post(URL)
    assert gate.limit == 8


async def test_a_reply_that_is_cut_off_frees_its_place_and_its_connection() -> None:
    gate, body = Gate(GateSettings(ceiling=4)), Body(cut=True)
    async with httpx.AsyncClient(transport=GatedTransport(Inner(gate, body=body))) as client:
        with passing(Door(gate, 1, "a")), pytest.raises(httpx.ReadError):
            await client.post(URL)
    assert body.closed
    assert gate.in_flight == 0


async def test_a_call_at_the_gate_or_on_the_wire_has_no_seat_at_the_desk() -> None:
    gate, desk = Gate(GateSettings(ceiling=1)), Desk()
    holding = await gate.admit(1)
    async with httpx.AsyncClient(transport=GatedTransport(Inner(gate))) as client:

        async def post() -> int:
            with passing(Door(gate, 1, "a")):
                return (await client.post(URL)).status_code

        waiting = asyncio.ensure_future(at_desk(desk.seat(), post))
        await asyncio.sleep(0.01)
        assert await asyncio.wait_for(at_desk(desk.seat(), lambda: asyncio.sleep(0, "free")), 1) == "free"
        gate.came_back(holding, None)
        assert await asyncio.wait_for(waiting, 1) == 200
