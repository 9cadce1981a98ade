"""A real ``harness run`` in a process of its own, with detection judged by the loopback endpoint."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.llm.open import answers_path
from harness.materials import cache_root
from tests.support.harness_process import HarnessProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["RECORDS", "JudgedRun", "Size"]

RECORDS = ("features.jsonl", "explanations.jsonl", "scores.jsonl", "items.jsonl")
_SHARED = ("materials", "models", "corpora", "activations")


@dataclass(frozen=True)
class Size:
    """How much is asked: one question for each example of each feature and each of the two explanation sets."""

    features: int
    activating: int
    non_activating: int

    @property
    def units(self) -> int:
        """Return the number of scores."""
        return 2 * self.features

    @property
    def calls(self) -> int:
        """Return the number of questions."""
        return self.units * (self.activating + self.non_activating)


class JudgedRun:
    """One run's command, its folder and its records. Explanations are the top tokens; a control is scored beside them.

    Args:
        folder: Where results lie, and the cache of answers; what was downloaded and computed before is shared.
        url: The judge.
        size: How much is asked.
        overrides: Further overrides.
    """

    def __init__(self, folder: Path, url: str, size: Size, *overrides: str) -> None:
        self.folder = folder
        self.size = size
        self._overrides = (
            f"judge.api_base={url}",
            f"features.n={size.features}",
            f"examples.score_activating={size.activating}",
            f"examples.score_non_activating={size.non_activating}",
            *overrides,
        )
        self._cache = folder / "cache"
        self._cache.mkdir(parents=True, exist_ok=True)
        for kind in _SHARED:
            (cache_root(None) / kind).mkdir(parents=True, exist_ok=True)
            if not (self._cache / kind).exists():
                (self._cache / kind).symlink_to(cache_root(None) / kind)

    @property
    def arguments(self) -> list[str]:
        """Return what would be typed after ``harness``."""
        fixed = ("experiment=smoke", "scorers=[detection]", "judge=openai_compatible", "judge.model=openai/m")
        stated = ("judge.structured=none", "judge.choices=none", "judge.logprobs=true", "judge.prompt_logprobs=false")
        places = (f"paths.results={self.folder / 'results'}", f"paths.cache={self._cache}")
        return ["run", *fixed, *stated, *places, *self._overrides]

    def start(self) -> HarnessProcess:
        """Start the command and return its process."""
        return HarnessProcess(self.arguments, self.folder, stderr=self.folder / "stderr.txt")

    def finish(self) -> int:
        """Run the command to its end and return its exit code."""
        return self.start().wait()

    def kill_when(self, ready: Callable[[], bool], pause: Callable[[], None]) -> bool:
        """Start the command, kill it -9 once ``ready``; return whether it was still running then."""
        process = self.start()
        while process.poll() is None:
            if ready():
                return process.kill() == -signal.SIGKILL
            pause()
        return False

    @property
    def said(self) -> str:
        """Return what all its processes wrote to standard error."""
        return (self.folder / "stderr.txt").read_text(encoding="utf-8", errors="replace")

    @property
    def stored(self) -> int:
        """Return how many answers are in the cache."""
        path = answers_path(self._cache)
        if not path.exists():
            return 0
        with closing(sqlite3.connect(path)) as connection:
            made = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'answers'").fetchone()[0]
            return int(connection.execute("SELECT count(*) FROM answers").fetchone()[0]) if made else 0

    @property
    def records(self) -> Mapping[str, bytes]:
        """Return the bytes of every record file."""
        return {name: (self.run_folder / name).read_bytes() for name in RECORDS}

    @property
    def run_folder(self) -> Path:
        """Return the one run's folder."""
        (folder,) = (self.folder / "results" / "runs").iterdir()
        return folder

    @property
    def manifest(self) -> dict[str, Any]:
        """Return the manifest."""
        found: dict[str, Any] = json.loads((self.run_folder / "manifest.json").read_text(encoding="utf-8"))
        return found

    def lines(self, name: str) -> list[dict[str, Any]]:
        """Return the lines of a record file."""
        text = (self.run_folder / name).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]
