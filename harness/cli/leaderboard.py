"""The verb ``leaderboard``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.output import write
from harness.leaderboard import service

if TYPE_CHECKING:
    import argparse

__all__ = ["leaderboard"]


def leaderboard(arguments: argparse.Namespace) -> int:
    """Build the leaderboard, show it or one of scorers, how far they agree, or a profile; return the exit code."""
    if arguments.action == "build":
        write(str(service.build(arguments.results)))
    elif arguments.action == "scorers":
        write(service.scorers(arguments.runs, arguments.results, arguments.format).rstrip("\n"))
    elif arguments.action == "agreement":
        scorers = [name for names in arguments.scorers for name in names.split(",") if name]
        write(
            service.agreement(
                arguments.results, arguments.runs, sets=arguments.set, scorers=scorers, as_json=arguments.json
            )
        )
    elif arguments.action == "profile":
        write(
            service.profile(
                arguments.results,
                arguments.runs,
                sets=arguments.set,
                threshold=arguments.threshold,
                as_json=arguments.json,
            )
        )
    else:
        write(service.show(arguments.results, arguments.format).rstrip("\n"))
    return 0
