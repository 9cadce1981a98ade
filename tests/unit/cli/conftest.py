from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from harness.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Result:
    """What a command left: exit code, standard output, standard error."""

    code: int | str | None
    out: str
    err: str


@pytest.fixture
def harness(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return what a command line does, in this process."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("HARNESS_DEBUG", raising=False)

    def run(*arguments: str) -> Result:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = capsys.readouterr()
        return Result(ended.value.code, captured.out, captured.err)

    return run
