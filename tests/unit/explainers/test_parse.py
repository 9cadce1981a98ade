from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.explainers.parse import MARKER, MAX_CHARACTERS, MAX_UNMARKED_WORDS, parse_reply
from harness.outcome import Outcome

WANTED = "names of capitals"


@pytest.mark.parametrize(
    "reply",
    [
        "[EXPLANATION]: names of capitals",
        "  [explanation]:names of   capitals \n",
        "[EXPLANATION] names of capitals",
        "**[EXPLANATION]:** names of capitals",
        "**[EXPLANATION]: names of capitals**",
        "### [EXPLANATION]:\n\nnames of capitals",
        '[EXPLANATION]: "names of capitals"',
        "[EXPLANATION]: **\u201cnames of capitals\u201d**",
        "[EXPLANATION]: `names of capitals`",
        "[EXPLANATION]: - names of capitals",
        "Explanation: names of capitals",
        "**Explanation**: names of capitals",
        "The words are Paris and Rome.\n[EXPLANATION]: names of capitals\nI hope this helps!",
        "[EXPLANATION]: a first idea\nno, rather:\n[EXPLANATION]: names of capitals",
        "names of capitals",
        '"names of capitals"\n',
    ],
)
def test_replies_that_are_understood(reply: str) -> None:
    parsed = parse_reply(reply)
    assert (parsed.text, parsed.outcome, parsed.error) == (WANTED, Outcome.OK, None)


def test_quotes_inside_an_explanation_stay() -> None:
    assert parse_reply('[EXPLANATION]: "Paris" and "Rome"').text == '"Paris" and "Rome"'
    assert parse_reply("[EXPLANATION]: the word **by**").text == "the word **by**"
    assert parse_reply('[EXPLANATION]: the word "by"').text == 'the word "by"'


@pytest.mark.parametrize(
    "reply",
    [
        "",
        " \n ",
        "[EXPLANATION]:",
        "[EXPLANATION]: names\n[EXPLANATION]:",
        "[EXPLANATION]: ...",
        "[EXPLANATION]: <your explanation>",
        "[EXPLANATION]: [explanation here]",
        '[EXPLANATION]: ""',
        "Let me look at the texts.\nThey are about capitals.",
        "Here is what I found:",
        "Could you show me more texts?",
        "word " * (MAX_UNMARKED_WORDS + 1),
        "[EXPLANATION]: " + "x" * (MAX_CHARACTERS + 1),
    ],
)
def test_replies_that_are_not(reply: str) -> None:
    parsed = parse_reply(reply)
    assert (parsed.text, parsed.outcome) == (None, Outcome.UNPARSED)
    assert parsed.error


@pytest.mark.parametrize(
    "reply",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot determine what this is.",
        "I\u2019m unable to do this.",
        "Sorry, no.",
        "As an AI language model I do not know.",
        "[EXPLANATION]: I cannot assist with this request",
    ],
)
def test_refusals(reply: str) -> None:
    parsed = parse_reply(reply)
    assert (parsed.text, parsed.outcome) == (None, Outcome.REFUSED)


@pytest.mark.parametrize("text", ["sorry and other apologies", "I cannoli recipes", "words of regret, as in I'm sorry"])
def test_explanations_about_apologies_are_no_refusals(text: str) -> None:
    assert parse_reply(f"{MARKER} {text}").text == text


def test_reasoning_needs_the_marker() -> None:
    assert parse_reply("names of capitals", marker_required=True).outcome is Outcome.UNPARSED
    assert parse_reply(f"They are cities.\n{MARKER} names of capitals", marker_required=True).text == WANTED


@pytest.mark.parametrize("reply", [f"{MARKER} names of capi", f"{MARKER}", "names of capi", "names of\ncapi"])
def test_a_reply_cut_short_is_truncated(reply: str) -> None:
    parsed = parse_reply(reply, truncated=True)
    assert (parsed.text, parsed.outcome) == (None, Outcome.TRUNCATED)


def test_an_explanation_that_ended_before_the_cut_is_taken() -> None:
    assert parse_reply(f"{MARKER} {WANTED}\nThis is beca", truncated=True).text == WANTED
    assert parse_reply(f"{MARKER} {WANTED}\n", truncated=True).text == WANTED


@given(st.text(), st.booleans(), st.booleans())
def test_any_reply_has_a_text_exactly_when_it_is_ok(reply: str, truncated: bool, marker_required: bool) -> None:
    parsed = parse_reply(reply, truncated=truncated, marker_required=marker_required)
    assert (parsed.text is None) == (parsed.outcome is not Outcome.OK) == (parsed.error is not None)
    if parsed.text is not None:
        assert 0 < len(parsed.text) <= MAX_CHARACTERS
        assert len(parsed.text.splitlines()) == 1


@given(st.text("abcdefgh ,.'-", min_size=1).filter(lambda text: any(map(str.isalpha, text))))
def test_whatever_stands_after_the_marker_is_found(text: str) -> None:
    parsed = parse_reply(f"Some thoughts first.\n{MARKER} z{text}z\nand some after")
    assert parsed.text == " ".join(f"z{text}z".split())
