from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import MaterialError
from harness.materials.uri import DemoUri, HubUri, PathUri, WheelPart, WheelUri, expand_ranges, parse_uri


def test_ranges_run_in_step_and_keep_their_padding() -> None:
    assert expand_ranges("part{9..11}/data/part{09..11}.bin") == [
        "part9/data/part09.bin",
        "part10/data/part10.bin",
        "part11/data/part11.bin",
    ]


@given(first=st.integers(0, 50), count=st.integers(1, 60), width=st.integers(1, 4))
def test_a_range_expands_in_numeric_order(first: int, count: int, width: int) -> None:
    text = f"x{{{str(first).zfill(width)}..{first + count - 1}}}"
    numbers = [int(expanded[1:]) for expanded in expand_ranges(text)]
    assert numbers == list(range(first, first + count))


def test_a_text_without_ranges_stands_for_itself() -> None:
    assert expand_ranges("a/b{c}.bin") == ["a/b{c}.bin"]


@pytest.mark.parametrize("text", ["{3..1}", "{0..99999999}", "{1..3}/{1..4}"])
def test_senseless_ranges_are_refused(text: str) -> None:
    with pytest.raises(MaterialError):
        expand_ranges(text)


def test_a_wheel_address_in_parts() -> None:
    parsed = parse_uri("wheel://model-part{1..2}==0.2.0/data/part{01..02}.bin")
    assert isinstance(parsed, WheelUri)
    assert parsed.parts == (
        WheelPart("model-part1", "0.2.0", "data/part01.bin"),
        WheelPart("model-part2", "0.2.0", "data/part02.bin"),
    )
    assert parsed.basename == "part.bin"
    assert parsed.parts[0].requirement == "model-part1==0.2.0"


def test_paths_and_demo_addresses() -> None:
    assert parse_uri("some/folder") == PathUri(Path("some/folder"))
    demo = parse_uri("demo://sae")
    assert isinstance(demo, DemoUri)
    assert str(demo.path) == "sae"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hub://o/n", ("o/n", None, "")),
        ("hub://o/n/", ("o/n", None, "")),
        ("hub://o/n/a/b.npz", ("o/n", None, "a/b.npz")),
        ("hub://o/n@v1.0/layers.3/", ("o/n", "v1.0", "layers.3")),
        ("hub://o/n@refs%2Fpr%2F1/a", ("o/n", "refs/pr/1", "a")),
    ],
)
def test_hub_addresses(text: str, expected: tuple[str, str | None, str]) -> None:
    assert parse_uri(text) == HubUri(text, *expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "demo://../secret",
        "demo:///etc/passwd",
        "wheel://name/path",
        "wheel://name==1.0",
        "wheel://name==1.0/../up",
        "wheel://-r==1.0/x",
        "wheel://name ; rm==1/x",
        "ftp://host/file",
        "hub://owner",
        "hub://owner/na me/x",
        "hub://owner/name@/x",
        "hub://owner/name/../x",
    ],
)
def test_malformed_addresses_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(MaterialError) as caught:
        parse_uri(text)
    assert "\n" not in str(caught.value)
