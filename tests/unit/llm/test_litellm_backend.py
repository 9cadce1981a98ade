from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from harness.llm.door import Door, passing
from harness.llm.gate import Gate, GateSettings
from harness.llm.litellm_backend import Endpoint, LitellmBackend
from harness.llm.protocol import CompletionRequest, Message

ANSWER = {
    "choices": [{"message": {"role": "assistant", "content": "Yes"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1},
}
ASKED = CompletionRequest((Message("user", "q"),), max_tokens=3)


async def test_calls_that_litellm_sends_on_connections_of_its_own_enter_before_they_are_made() -> None:
    gate, in_flight = Gate(GateSettings(ceiling=2)), list[int]()

    async def acompletion(**_: Any) -> Any:
        in_flight.append(gate.in_flight)
        await asyncio.sleep(0.01)
        return SimpleNamespace(model_dump=lambda: ANSWER)

    backend: Any = LitellmBackend(Endpoint("openai/o3", "http://127.0.0.1:9/v1"), lambda: None)
    backend._litellm = SimpleNamespace(acompletion=acompletion)
    backend._connections = SimpleNamespace(gated=True, for_chat={}, for_text={})
    assert backend.enters_late

    async def ask() -> None:
        with passing(Door(gate, 1, "a")):
            assert (await backend.complete(ASKED, None)).text == "Yes"

    await asyncio.wait_for(asyncio.gather(*(ask() for _ in range(2))), 2)
    assert not backend.enters_late
    assert in_flight == [0, 1]
