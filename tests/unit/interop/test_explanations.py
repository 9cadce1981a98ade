from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.identity import file_sha256
from harness.interop.explanations import MAX_TEXT_CHARACTERS, Columns, read_explanations
from harness.interop.lines import MAX_LINE_BYTES

if TYPE_CHECKING:
    from pathlib import Path


def jsonl(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def text_of(path: Path, feature: int, subject: str = "s", **options: Any) -> str | None:
    found = read_explanations(path, **options).find(subject, feature)
    return found.text if found else None


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"feature": 3, "text": "x", "score": 0.5}\n\n{"feature": "4", "text": ""}\n', encoding="utf-8")
    assert (text_of(path, 3), text_of(path, 4), text_of(path, 5)) == ("x", "", None)


def test_csv_with_line_breaks_in_a_cell(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('\ufefffeature,text,author\n3,"one, ""two""\nthree",Ada\n4,y,\n', encoding="utf-8")
    found = read_explanations(path).find("s", 3)
    assert found is not None
    assert (found.text, found.author) == ('one, "two"\nthree', "Ada")
    assert text_of(path, 4) == "y"


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.gz", "a.v2.JSONL.gz"])
def test_packed_files(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    content = b"feature,text\n3,x\n" if "csv" in name else b'{"feature": 3, "text": "x"}\n'
    path.write_bytes(gzip.compress(content, mtime=0))
    assert text_of(path, 3) == "x"


def test_other_column_names(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"latent": 3, "label": "x", "feature": "ignored", "model": "s"})
    assert text_of(path, 3, columns=Columns("latent", "label", "model")) == "x"


def test_the_line_that_names_the_subject_comes_first(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl",
        {"feature": 3, "text": "any"},
        {"feature": 3, "text": "mine", "subject": "s"},
        {"feature": 4, "text": "other", "subject": "t"},
    )
    assert (text_of(path, 3), text_of(path, 3, "u"), text_of(path, 4)) == ("mine", "any", None)


@pytest.mark.parametrize(("rule", "text"), [("first", "one"), ("last", "two")])
def test_duplicates(rule: str, text: str, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"feature": 3, "text": "one"}, {"feature": 3, "text": "two"})
    assert text_of(path, 3, on_duplicate=rule) == text
    with pytest.raises(ConfigError, match=r"a\.jsonl:2: feature 3 was explained before, in line 1\. Try: "):
        read_explanations(path)


def run_line(feature: int, text: str | None, set_name: str = "default", **more: Any) -> dict[str, Any]:
    line = {"unit": f"{set_name}{feature}", "subject": "s", "feature": feature, "explanation_set": set_name}
    return {**line, "text": text, "outcome": "ok" if text is not None else "refused", "error": None, **more}


def test_a_runs_own_file_with_failed_features_and_lines_written_again(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "explanations.jsonl", run_line(3, None), run_line(4, "x"), run_line(5, None), run_line(3, "y")
    )
    read = read_explanations(path)
    failed = read.find("s", 5)
    assert failed is not None
    assert (failed.text, failed.outcome) == (None, "refused")
    assert (text_of(path, 3), text_of(path, 4)) == ("y", "x")


def test_one_of_several_sets_has_to_be_named(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "explanations.jsonl", run_line(3, "x"), run_line(3, "other", "shuffled(default)"))
    with pytest.raises(ConfigError, match=r"holds several sets: default, shuffled\(default\)\. Try: .*explanation_set"):
        read_explanations(path)
    assert text_of(path, 3, explanation_set="default") == "x"
    with pytest.raises(ConfigError, match=r"holds no set 'defualt'\. Try: it holds: default"):
        read_explanations(path, explanation_set="defualt")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"feature": ' + "9" * 5_000 + "}", "not JSON"),
        ("[3]", "not a JSON object"),
        ('{"text": "x"}', "no field 'feature'. Try: it has: text"),
        ('{"feature": 3}', "no field 'text'"),
        ('{"feature": -1, "text": "x"}', "feature is -1"),
        ('{"feature": true, "text": "x"}', "feature is True"),
        ('{"feature": 1.5, "text": "x"}', "feature is 1.5"),
        ('{"feature": NaN, "text": "x"}', "feature is nan"),
        ('{"feature": "seven", "text": "x"}', "feature is 'seven'"),
        ('{"feature": null, "text": "x"}', "feature is None"),
        ('{"feature": 3, "text": null}', "text is None, not a text"),
        ('{"feature": 3, "text": NaN}', "text is nan, not a text"),
        ('{"feature": 3, "text": "\\ud800"}', "text holds half a surrogate pair"),
        ('{"feature": 3, "text": "x", "author": 5}', "author is 5, not a text"),
        ('{"feature": 3, "text": "x", "author": "' + "a" * 201 + '"}', "author has more than 200 characters"),
        (json.dumps({"feature": 3, "text": "x" * (MAX_TEXT_CHARACTERS + 1)}), "text has 2,001 characters"),
        ("x" * (MAX_LINE_BYTES + 1), "a line of more than 1,048,576 bytes"),
        ('{"\x1b[2J": 3}', "not JSON"),
        ('{"\\u001b[2J": 3}', "it has: \\x1b[2J"),
    ],
)
def test_a_bad_line_is_named_in_one_line(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"feature": 1, "text": "fine"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_explanations(path)
    said = str(caught.value)
    assert said.startswith(f"{path}:2: ")
    assert message in said
    assert len(said.splitlines()) == 1
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"feature,text\n1,x\n2,y,z\n", ":3: more cells than the 2 of the header"),
        (b"feature,text\n1,x\n2\n", ":3: text is None, not a text"),
        (b"feature,text\n1,x\n,y\n", ":3: feature is ''"),
        (b'feature,text\n1,x\n2,"y"z\n', ":3: not CSV"),
        (b'feature,text\n1,"x\n', ":2: not CSV"),
        (b"feature,text\n1,\xff\n", ":2: not UTF-8"),
        (b"latent;label\n1;x\n", ":2: no field 'feature'"),
        (b"", ": holds no explanation"),
        (b"feature,text\n", ": holds no explanation"),
    ],
)
def test_a_bad_csv_file_is_named_with_its_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_explanations(path)
    assert str(caught.value).startswith(f"{path}{message}")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"x", "not a format that can be read. Try: a .jsonl"),
        ("a", b"x", "not a format that can be read"),
        ("a.gz", b"x", "not a format that can be read"),
        ("a.jsonl.gz", b"no gzip", "cannot be read"),
        ("a.jsonl.gz", gzip.compress(b'{"feature": 1, "text": "x"}\n' * 100, mtime=0)[:-12], "cannot be read"),
    ],
)
def test_files_that_cannot_be_read(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_explanations(path)


def test_the_digest_is_checked(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"feature": 3, "text": "x"})
    assert text_of(path, 3, sha256=file_sha256(path)) == "x"
    with pytest.raises(ConfigError, match="has the SHA-256"):
        read_explanations(path, sha256="0" * 64)


@given(
    st.dictionaries(
        st.integers(0, 10**9),
        st.text(st.characters(codec="utf-8"), max_size=MAX_TEXT_CHARACTERS),
        min_size=1,
        max_size=8,
    )
)
def test_every_text_within_the_bound_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, texts: dict[int, str]
) -> None:
    path = tmp_path_factory.mktemp("read") / "a.jsonl"
    jsonl(path, *({"feature": feature, "text": text} for feature, text in texts.items()))
    read = read_explanations(path)
    assert {feature: found.text for feature in texts if (found := read.find("s", feature))} == texts
    assert len(read) == len(texts)
