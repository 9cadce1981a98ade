"""Line files: nothing half-written is read, nothing is lost, and errors say where."""

from __future__ import annotations

import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import ResultsError
from harness.results.codec import encode
from harness.results.jsonl import append_line, append_lines, read_lines, repair_tail, rewrite_sorted
from harness.results.records import ItemLine

if TYPE_CHECKING:
    from pathlib import Path


def item(key: str, text: str | None = None) -> ItemLine:
    return ItemLine(
        unit="u",
        subject="s",
        feature=1,
        explanation_set="e",
        scorer="detection",
        key=key,
        kind="random",
        decile=None,
        truth=False,
        prediction=None,
        value=0.25,
        outcome="ok",
        text=text,
    )


def keys(path: Path) -> list[str]:
    return [line.key for line in read_lines(path, ItemLine)]


def test_what_is_appended_is_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    append_line(path, item("a", "caf\u00e9\n\u2028"))
    append_lines(path, [item("b"), item("c")], sync=True)
    assert [line.key for line in read_lines(path, ItemLine)] == ["a", "b", "c"]
    assert next(read_lines(path, ItemLine)).text == "caf\u00e9\n\u2028"


def test_a_missing_file_has_no_lines(tmp_path: Path) -> None:
    assert keys(tmp_path / "items.jsonl") == []
    assert repair_tail(tmp_path / "items.jsonl") == 0
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 2000))
def test_a_file_cut_anywhere_loses_no_whole_line_and_no_byte(tmp_path: Path, cut: int) -> None:
    path, torn = tmp_path / "items.jsonl", tmp_path / "items.jsonl.torn"
    torn.unlink(missing_ok=True)
    lines = [encode(item(str(n), "caf\u00e9" * n)) for n in range(5)]
    whole = "".join(f"{line}\n" for line in lines).encode()
    left = whole[: cut % (len(whole) + 1)]
    path.write_bytes(left)
    append_line(path, item("next"))
    complete = left.count(b"\n")
    tail = left[left.rfind(b"\n") + 1 :]
    if tail.endswith(b"}") and tail + b"\n" in whole:
        complete += 1  # only the newline was missing
        tail = b""
    assert keys(path) == [*[str(n) for n in range(complete)], "next"]
    assert (torn.read_bytes() if torn.exists() else b"") == (tail + b"\n" if tail else b"")


def test_repair_says_how_much_it_moved_and_keeps_earlier_pieces(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    append_line(path, item("a"))
    for piece in (b'{"unit": "x', b"\x00\x00\x00"):
        with path.open("ab") as stream:
            stream.write(piece)
        assert repair_tail(path) == len(piece)
    assert keys(path) == ["a"]
    assert (tmp_path / "items.jsonl.torn").read_bytes() == b'{"unit": "x\n\x00\x00\x00\n'
    assert repair_tail(path) == 0


def test_a_torn_tail_longer_than_a_block_is_found_whole(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    append_line(path, item("a"))
    with path.open("ab") as stream:
        stream.write(b"x" * 200_000)
    assert repair_tail(path) == 200_000
    assert keys(path) == ["a"]


def test_a_bad_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(f"{encode(item('a'))}\nnonsense\n{encode(item('b'))}\n")
    with pytest.raises(ResultsError) as caught:
        keys(path)
    assert str(caught.value).startswith(f"{path}:2: not a valid ItemLine: not JSON")


def test_a_newer_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(encode(item("a")).replace('"schema_version":1', '"schema_version":9') + "\n")
    with pytest.raises(ResultsError, match=r"items.jsonl:1: .*newer harness \(schema_version 9; this one reads 1\)"):
        keys(path)


def test_a_torn_last_line_is_refused_or_left_out_by_readers_never_mended(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    append_line(path, item("a"))
    with path.open("ab") as stream:
        stream.write(b'{"unit"')
    before = path.read_bytes()
    with pytest.raises(ResultsError, match=r"items.jsonl:2: the last line is torn"):
        keys(path)
    assert [line.key for line in read_lines(path, ItemLine, ignore_torn=True)] == ["a"]
    assert path.read_bytes() == before


def test_an_invalid_record_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    bad = item("b", text=7)  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(ResultsError, match=r"not a valid ItemLine: text: expected a string"):
        append_lines(path, [item("a"), bad])
    assert not path.exists()
    rewrite_sorted(path, [item("old")])
    with pytest.raises(ResultsError):
        rewrite_sorted(path, [item("new"), bad])
    assert keys(path) == ["old"]


def test_a_disk_that_fills_up_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "items.jsonl"
    append_line(path, item("a"))
    real, calls = os.write, iter(range(2))

    def half(descriptor: int, data: bytes) -> int:
        if next(calls):
            raise OSError(28, "No space left on device")
        return real(descriptor, data[:20])

    monkeypatch.setattr("harness.results.files.os.write", half)
    with pytest.raises(ResultsError, match="No space left on device"):
        append_line(path, item("b"))
    monkeypatch.undo()
    assert keys(path) == ["a"]
    append_line(path, item("c"))
    assert keys(path) == ["a", "c"]


def test_many_writers_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: append_line(path, item(str(n), "x" * 5000)), range(100)))
    assert sorted(map(int, keys(path))) == list(range(100))


def test_rewriting_keeps_the_order_given_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    rewrite_sorted(path, [item("b"), item("a")])
    first = path.read_bytes()
    rewrite_sorted(path, list(read_lines(path, ItemLine)))
    assert path.read_bytes() == first
    assert keys(path) == ["b", "a"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["items.jsonl"]


def test_a_folder_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").mkdir()
    with pytest.raises(ResultsError, match=r"items.jsonl: cannot append: Is a directory"):
        append_line(tmp_path / "items.jsonl", item("a"))
    with pytest.raises(ResultsError, match=r"cannot be read"):
        keys(tmp_path / "items.jsonl")
    with pytest.raises(ResultsError, match=r"cannot write"):
        rewrite_sorted(tmp_path / "none" / "items.jsonl", [])


def test_reading_holds_one_line_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    line = encode(item("a", "x" * 2000)) + "\n"
    path.write_text(line * 5000)  # 11 MB
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_lines(path, ItemLine)) == 5000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
