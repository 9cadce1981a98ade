from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.activations.artefact import ArrayAppender, building, load_array, remove_dead_partials
from harness.errors import MaterialError

if TYPE_CHECKING:
    from pathlib import Path


def test_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    final = tmp_path / "kind" / "mark"
    with building(final) as partial:
        (partial / "a").write_text("x")
        assert not final.exists()
    assert (final / "a").read_text() == "x"
    with pytest.raises(ZeroDivisionError), building(tmp_path / "kind" / "other") as partial:
        (partial / "a").write_text(str(1 / 0))
    assert [path.name for path in (tmp_path / "kind").iterdir()] == ["mark"]


def test_first_builder_wins(tmp_path: Path) -> None:
    final = tmp_path / "mark"
    with building(final) as slow:
        with building(final) as fast:
            (fast / "meta.json").write_text("fast")
        (slow / "meta.json").write_text("slow")
    assert (final / "meta.json").read_text() == "fast"
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]


def test_remains_of_a_killed_process_are_removed_and_work_of_a_living_one_is_not(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from harness.activations.artefact import building\n"
        "with building(Path(sys.argv[1]) / 'mark') as p:\n"
        "    (p / 'half').write_text('x'); print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert remove_dead_partials(tmp_path) == []
        os.kill(process.pid, signal.SIGKILL)
    assert len(list(tmp_path.glob(".partial-*/half"))) == 1
    with building(tmp_path / "mark"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]


def test_appended_array_is_a_plain_npy_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    with ArrayAppender(path, np.uint16) as array:
        for start in range(0, 3000, 1000):
            array.append(np.arange(start, start + 1000, dtype=np.int64))
    assert np.load(path).dtype == np.uint16
    assert load_array(tmp_path, "a.npy").tolist() == list(range(3000))
    with ArrayAppender(path, np.float16):
        pass
    assert load_array(tmp_path, "a.npy").size == 0


def test_array_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"not an array")
    with pytest.raises(MaterialError, match=r"a\.npy is not an array"):
        load_array(tmp_path, "a.npy")
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    with pytest.raises(MaterialError, match="2 dimensions"):
        load_array(tmp_path, "a.npy")


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(MaterialError, match=r"cannot write the cache: .*HARNESS_CACHE"),
        building(tmp_path / "file" / "x"),
    ):
        pass
