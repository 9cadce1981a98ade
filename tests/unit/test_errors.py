from __future__ import annotations

from harness.errors import ConfigError, HarnessError, UnknownNameError, UserError


def test_a_message_is_one_line_with_place_and_mend() -> None:
    error = ConfigError("no such\n file.", where="corpus.path", hint="give an existing file")
    assert str(error) == "corpus.path: no such file. Try: give an existing file"


def test_an_unknown_name_suggests_the_nearest() -> None:
    error = UnknownNameError("scorer", "detectoin", ["fuzzing", "detection"])
    assert str(error) == "unknown scorer 'detectoin'. Try: did you mean detection?"


def test_an_unknown_name_with_nothing_near_lists_what_there_is() -> None:
    assert str(UnknownNameError("scorer", "zzz", ["b", "a"])).endswith("one of: a, b")


def test_exit_codes() -> None:
    assert (HarnessError.exit_code, UserError.exit_code) == (1, 2)
