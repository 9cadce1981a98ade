"""A judged run killed with ``kill -9`` among its calls: the same bytes in the end, and no call paid for twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.seeding import generator
from tests.support.judged_run import JudgedRun, Size
from tests.support.kills import kill_often
from tests.support.loopback.process import EndpointProcess
from tests.support.loopback.server import EndpointSettings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SIZE = Size(features=3, activating=5, non_activating=5)
KILLS = 5
CEILING = 4


def test_killed_among_its_calls_a_run_ends_with_the_same_bytes_and_repeats_no_paid_call(tmp_path: Path) -> None:
    pace = f"judge.concurrency={CEILING}"
    with EndpointProcess(EndpointSettings(latency_s=0.2)) as endpoint:
        whole = JudgedRun(tmp_path / "whole", endpoint.url, SIZE, pace)
        assert whole.finish() == 0, whole.said
        needed = endpoint.stats()["answered"]
        endpoint.reset()
        run = JudgedRun(tmp_path / "killed", endpoint.url, SIZE, pace)
        kills = kill_often(run, endpoint, KILLS, generator(1, "test", "kills"))
        assert run.finish() == 0, run.said
        stats = endpoint.stats()
        assert len(kills) == KILLS, run.said
        assert any(kill.in_flight for kill in kills)
        assert run.records == whole.records
        assert stats["distinct_answered"] == needed
        in_flight = sum(min(kill.in_flight, CEILING) for kill in kills)
        assert needed <= stats["answered"] <= needed + in_flight
