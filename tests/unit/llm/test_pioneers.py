from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from harness.llm.backend import Reply
from harness.llm.pioneers import Pioneers, prefix_of
from harness.llm.protocol import CompletionRequest, Message
from harness.outcome import Outcome

YES = Reply(Outcome.OK, text="Yes")
REQUEST = CompletionRequest((Message("system", "s"), Message("user", "about A: x")), max_tokens=1, shared_prefix=8)


class Provider:
    """Answers after a turn, and knows which prefixes it has written and which it could read."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.read: list[str] = []
        self._held: set[str] = set()

    async def ask(self, prefix: str, reply: Reply = YES) -> Reply:
        (self.read if prefix in self._held else self.written).append(prefix)
        await asyncio.sleep(0.01)
        if reply.answered:
            self._held.add(prefix)
        return reply


async def test_a_prefix_is_written_once_and_read_by_all_others() -> None:
    provider, pioneers = Provider(), Pioneers()
    asked = [pioneers.run(prefix, lambda p=prefix: provider.ask(p)) for prefix in "ab" * 10]  # type: ignore[misc]
    await asyncio.gather(*asked)
    assert sorted(provider.written) == ["a", "b"]
    assert len(provider.read) == 18


async def test_without_an_answer_the_next_one_goes_ahead() -> None:
    provider, pioneers = Provider(), Pioneers()
    lost = Reply(Outcome.ERROR, answered=False)
    replies = [lost, lost, YES, YES, YES]
    await asyncio.gather(*(pioneers.run("a", lambda r=reply: provider.ask("a", r)) for reply in replies))  # type: ignore[misc]
    assert (len(provider.written), len(provider.read)) == (3, 2)


async def test_one_that_raises_or_leaves_keeps_nobody_waiting() -> None:
    provider, pioneers = Provider(), Pioneers()

    async def fail() -> Reply:
        await asyncio.sleep(0)
        raise ValueError("lost")

    failing = asyncio.ensure_future(pioneers.run("a", fail))
    leaving = asyncio.ensure_future(pioneers.run("a", lambda: provider.ask("a")))
    staying = asyncio.ensure_future(pioneers.run("a", lambda: provider.ask("a")))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(ValueError, match="lost"):
        await failing
    assert await asyncio.wait_for(staying, 1) is YES
    assert leaving.cancelled()


async def test_a_prefix_nobody_used_for_minutes_is_written_again_alone() -> None:
    now, provider = [0.0], Provider()
    pioneers = Pioneers(lambda: now[0])
    await pioneers.run("a", lambda: provider.ask("a"))
    now[0] = 1000.0
    provider._held.clear()
    await asyncio.gather(*(pioneers.run("a", lambda: provider.ask("a")) for _ in range(5)))
    assert (len(provider.written), len(provider.read)) == (2, 4)


def test_what_is_shared_is_everything_but_the_end_of_the_last_message() -> None:
    other = replace(REQUEST, messages=(REQUEST.messages[0], Message("user", "about A: y")))
    about_b = replace(REQUEST, messages=(REQUEST.messages[0], Message("user", "about B: x")))
    told = replace(REQUEST, messages=(Message("system", "t"), REQUEST.messages[1]))
    assert prefix_of(REQUEST) == prefix_of(other)
    assert len({prefix_of(REQUEST), prefix_of(about_b), prefix_of(told)}) == 3
    assert prefix_of(replace(REQUEST, shared_prefix=0)) is None
