"""Cells: rounding that does not mislead, and names made harmless."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.leaderboard.text import code, integer, money, number, percent, safe, signed, width, with_interval


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (number(0.7149), "0.71"),
        (number(-0.001), "0.00"),
        (number(None), "-"),
        (signed(0.2), "+0.20"),
        (signed(-0.2), "-0.20"),
        (signed(-0.001), "+0.00"),
        (signed(None), "-"),
        (with_interval(0.71, 0.64, 0.78), "0.71 [0.64, 0.78]"),
        (with_interval(0.2, -0.1, 0.5, difference=True), "+0.20 [-0.10, +0.50]"),
        (with_interval(0.7, None, None), "0.70"),
        (with_interval(None, None, None), "-"),
        (percent(0, 0), "-"),
        (percent(999, 1000), "99%"),
        (percent(1, 1000), "1%"),
        (percent(3, 3), "100%"),
        (percent(0, 3), "0%"),
        (integer(1234.4), "1,234"),
        (integer(None), "-"),
        (money(None), "unknown"),
        (money(0.0), "0"),
        (money(1234.567), "1,234.57"),
        (money(0.000123), "0.00012"),
    ],
)
def test_numbers(shown: str, expected: str) -> None:
    assert shown == expected


@given(st.text())
def test_a_safe_name_is_printable_and_on_one_line(text: str) -> None:
    assert all(char.isprintable() or char.isspace() for char in safe(text))
    assert len(safe(text).splitlines()) <= 1


def test_plain_names_stay_as_they_are() -> None:
    assert safe("caf\u00e9 top_tokens(\u4f60\u597d)") == "caf\u00e9 top_tokens(\u4f60\u597d)"


@given(st.text())
def test_a_code_span_holds_nothing_that_ends_it_or_its_cell(text: str) -> None:
    span = code(text)
    assert span[0] == span[-1] == "`"
    assert "`" not in span[1:-1]
    assert "|" not in span
    assert span != "``"


def test_wide_and_combining_characters_take_their_columns() -> None:
    assert width("ab") == 2
    assert width("\u4f60\u597d") == 4
    assert width("e\u0301") == 1
