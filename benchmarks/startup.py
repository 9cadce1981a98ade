"""How long `harness --help` and `harness list scorers` take, as ratios to starting Python at all, in the same run.

The stated limit: `harness --help` answers in 0.3 s, with no torch, transformers or litellm imported.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 7
LIMIT_S = 0.3


def seconds(*command: str) -> float:
    """Return the median wall-clock seconds of a command over ``RUNS`` runs, after one that is not counted."""
    times = []
    for _ in range(RUNS + 1):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)  # noqa: S603  -- our own
        times.append(time.perf_counter() - begun)
    return statistics.median(times[1:])


def main() -> None:
    """Print the figures."""
    bare = seconds(sys.executable, "-c", "pass")
    print(f"{'python -c pass':<40}{bare:8.3f} s")
    for verb in (("--help",), ("list", "scorers"), ("run", "experiment=demo", "--dry-run")):
        took = seconds(sys.executable, "-m", "harness.cli.main", *verb)
        print(f"{'harness ' + ' '.join(verb):<40}{took:8.3f} s  {took / bare:6.1f} x")
    print(f"limit for --help: {LIMIT_S} s")


if __name__ == "__main__":
    main()
