"""The verb ``leaderboard``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.output import write
from harness.leaderboard import service

if TYPE_CHECKING:
    import argparse

__all__ = ["leaderboard"]


def leaderboard(arguments: argparse.Namespace) -> int:
    """Build the leaderboard from all finished runs, or show it; return the exit code."""
    if arguments.action == "build":
        write(str(service.build(arguments.results)))
    else:
        write(service.show(arguments.results, arguments.format).rstrip("\n"))
    return 0
