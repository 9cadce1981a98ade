from __future__ import annotations

from typing import Any

from harness.llm.litellm_backend import load_litellm
from harness.llm.litellm_quiet import quiet_calls

CALL: dict[str, Any] = {
    "model": "openai/gpt-4o",
    "messages": [{"role": "user", "content": "Is the sea wet?"}],
    "mock_response": "Yes, it is.",
    "api_key": "none",
}


async def test_answers_are_the_same_and_no_price_is_worked_out() -> None:
    litellm = load_litellm()
    usual = await litellm.acompletion(**CALL)
    quiet = await litellm.acompletion(**CALL, **quiet_calls()("acompletion", CALL))
    assert quiet.choices[0].message.content == usual.choices[0].message.content == "Yes, it is."
    assert quiet.usage.model_dump() == usual.usage.model_dump()
    assert usual._hidden_params["response_cost"] > 0
    assert quiet._hidden_params["response_cost"] is None
