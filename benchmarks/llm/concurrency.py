"""How well the requests an endpoint allows in flight are kept busy: 2,000 calls of 1 s each, 128 at once.

The stated limit: wall time at most 1.10 times calls x latency / 128. The endpoint refuses whatever is more than 128
with 429. The second figure has no limit: the client is told a ceiling four times too high and has to find the
endpoint's own.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from benchmarks.llm.figures import Figures
from harness.llm.open import open_llm
from tests.support.load import Ended, ask_all, judge_config, question
from tests.support.loopback.process import EndpointProcess
from tests.support.loopback.server import EndpointSettings

CALLS = 2000
LATENCY_S = 1.0
IN_FLIGHT = 128
LIMIT = 1.10


async def asked(url: str, cache: Path, ceiling: int) -> Ended:
    """Return what became of all calls through a client that may have ``ceiling`` of them in flight."""
    llm = open_llm(judge_config(url, concurrency=ceiling), "judge", cache)
    await llm.start()
    ended = await ask_all(llm, (question(number) for number in range(CALLS)), 2 * ceiling)
    await llm.close()
    return ended


def main() -> None:
    """Print the figures."""
    figures = Figures(f"concurrency: {CALLS:,} calls of {LATENCY_S:g} s, {IN_FLIGHT} allowed in flight")
    ideal = CALLS * LATENCY_S / IN_FLIGHT
    settings = EndpointSettings(latency_s=LATENCY_S, most_in_flight=IN_FLIGHT)
    for ceiling in (IN_FLIGHT, 4 * IN_FLIGHT):
        with EndpointProcess(settings) as endpoint, tempfile.TemporaryDirectory() as cache:
            ended = asyncio.run(asked(endpoint.url, Path(cache), ceiling))
            stats = endpoint.stats()
        if ceiling == IN_FLIGHT:
            figures.at_most(f"wall time over the ideal {ideal:.2f} s", ended.seconds / ideal, LIMIT, "x")
            figures.exactly("calls answered", ended.ok, CALLS)
        else:
            figures.note(f"the same with a ceiling of {ceiling} in the client", ended.seconds / ideal, "x")
            figures.note("  calls answered", ended.ok)
        figures.note("  most in flight", stats["most_in_flight"])
        figures.note("  requests sent", stats["received"])
    figures.end()


if __name__ == "__main__":
    main()
