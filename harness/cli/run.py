"""The verb ``run``: what is left of the command line is Hydra's."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import hydra

from harness.cli.kinds import disabled_plugins
from harness.cli.output import write
from harness.cli.progress import terminal_progress
from harness.config.guard import refuse_targets_in_overrides
from harness.config.hydra_bridge import prepare_hydra
from harness.config.hydra_errors import HYDRA_ERRORS, translate
from harness.config.paths import conf_dir
from harness.config.resolve import resolve_run
from harness.registry.catalogue import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omegaconf import DictConfig

    from harness.registry.catalogue import Catalogue

__all__ = ["run"]

_HELP = """\
usage: harness run [GROUP=OPTION ...] [KEY=VALUE ...] [--dry-run] [-m] [--cfg job] [-p no:NAME]

Explains features, scores the explanations, and writes records and a leaderboard under paths.results.
The same command goes on where a stopped run was, and repeats nothing that is done.

groups:   subject corpus examples features explainer judge embedder scorers controls experiment
          several options of one group: 'scorers=[detection,fuzzing]'; `harness list configs` lists all

  --dry-run      print the units, calls and tokens it would take, and do nothing
  -m             run every combination of comma-separated values (features.seed=0,1,2)
  --cfg job      print the composed configuration (--resolve: with references filled in)
  --info NAME    Hydra's view: searchpath, defaults, config
  -p no:NAME     leave a plugin out
  --debug        show tracebacks of errors
"""


def run(arguments: Sequence[str]) -> int:
    """Run what the overrides describe; return the exit code: 0, or the worst of a sweep's."""
    if "--help" in arguments or "-h" in arguments:
        write(_HELP.rstrip())
        return 0
    rest, disabled, dry_run = _own_options(arguments)
    refuse_targets_in_overrides(rest)
    catalogue = load_catalogue(disabled)
    prepare_hydra(catalogue)
    codes: list[int] = []

    def job(config: DictConfig) -> None:
        codes.append(_one(config, catalogue, dry_run=dry_run))

    # Hydra prints errors in its own way and exits with 1 unless it is told to raise them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = ["harness run", *rest]
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(job)()
    except HYDRA_ERRORS as error:
        raise translate(error) from error
    return max(codes, default=0)


def _own_options(arguments: Sequence[str]) -> tuple[list[str], list[str], bool]:
    """Return Hydra's arguments, the plugins to leave out, and whether only the plan is wanted."""
    rest: list[str] = []
    plugins: list[str] = []
    given = iter(arguments)
    for argument in given:
        if argument == "-p":
            plugins.append(next(given, ""))
        elif argument != "--dry-run":
            rest.append(argument)
    return rest, disabled_plugins(plugins), "--dry-run" in arguments


def _one(config: DictConfig, catalogue: Catalogue, *, dry_run: bool) -> int:
    resolved = resolve_run(config, catalogue)
    if dry_run:
        from harness.runner.dryrun import describe

        write(describe(resolved))
        return 0
    from harness.runner.execute import execute

    report = execute(resolved, catalogue, terminal_progress())
    write(report.table.rstrip("\n"))
    write(f"\nrun          {report.run_dir} ({report.status})\nleaderboard  {report.leaderboard}")
    for failure in report.failures[:10]:
        write(f"failed       {failure}")
    if len(report.failures) > 10:  # noqa: PLR2004  -- as many as are shown
        write(f"failed       and {len(report.failures) - 10} more, see scores.jsonl and explanations.jsonl")
    return report.exit_code
