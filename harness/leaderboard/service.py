"""What the command line asks of leaderboards: build one from a results folder, load it, show it, compare scorers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ResultsError, UnknownNameError
from harness.leaderboard.agreement import agreements
from harness.leaderboard.agreement_table import agreement_json, agreement_text
from harness.leaderboard.build import build_rows
from harness.leaderboard.profile import THRESHOLD, profiles
from harness.leaderboard.profile_table import profile_json, profile_text
from harness.leaderboard.render import render_table
from harness.leaderboard.render_scorers import render_scorers
from harness.leaderboard.scorers import report_scorers
from harness.leaderboard.store import read_leaderboard, write_leaderboard
from harness.results.manifest import read_manifest
from harness.results.runfolder import RunPaths

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.results.records import LeaderboardRow

__all__ = ["FILE_NAME", "agreement", "build", "finished_runs", "load", "profile", "scorers", "show"]

FILE_NAME = "leaderboard.jsonl"


def build(results_root: str | Path) -> Path:
    """Write ``<results_root>/leaderboard.jsonl`` from all finished runs under it, and return its path.

    Raises:
        ResultsError: If there is no such folder, a run cannot be read, runs contradict one another, or the folder
            cannot be written.
    """
    root = Path(results_root)
    if not root.is_dir():
        raise ResultsError("there is no results folder here", where=str(root), hint="name one, or run something first")
    path = root / FILE_NAME
    write_leaderboard(path, build_rows(finished_runs(root)))
    return path


def agreement(
    results_root: str | Path,
    runs: Sequence[str] = (),
    *,
    sets: Iterable[str] = (),
    scorers: Iterable[str] = (),
    as_json: bool = False,
) -> str:
    """Return how far scorers agree on the features they share, as text or as JSON.

    Args:
        results_root: Results folder.
        runs: Folders of runs, or their names in the results folder; by default all that have ended.
        sets: See ``agreements``.
        scorers: See ``agreements``.
        as_json: Whether to return JSON.

    Raises:
        ResultsError: As ``agreements``, and if a run is not there or has not ended.
        UnknownNameError: As ``agreements``.
    """
    found = agreements(_folders(results_root, runs), sets=sets, scorers=scorers)
    return agreement_json(found) if as_json else agreement_text(found)


def profile(
    results_root: str | Path,
    runs: Sequence[str] = (),
    *,
    sets: Iterable[str] = (),
    threshold: float = THRESHOLD,
    as_json: bool = False,
) -> str:
    """Return input fidelity beside output fidelity, as text or JSON.

    Args:
        results_root: The results folder.
        runs: Folders of runs or their names in the results folder; none for all finished ones.
        sets: See ``profiles``.
        threshold: See ``profiles``.
        as_json: JSON instead of text.

    Raises:
        ResultsError: As ``profiles``, and if a run is not there or has not ended.
        UnknownNameError: As ``profiles``.
    """
    found = profiles(_folders(results_root, runs), sets=sets, threshold=threshold)
    return profile_json(found) if as_json else profile_text(found)


def _folders(results_root: str | Path, runs: Sequence[str]) -> list[Path]:
    """Return the folders of the named runs, or of all finished ones."""
    root = Path(results_root)
    if not runs and not root.is_dir():
        raise ResultsError("there is no results folder here", where=str(root), hint="name one, or name runs")
    return [_ended_run(root, name) for name in dict.fromkeys(runs)] if runs else finished_runs(root)


def _ended_run(root: Path, name: str) -> Path:
    """Return the folder of a run given by its path or its name."""
    for folder in (Path(name), root / "runs" / name):
        if RunPaths(folder).manifest.is_file():
            if not _ended(folder):
                raise ResultsError("this run has not ended", where=str(folder), hint="finish it with the same command")
            return folder
    known = [path.parent.name for path in (root / "runs").glob("*/manifest.json")]
    raise UnknownNameError("run", name, known, where=str(root))


def finished_runs(results_root: Path) -> list[Path]:
    """Return the folders of the runs that have ended, in order of name.

    A run that is still going, was killed or stopped before its end is left out until the same command has finished it:
    its features so far are no sample of those it was to score.

    Raises:
        ResultsError: If a manifest cannot be read.
    """
    folders = sorted(path.parent for path in (results_root / "runs").glob("*/manifest.json"))
    return [folder for folder in folders if _ended(folder)]


def _ended(folder: Path) -> bool:
    manifest = read_manifest(RunPaths(folder).manifest)
    return manifest.status != "running" and manifest.error is None


def load(path: str | Path) -> list[LeaderboardRow]:
    """Return the rows of a leaderboard file, or of the one in a results folder.

    Raises:
        ResultsError: If there is none, or a line is not a valid row.
    """
    path = Path(path)
    return read_leaderboard(path / FILE_NAME if path.is_dir() else path)


def show(path: str | Path, format: str = "text") -> str:  # noqa: A002  -- the option's name
    """Return the leaderboard at ``path`` as ``text``, ``md`` or ``json``.

    Raises:
        ResultsError: As ``load``.
        UnknownNameError: If there is no such format.
    """
    return render_table(load(path), format)


def scorers(runs: Sequence[str], results_root: str | Path, format: str = "text") -> str:  # noqa: A002  -- as above
    """Return what scorers make of planted explanations, as ``text``, ``md`` or ``json``.

    Args:
        runs: Folders of runs; none for all finished ones of the results folder.
        results_root: The results folder.
        format: How it is shown.

    Raises:
        ResultsError: If a run cannot be read, or none has planted explanations.
    """
    folders = [Path(run) for run in runs] or finished_runs(Path(results_root))
    return render_scorers(report_scorers(folders), format)
