"""``harness`` commands, each in a process of its own, that need not import everything first.

A command imports PyTorch and the rest for seconds before it does anything, and tests start a hundred of them. So one
process imports all that and does nothing else, and every command is a fork of it: with a number, an exit code, streams,
a folder and variables of its own, and killed like any other. A command that begins with its imports is started in
``tests/integration/test_smoke.py`` and in ``tests/packaging``.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from multiprocessing.context import ForkServerContext

__all__ = ["HarnessProcess", "run_harness"]


class HarnessProcess:
    """A command that runs from the making of this object on.

    Args:
        arguments: What would be typed after ``harness``.
        cwd: The folder it runs in.
        stdout: The file that its standard output is added to; None to throw it away.
        stderr: The file that its standard error is added to; None to throw it away.
        env: Its variables; None for those of this process.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        cwd: Path,
        *,
        stdout: Path | None = None,
        stderr: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        variables = dict(os.environ if env is None else env)
        streams = tuple(os.devnull if path is None else str(path) for path in (stdout, stderr))
        self._process = _context().Process(target=_command, args=(list(arguments), str(cwd), streams, variables))
        self._process.start()

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs; that of a process ended by a signal is negative."""
        return self._process.exitcode

    def wait(self) -> int:
        """Return the exit code once it has ended; if the wait is broken off, kill it."""
        try:
            self._process.join()
        finally:
            self._process.kill()
        code = self._process.exitcode
        assert code is not None
        return code

    def kill(self) -> int:
        """End it with SIGKILL and return its exit code, which is another if it had just ended by itself."""
        self._process.kill()
        return self.wait()


def run_harness(
    arguments: Sequence[str], cwd: Path, *, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it said."""
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder) / name for name in ("stdout", "stderr")]
        code = HarnessProcess(arguments, cwd, stdout=said[0], stderr=said[1], env=env).wait()
        out, err = (path.read_text(encoding="utf-8") for path in said)
    return subprocess.CompletedProcess(list(arguments), code, out, err)


@lru_cache(maxsize=1)
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.imported", __name__])
    return context


def _command(arguments: list[str], cwd: str, streams: tuple[str, str], variables: dict[str, str]) -> None:
    """Do in the forked process what ``python -m harness.cli.main`` does in a new one."""
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(cwd)
    for descriptor, path in enumerate(streams, start=1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, descriptor)
        os.close(file)
    module: Any = import_module("harness.cli.main")
    sys.argv = [str(module.__file__), *arguments]
    try:
        module.main()
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out
