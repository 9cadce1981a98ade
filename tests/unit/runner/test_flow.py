from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.runner.flow import Flow, Lane


@given(
    units=st.lists(st.integers(), max_size=20, unique=True),
    room=st.integers(1, 8),
    load=st.floats(0.1, 5.0, allow_nan=False),
)
def test_every_unit_is_worked_once_in_plan_order_of_start(units: list[int], room: int, load: float) -> None:
    started: list[int] = []

    async def work(unit: int) -> None:
        started.append(unit)
        await asyncio.sleep(0)

    lane = Lane(work, room, load=lambda _: load)
    for unit in units:
        lane.add((unit,), unit)
    asyncio.run(Flow([lane]).run())
    assert started == sorted(units)


class Crowd:
    """Counts who is there at once."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    async def work(self, _: int) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= 1


@pytest.mark.parametrize(
    ("room", "load", "least", "most", "at_once"),
    [(3, 1, 1, 256, 3), (10, 4, 1, 256, 3), (1, 50, 2, 256, 2), (100, 1, 1, 5, 5), (1, 1, 1, 256, 1)],
)
async def test_units_are_started_while_there_is_room(room: int, load: int, least: int, most: int, at_once: int) -> None:
    crowd = Crowd()
    lane = Lane(crowd.work, room, load=lambda _: load, least=least, most=most)
    for unit in range(20):
        lane.add((unit,), unit)
    await Flow([lane]).run()
    assert crowd.most == at_once


async def test_what_becomes_ready_while_others_are_under_way_is_done_too() -> None:
    done: list[str] = []

    async def score(unit: str) -> None:
        done.append(unit)

    later = Lane(score, 1)

    async def explain(unit: int) -> None:
        await asyncio.sleep(0)
        later.add((unit,), f"score {unit}")

    first = Lane(explain, 1)
    for unit in (2, 0, 1):
        first.add((unit,), unit)
    await Flow([first, later]).run()
    assert done == ["score 0", "score 1", "score 2"]


async def test_a_closed_lane_waits_until_it_is_opened() -> None:
    done: list[str] = []

    async def note(unit: str) -> None:
        done.append(unit)

    closed = Lane(note, 4)
    closed.is_open = False
    closed.add((0,), "scored")

    async def explain(unit: str) -> None:
        await asyncio.sleep(0)
        done.append(unit)
        closed.is_open = done == ["a", "b"]

    first = Lane(explain, 1)
    for place, unit in enumerate("ab"):
        first.add((place,), unit)
    await Flow([closed, first]).run()
    assert done == ["a", "b", "scored"]


async def test_an_exception_ends_the_rest_and_is_raised() -> None:
    done: list[int] = []
    cancelled: list[int] = []

    async def work(unit: int) -> None:
        if unit == 2:
            raise ValueError(unit)
        try:
            await asyncio.sleep(10 if unit == 1 else 0)
        except asyncio.CancelledError:
            cancelled.append(unit)
            raise
        done.append(unit)

    lane = Lane(work, 2)
    for unit in range(100):
        lane.add((unit,), unit)
    with pytest.raises(ValueError, match="2"):
        await Flow([lane]).run()
    assert done == [0]
    assert cancelled == [1]


async def test_a_cancelled_flow_leaves_nothing_running() -> None:
    left: list[int] = []

    async def work(unit: int) -> None:
        try:
            await asyncio.sleep(10)
        finally:
            left.append(unit)

    lane = Lane(work, 3)
    for unit in range(9):
        lane.add((unit,), unit)
    running = asyncio.ensure_future(Flow([lane]).run())
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(left) == [0, 1, 2]
