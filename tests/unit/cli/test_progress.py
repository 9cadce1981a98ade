from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from harness.cli.progress import LineProgress, RichProgress, terminal_progress

if TYPE_CHECKING:
    from harness.progress import Progress


def work(progress: Progress) -> None:
    with progress.task("scoring: detection", 3, "units") as bar:
        bar.advance()
        bar.advance(2, note="1 failed")
    progress.say("done [bold]with[/] \x1b[31mcolour")


def test_where_nobody_watches_a_task_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    work(LineProgress())
    captured = capsys.readouterr()
    first, second = captured.err.splitlines()
    assert first.startswith("scoring: detection: 3 units in ")
    assert first.endswith("(1 failed)")
    assert second == r"done [bold]with[/] \x1b[31mcolour"
    assert captured.out == ""


def test_a_task_that_fails_is_not_said_to_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), LineProgress().task("collecting", 3, "tokens"):
        raise RuntimeError
    assert capsys.readouterr().err == ""


def test_on_a_terminal_there_are_bars_with_rate_and_note() -> None:
    stream = io.StringIO()
    work(RichProgress(Console(file=stream, force_terminal=True, width=160)))
    shown = stream.getvalue()
    assert "scoring: detection" in shown
    assert "3/3" in shown
    assert "units/s" in shown
    assert "1 failed" in shown
    assert r"done [bold]with[/] \x1b[31mcolour" in shown


def test_bars_may_stand_side_by_side() -> None:
    progress = RichProgress(Console(file=io.StringIO(), force_terminal=True, width=160))
    with progress.task("outer", None, "files") as outer, progress.task("inner", 2, "MB") as inner:
        outer.advance()
        inner.advance(2)


def test_bars_may_end_in_any_order_and_are_shown_together() -> None:
    stream = io.StringIO()
    progress = RichProgress(Console(file=stream, force_terminal=True, width=160))
    explaining, scoring = progress.task("explaining", 2, "features"), progress.task("scoring: detection", 2, "units")
    first = explaining.__enter__()
    second = scoring.__enter__()
    first.advance(2)
    explaining.__exit__(None, None, None)
    second.advance(1, note="1 failed")
    progress.say("still here")
    scoring.__exit__(None, None, None)
    last = stream.getvalue().rpartition("still here")[2]
    for shown in ("explaining", "2/2", "scoring: detection", "1/2", "1 failed"):
        assert shown in last


def test_a_pipe_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(terminal_progress(), LineProgress)
