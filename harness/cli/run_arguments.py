"""What the command line of ``run`` asks for: our own options taken out, the rest handed to Hydra in its own order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra._internal.utils import get_args_parser

from harness.cli.kinds import disabled_plugins
from harness.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["RunArguments", "parse_run"]

_FROM = "--from"
_REFUSED = {
    "config_path": "choose groups and values, or add a folder of your own with --config-dir",
    "config_name": "choose an experiment, or add a folder of your own with --config-dir",
    "experimental_rerun": "the same command goes on with a run",  # and Hydra would unpickle a file
}


@dataclass(frozen=True)
class RunArguments:
    """A parsed command line.

    Attributes:
        overrides: Hydra's overrides.
        hydra: All that Hydra gets: the overrides, then its options.
        disabled: Plugins to leave out.
        dry_run: Whether only the plan is wanted.
        sweep: Whether Hydra is to run every combination of comma-separated values.
        inspects: Whether Hydra is only to show something.
        config_dir: The user's own config folder.
        repeated: The run to be repeated from its manifest, None for a run of ``conf/``.
    """

    overrides: tuple[str, ...]
    hydra: tuple[str, ...]
    disabled: tuple[str, ...]
    dry_run: bool
    sweep: bool
    inspects: bool
    config_dir: str | None
    repeated: str | None = None


def parse_run(arguments: Sequence[str]) -> RunArguments:
    """Return what the arguments after ``run`` ask for.

    Raises:
        ConfigError: If an option is not allowed here.
        SystemExit: If there is no such option.
    """
    rest: list[str] = []
    plugins: list[str] = []
    repeated: str | None = None
    given = iter(arguments)
    for argument in given:
        if argument == "-p":
            plugins.append(next(given, ""))
        elif argument == _FROM or argument.startswith(f"{_FROM}="):
            repeated = argument[len(_FROM) + 1 :] if argument != _FROM else next(given, "")
            if not repeated:
                raise ConfigError("no run is named", where=_FROM, hint=f"{_FROM} results/runs/RUN_ID")
        elif argument != "--dry-run":
            rest.append(argument)
    parser = get_args_parser()
    parser.prog = "harness run"
    parser.usage = "harness run [GROUP=OPTION ...] [KEY=VALUE ...] [options], see harness run --help"
    parsed = parser.parse_intermixed_args(rest)
    for name, hint in _REFUSED.items():
        if getattr(parsed, name) is not None:
            raise ConfigError("not allowed here", where=f"--{name.replace('_', '-')}", hint=hint)
    return RunArguments(
        overrides=tuple(parsed.overrides),
        hydra=(*parsed.overrides, *_options(parsed)),
        disabled=tuple(disabled_plugins(plugins)),
        dry_run="--dry-run" in arguments,
        sweep=bool(parsed.multirun),
        inspects=bool(parsed.cfg or parsed.info or parsed.hydra_help or parsed.shell_completion),
        config_dir=parsed.config_dir,
        repeated=repeated,
    )


def _options(parsed: argparse.Namespace) -> list[str]:
    """Return Hydra's options in a canonical order: it takes overrides only in one piece."""
    options: list[str] = []
    for name, value in sorted(vars(parsed).items()):
        flag = f"--{name.replace('_', '-')}"
        if name == "overrides" or value is None or value is False:
            continue
        options += [flag] if value is True else [flag, str(value)]
    return options
