"""A run of 500 calls killed with ``kill -9`` at 50 moments drawn by seed, and started again each time.

Nine moments in ten lie among the calls, the others anywhere after a start. The stated limits: the records in the end
are the bytes of a run nobody killed, and the endpoint gives no more answers than the calls needed and those in flight
at the kills. In flight is what was sent and is not stored yet; no more than the client's ceiling of it counts.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.llm.figures import Figures
from harness.seeding import generator
from tests.support.judged_run import JudgedRun, Size
from tests.support.kills import kill_often
from tests.support.loopback.process import EndpointProcess
from tests.support.loopback.server import EndpointSettings

SIZE = Size(features=10, activating=13, non_activating=12)
KILLS = 50
SETTINGS = EndpointSettings(latency_s=0.3)
CEILING = 8
PACE = (f"judge.concurrency={CEILING}",)


def main() -> None:
    """Print the figures."""
    figures = Figures(f"kills: a run of {SIZE.calls} calls, killed {KILLS} times")
    with EndpointProcess(SETTINGS) as endpoint, tempfile.TemporaryDirectory() as folder:
        whole = JudgedRun(Path(folder) / "whole", endpoint.url, SIZE, *PACE)
        began = time.monotonic()
        whole.finish()
        figures.note("the run nobody killed", time.monotonic() - began, "s")
        needed = endpoint.stats()["answered"]
        endpoint.reset()
        run = JudgedRun(Path(folder) / "killed", endpoint.url, SIZE, *PACE)
        kills = kill_often(run, endpoint, KILLS, generator(0, "benchmark", "kills"))
        code = run.finish()
        stats = endpoint.stats()
        same = run.records == whole.records
    figures.exactly("exit code of the last start", code, 0)
    figures.note("moments before the first call or after the last", sum(kill.in_flight == 0 for kill in kills))
    figures.exactly("kills", len(kills), KILLS)
    figures.exactly("records equal to the last byte (1: yes)", int(same), 1)
    in_flight = sum(min(kill.in_flight, CEILING) for kill in kills)
    figures.note("calls needed", needed)
    figures.note("calls in flight at the kills", in_flight)
    figures.note("  not answered by the endpoint then", sum(kill.unanswered for kill in kills))
    figures.at_most("calls answered", stats["answered"], needed + in_flight)
    figures.note("  calls answered more than once", stats["answered"] - stats["distinct_answered"])
    figures.end()


if __name__ == "__main__":
    main()
