"""The verb ``leaderboard``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.output import write
from harness.errors import ConfigError
from harness.leaderboard import service

if TYPE_CHECKING:
    import argparse

__all__ = ["leaderboard"]


def leaderboard(arguments: argparse.Namespace) -> int:
    """Build the leaderboard from all finished runs, or show it or one of scorers; return the exit code.

    Raises:
        ConfigError: If runs are named where all are taken.
    """
    if arguments.action == "scorers":
        write(service.scorers(arguments.runs, arguments.results, arguments.format).rstrip("\n"))
        return 0
    if arguments.runs:
        hint = "harness leaderboard scorers RUN"
        raise ConfigError(f"'{arguments.action}' takes no runs", where=arguments.runs[0], hint=hint)
    if arguments.action == "build":
        write(str(service.build(arguments.results)))
    else:
        write(service.show(arguments.results, arguments.format).rstrip("\n"))
    return 0
