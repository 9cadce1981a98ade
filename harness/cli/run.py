"""The verb ``run``: what is left of the command line is Hydra's."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig

from harness.cli.output import warn_of_broken, write, write_error, write_note
from harness.cli.progress import terminal_progress
from harness.cli.run_arguments import parse_run
from harness.config.compose import CONFIG_NAME, look_at
from harness.config.guard import refuse_targets_in_overrides
from harness.config.hydra_bridge import prepare_hydra
from harness.config.hydra_errors import HYDRA_ERRORS, translate
from harness.config.paths import conf_dir
from harness.config.repeat import REPEATED, load_repetition, refuse_choices, store_repetition
from harness.config.resolve import resolve_run
from harness.errors import HarnessError, ResultsError
from harness.registry.catalogue import load_catalogue
from harness.text import for_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from omegaconf import DictConfig

    from harness.cli.run_arguments import RunArguments
    from harness.config.repeat import Repetition
    from harness.config.resolve import ResolvedRun
    from harness.registry.catalogue import Catalogue
    from harness.runner.execute import RunReport

__all__ = ["HELP", "run"]

HELP = """\
usage: harness run [GROUP=OPTION ...] [KEY=VALUE ...] [--dry-run] [-m] [--cfg job] [-p no:NAME]
       harness run --from results/runs/RUN_ID [KEY=VALUE ...] [--dry-run]

Explains features, scores the explanations, and writes records and a leaderboard under paths.results.
The same command goes on where a stopped run was, and repeats nothing that is done.

groups:   subject corpus examples features explainer judge embedder scorers controls experiment
          several options of one group: 'scorers=[detection,fuzzing]'; `harness list configs` lists all

  --from RUN         repeat a run from its folder or manifest.json instead of from groups; in its own results folder
                     that goes on with it, with paths.results=FOLDER everything is done again
  --dry-run          print the units, calls and tokens it would take, and do nothing
  -m                 run every combination of comma-separated values (features.seed=0,1,2)
  --cfg job          print the composed configuration (--resolve: with references filled in)
  --info NAME        Hydra's view: searchpath, defaults, config
  --config-dir DIR   a folder with config groups of your own
  -p no:NAME         leave a plugin out (may be repeated)
  --debug            show tracebacks of errors

exit codes: 0 success, 1 nothing came of it (no scorer has a value for any feature), 2 a mistake in the command or
            configuration, 3 some units failed, or one of several scorers has no value for any feature
"""

_SEVERITY = (0, 3, 2, 1)  # of a sweep's exit codes, the worst last
_SHOWN = 10


@dataclass
class _Outcomes:
    """What became of the jobs of this command line."""

    codes: list[int] = field(default_factory=list)
    error: Exception | None = None


def run(arguments: Sequence[str]) -> int:
    """Run what the overrides describe; return the exit code: that of the run, or the worst of a sweep's.

    Raises:
        HarnessError: If the configuration is not right, or the run cannot go on.
    """
    if "--help" in arguments or "-h" in arguments:
        write(HELP.rstrip())
        return 0
    asked = parse_run(arguments)
    refuse_targets_in_overrides(asked.overrides)
    catalogue = load_catalogue(asked.disabled)
    warn_of_broken(catalogue)
    config_name, repeated = CONFIG_NAME, None
    if asked.repeated is not None:
        refuse_choices(asked.overrides)
        repeated = load_repetition(asked.repeated, asked.overrides)
        store_repetition(repeated)
        config_name = REPEATED
    if not asked.inspects:
        look_at(asked.overrides, catalogue, config_dir=asked.config_dir, config_name=config_name)
    outcomes = _Outcomes()
    with _hydras_command_line(asked.hydra):
        prepare_hydra(catalogue)
        try:
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(
                _job(asked, outcomes, repeated)
            )()
        except HYDRA_ERRORS as error:
            raise translate(error, catalogue) from error
        except OSError as error:
            raise ResultsError(error.strerror or str(error), where=error.filename) from error
    if outcomes.error is not None:
        raise outcomes.error
    return max(outcomes.codes, default=0, key=_SEVERITY.index)


def _job(asked: RunArguments, outcomes: _Outcomes, repeated: Repetition | None) -> hydra.TaskFunction:
    """Return the function that Hydra calls with each composed configuration.

    It loads the catalogue itself: a launcher may call it in another process. It raises nothing in a single run, since
    Hydra would write about it before we do; in a sweep, a job that cannot run does not stop the others.
    """

    def job(config: DictConfig) -> None:
        try:
            if asked.sweep:
                write_note(f"job {HydraConfig.get().job.num}: {HydraConfig.get().job.override_dirname}")
            outcomes.codes.append(_one(config, load_catalogue(asked.disabled), repeated, dry_run=asked.dry_run))
        except Exception as error:
            if not asked.sweep:
                outcomes.error = error
            elif isinstance(error, HarnessError):
                write_error(str(error))
                outcomes.codes.append(error.exit_code)
            else:
                raise

    return job


def _one(config: DictConfig, catalogue: Catalogue, repeated: Repetition | None, *, dry_run: bool) -> int:
    resolved = resolve_run(config, catalogue)
    if repeated is not None:
        _write_differences(repeated, resolved)
    if dry_run:
        from harness.runner.dryrun import describe

        write(describe(resolved))
        return 0
    from harness.runner.execute import execute

    report = execute(resolved, catalogue, terminal_progress())
    _write_report(report)
    return report.exit_code


def _write_differences(repeated: Repetition, resolved: ResolvedRun) -> None:
    from harness.runner.repeat import differences

    for line in (*repeated.withheld, *differences(repeated.manifest, resolved)):
        write_note(line)


def _write_report(report: RunReport) -> None:
    write(report.table.rstrip("\n"))
    _write_undefined(report.undefined)
    write(f"\nrun          {report.run_dir} ({report.status})\nleaderboard  {report.leaderboard}")
    for note in report.notes:
        write_note(note)
    for failure in report.failures[:_SHOWN]:
        write_note(f"failed: {failure}")
    if len(report.failures) > _SHOWN:
        more = len(report.failures) - _SHOWN
        write_note(f"failed: {more} more, see scores.jsonl and explanations.jsonl in {report.run_dir}")


def _write_undefined(lines: Sequence[str]) -> None:
    """Write what has no value and why, under the table that shows only that."""
    if not lines:
        return
    more = [f"{len(lines) - _SHOWN} more, see scores.jsonl"] if len(lines) > _SHOWN else []
    write("\n" + "\n".join(f"undefined    {for_terminal(line)}" for line in (*lines[:_SHOWN], *more)))


@contextmanager
def _hydras_command_line(arguments: Sequence[str]) -> Iterator[None]:
    """Let ``hydra.main`` see its own arguments, and raise errors instead of printing them in its own way."""
    before, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = ["harness run", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = before
        if full_error is None:
            os.environ.pop("HYDRA_FULL_ERROR", None)
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error
