from __future__ import annotations

import asyncio

import pytest

from harness.llm.inflight import SingleFlight


class Work:
    def __init__(self, error: Exception | None = None) -> None:
        self.runs = 0
        self.cancelled = False
        self.error = error

    async def __call__(self) -> int:
        self.runs += 1
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error:
            raise self.error
        return self.runs


async def test_equal_keys_share_and_other_keys_do_not() -> None:
    flights: SingleFlight[int] = SingleFlight()
    work = Work()
    results = await asyncio.gather(*(flights.run(key, work) for key in "aab"))
    assert [started for _, started in results] == [True, False, True]
    assert work.runs == 2


async def test_a_finished_flight_is_forgotten() -> None:
    flights: SingleFlight[int] = SingleFlight()
    work = Work()
    assert [await flights.run("a", work), await flights.run("a", work)] == [(1, True), (2, True)]


async def test_an_error_reaches_everybody() -> None:
    flights: SingleFlight[int] = SingleFlight()
    results = await asyncio.gather(*(flights.run("a", Work(ValueError())) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError] * 3


async def test_only_the_last_to_leave_stops_the_work() -> None:
    flights: SingleFlight[int] = SingleFlight()
    work = Work()
    first, second = (asyncio.create_task(flights.run("a", work)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    assert not work.cancelled
    second.cancel()
    for task in (first, second):
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.sleep(0)
    assert work.cancelled
