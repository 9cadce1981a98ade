from __future__ import annotations

from harness.runner.failures import describe


def test_a_failure_names_its_type_message_and_module_but_no_path() -> None:
    try:
        int("seven\nteen")
    except ValueError as error:
        text = describe(error)
    assert text.startswith("ValueError: invalid literal")
    assert "\n" not in text
    assert __file__ not in text
    assert "test_failures" in text
