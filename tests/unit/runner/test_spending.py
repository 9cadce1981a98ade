from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.runner.events import EventLog
from harness.runner.spending import SpendingLog

if TYPE_CHECKING:
    from pathlib import Path


class Spent:
    """A bill that grows."""

    def __init__(self) -> None:
        self.tokens = 0

    def __call__(self) -> dict[str, Any]:
        return {"usage": {}, "charged": {"tokens": self.tokens, "usd": None}}


def told(path: Path) -> list[int]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["charged"]["tokens"] for line in lines if json.loads(line)["event"] == "spent"]


async def until(path: Path, tokens: int) -> None:
    async with asyncio.timeout(10):
        while tokens not in told(path):  # noqa: ASYNC110 -- it is the file that is waited for
            await asyncio.sleep(0.001)


async def test_a_bill_is_on_disk_soon_after_it_changed_and_once(tmp_path: Path) -> None:
    path, spent = tmp_path / "events.jsonl", Spent()
    spending = SpendingLog(spent, EventLog(path), every_s=0.002)
    async with spending.kept():
        for tokens in (3, 7):
            spent.tokens = tokens
            await until(path, tokens)
        await asyncio.sleep(0.02)
    assert told(path) == [3, 7]


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, asyncio.CancelledError])
async def test_the_last_bill_is_on_disk_whichever_way_it_ends(
    tmp_path: Path, error: type[BaseException] | None
) -> None:
    path, spent = tmp_path / "events.jsonl", Spent()
    spending = SpendingLog(spent, EventLog(path), every_s=60)

    async def work() -> None:
        async with spending.kept():
            spent.tokens = 5
            if error is not None:
                raise error

    try:
        await work()
    except (ValueError, KeyboardInterrupt, asyncio.CancelledError) as raised:
        assert type(raised) is error  # noqa: PT017 -- any of them, or none
    assert told(path) == [5]


async def test_what_another_event_tells_is_not_told_again(tmp_path: Path) -> None:
    path, spent = tmp_path / "events.jsonl", Spent()
    log = EventLog(path)
    spending = SpendingLog(spent, log, every_s=60)
    async with spending.kept():
        spent.tokens = 5
        log.write("unit", **spending.tell())
    assert told(path) == []


async def test_a_bill_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    path, spent = tmp_path / "folder" / "events.jsonl", Spent()
    spending = SpendingLog(spent, EventLog(path), every_s=0.001)

    async def work() -> None:
        async with spending.kept():
            spent.tokens = 5
            await asyncio.sleep(0.05)

    with pytest.raises(FileNotFoundError):
        await work()
