from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.identity import canonical_json, file_sha256, fingerprint, plain
from harness.outcome import Outcome, Usage

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    assert fingerprint(value) == fingerprint(dict(reversed(value.items())))


@given(json_values)
def test_nothing_is_lost(value: Any) -> None:
    assert repr(json.loads(canonical_json(value))) == repr(_sorted(value))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def test_plain_opens_dataclasses_enums_sets_and_paths() -> None:
    @dataclass
    class Point:
        where: tuple[int, int]
        outcome: Outcome

    assert plain({"p": Point((1, 2), Outcome.OK), "s": {"b", "a"}, "f": Path("x/y")}) == {
        "p": {"where": [1, 2], "outcome": "ok"},
        "s": ["a", "b"],
        "f": "x/y",
    }


def test_what_has_no_json_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        plain(object())
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


def test_a_digest_over_several_files_is_that_of_the_joined_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    (tmp_path / "ab").write_bytes(b"onetwo")
    assert file_sha256([tmp_path / "a", tmp_path / "b"]) == file_sha256(tmp_path / "ab")


def test_an_unknown_price_makes_a_sum_unknown() -> None:
    assert (Usage(1, 2, 3, 0.5) + Usage(1, 1, 1, 0.25)).usd == 0.75
    assert (Usage(1, 2, 3, 0.5) + Usage(1, 1, 1, None)).usd is None
