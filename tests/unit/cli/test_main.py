from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import __version__
from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.conftest import Result

HEAVY = {"hydra", "litellm", "numpy", "omegaconf", "rich", "scipy", "torch", "transformers", "xllamacpp"}
GOLDEN = Path(__file__).parents[2] / "golden" / "help"
HELPS = {
    "harness": (),
    "harness-run": ("run",),
    "harness-list": ("list",),
    "harness-show": ("show",),
    "harness-cache": ("cache",),
    "harness-leaderboard": ("leaderboard",),
    "harness-leaderboard-agreement": ("leaderboard", "agreement"),
    "harness-leaderboard-profile": ("leaderboard", "profile"),
    "harness-leaderboard-scorers": ("leaderboard", "scorers"),
    "harness-doctor": ("doctor",),
    "harness-features": ("features",),
}


@pytest.mark.parametrize("name", HELPS)
def test_help_is_as_published(harness: Callable[..., Result], name: str) -> None:
    result = harness(*HELPS[name], "--help")
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("HARNESS_WRITE_GOLDEN"):
        golden.write_text(result.out)
    assert result.code == 0
    assert result.out == golden.read_text()


def imported_by(*arguments: str) -> tuple[set[str], float]:
    """Return the heavy packages a command imports in a process of its own, and the seconds it takes."""
    code = (
        "import sys\n"
        "from harness.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as ended:\n    assert not ended.code, ended.code\n"
        f"print('\\nHEAVY', *sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - begun
    return set(done.stdout.rsplit("HEAVY", 1)[1].split()), seconds


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("list", "--help"), ("cache", "--help")])
def test_help_imports_nothing_heavy_and_is_quick(arguments: tuple[str, ...]) -> None:
    runs = [imported_by(*arguments) for _ in range(3)]
    assert runs[0][0] == set()
    bare = min(seconds for _, seconds in (bare_python() for _ in range(3)))
    assert min(seconds for _, seconds in runs) - bare <= 0.3


def bare_python() -> tuple[None, float]:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return None, time.perf_counter() - begun


@pytest.mark.parametrize("kind", ["scorers", "explainers", "plugins"])
def test_listings_load_no_numerics_and_no_provider(kind: str) -> None:
    imported, _ = imported_by("list", kind)
    assert imported & (HEAVY - {"omegaconf"}) == set()


def test_the_version_is_the_packages(harness: Callable[..., Result]) -> None:
    assert harness("--version").out == f"autointerp-harness {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [(), ("lst",), ("list",), ("list", "scorer"), ("show", "scorer"), ("run", "--foo")]
)
def test_a_wrong_command_line_is_a_user_error(harness: Callable[..., Result], arguments: tuple[str, ...]) -> None:
    result = harness(*arguments)
    assert result.code == 2
    assert "error:" in result.err
    assert result.out == ""


def test_an_error_is_one_line_and_its_own_exit_code(
    harness: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = harness("show", "scorer", "detectoin")
    assert result.code == 2
    assert result.err == "harness: error: unknown scorer 'detectoin'. Try: did you mean detection?\n"
    raising(monkeypatch, HarnessError("the disk is full"))
    assert harness("list", "scorers").code == 1


def test_debug_shows_the_traceback(harness: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Traceback" in harness("--debug", "show", "scorer", "x").err
    assert "Traceback" in harness("show", "scorer", "x", "--debug").err
    monkeypatch.setenv("HARNESS_DEBUG", "1")
    assert "Traceback" in harness("show", "scorer", "x").err
    monkeypatch.setenv("HARNESS_DEBUG", "0")
    assert "Traceback" not in harness("show", "scorer", "x").err


def test_an_interrupt_says_how_to_go_on(harness: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, KeyboardInterrupt())
    result = harness("list", "scorers")
    assert result.code == 130
    assert "run the same command again" in result.err


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.cli.main import main

    raising(monkeypatch, ZeroDivisionError("ours"))
    with pytest.raises(ZeroDivisionError, match="ours"):
        main(["list", "scorers"])


def test_a_reader_who_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m harness.cli.main list configs | head -n 0"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)  # noqa: S607  -- bash
    assert done.stderr == ""


@pytest.mark.parametrize("option", ["detection", "yes:detection", "no:"])
def test_a_plugin_option_begins_with_no(harness: Callable[..., Result], option: str) -> None:
    result = harness("list", "scorers", "-p", option)
    assert result.code == 2
    assert "write -p no:NAME" in result.err


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr("harness.cli.list.list_things", fail)
