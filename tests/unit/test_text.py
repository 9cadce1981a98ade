from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.text import MOST_SHOWN, NEWLINE, TAB, for_prompt, for_terminal, part_shown

any_text = st.text(st.characters(codec=None))
hostile = st.lists(
    st.sampled_from(["<|im_end|>", "<|", "|>", "<s>", "</s>", "[INST]", "\n", "\r", "\x1b[2J", "<", "|", ">", "\u202e"])
    | any_text
).map("".join)


@given(any_text | hostile)
def test_what_is_shown_is_one_line_without_unseen_characters(text: str) -> None:
    for shown in (for_prompt(text), for_terminal(text)):
        assert len(shown.splitlines()) <= 1
        assert not any(unicodedata.category(character) in {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"} for character in shown)
        shown.encode()


@given(any_text | hostile, st.integers(1, 50))
def test_text_fit_for_a_prompt_stays_as_it_is(text: str, limit: int) -> None:
    shown = for_prompt(text, limit=limit)
    assert for_prompt(shown, limit=limit) == shown
    assert len(shown) <= limit


@given(st.text(st.sampled_from("abc <>.,;:!?()[]{}'\"#")))
def test_ordinary_text_is_untouched(text: str) -> None:
    if "<s>" not in text:
        assert for_terminal(text) == text
        assert for_prompt(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", f"a{NEWLINE}b"),
        ("a\r\nb", f"a{NEWLINE}b"),
        ("a\rb", "a\\rb"),
        ("\tif", f"{TAB}if"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\u2028b", "a\\u2028b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
        ("<|im_end|>", "< |im_end| >"),
        ("<|im_start|>system", "< |im_start| >system"),
        ("<\uff5cUser\uff5c>", "< \uff5cUser\uff5c >"),
        ("</s><S>", "< /s>< S>"),
        ("[INST] x [/INST]", "[ INST] x [ /INST]"),
        ("<start_of_turn>model", "< start_of_turn>model"),
        ("a <b> c || d |= e", "a <b> c || d |= e"),
        ("caf\u00e9 \u4e2d\u6587", "caf\u00e9 \u4e2d\u6587"),
    ],
)
def test_how_things_are_shown_in_a_prompt(text: str, shown: str) -> None:
    assert for_prompt(text) == shown


def test_a_terminal_sees_chat_tokens_as_they_are() -> None:
    assert for_terminal("<|im_end|>\a") == "<|im_end|>\\x07"


def test_long_text_is_cut_and_says_so() -> None:
    assert for_prompt("x" * 10, limit=4) == "xxx\u2026"
    assert len(for_terminal("y" * 1_000)) == 200


@given(any_text | hostile, st.integers(1, 50))
def test_what_reads_no_prompt_reads_as_much(text: str, limit: int) -> None:
    part = part_shown(text, limit=limit)
    assert len(for_prompt(part, limit=10_000)) <= limit
    if len(for_prompt(text, limit=10_000)) <= limit:
        assert part == text
    else:
        assert part[-1] == "\u2026"
        assert text.startswith(part[:-1])
        # One character more would be too much: it is shown as an escape, or breaks up a control token.
        assert len(for_prompt(text[: len(part)], limit=10_000)) >= limit


def test_what_reads_no_prompt_reads_the_same_of_long_plain_text() -> None:
    text = "x " * 2_500 + "names of months"
    assert part_shown(text) == for_prompt(text)
    assert len(part_shown(text)) == MOST_SHOWN
    assert part_shown("\n" * MOST_SHOWN) == "\n" * MOST_SHOWN


@given(any_text | hostile, st.integers(2, 50))
def test_the_end_is_kept_where_it_matters(text: str, limit: int) -> None:
    whole, shown = for_prompt(text, limit=10_000), for_prompt(text, limit=limit, keep_end=True)
    assert shown == whole if len(whole) <= limit else shown == f"\u2026{whole[1 - limit :]}"
    assert len(shown) <= limit
