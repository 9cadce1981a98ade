from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.registry.manager import PluginManager
from harness.registry.selection import Selection

if TYPE_CHECKING:
    from harness.registry.broken import BrokenPlugin
    from tests.unit.registry.conftest import Install

GOOD = "@hookimpl\ndef harness_scorers():\n    return [scorer()]\n"


def mine(manager: PluginManager, distribution: str) -> list[str]:
    return [origin.name for origin in manager.origins if origin.distribution == distribution]


def only_broken(manager: PluginManager, distribution: str) -> BrokenPlugin:
    (record,) = [record for record in manager.broken if record.distribution == distribution]
    return record


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import a_module_nobody_has", "ModuleNotFoundError: No module named 'a_module_nobody_has'"),
        ("raise SystemExit(7)", "SystemExit: 7"),
        ("def broken(:", "SyntaxError: invalid syntax"),
    ],
)
def test_a_plugin_that_does_not_load_breaks_no_other(install: Install, source: str, reason: str) -> None:
    install("bad-one", {"bad": source}, version="0.3")
    install("good-one", {"good": GOOD})
    manager = PluginManager.load()
    record = only_broken(manager, "bad-one")
    assert (record.name, record.version, record.stage) == ("bad", "0.3", "load")
    assert record.reason == reason
    assert "bad_one_bad.py" in record.traceback
    assert mine(manager, "good-one") == ["good"]
    assert mine(manager, "bad-one") == []


def test_an_interrupt_while_loading_is_the_users(install: Install) -> None:
    install("slow", {"slow": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        PluginManager.load()


def test_a_hook_with_an_unknown_argument_is_broken_at_register(install: Install) -> None:
    install("bad-one", {"bad": "@hookimpl\ndef harness_scorers(colour):\n    return []\n"})
    install("good-one", {"good": GOOD})
    manager = PluginManager.load()
    record = only_broken(manager, "bad-one")
    assert record.stage == "register"
    assert "colour" in record.traceback
    assert [origin.distribution for origin, _ in manager.call("harness_scorers")].count("good-one") == 1


def test_a_misspelt_hook_is_broken_with_the_nearest_name(install: Install) -> None:
    install("bad-one", {"bad": "@hookimpl\ndef harness_scorer():\n    return []\n"})
    record = only_broken(PluginManager.load(), "bad-one")
    assert record.stage == "register"
    assert record.reason.startswith("there is no hook 'harness_scorer'; did you mean harness_scorers")


def test_an_optional_hook_of_another_version_is_fine(install: Install) -> None:
    install("new", {"new": "@hookimpl(optionalhook=True)\ndef harness_of_the_future():\n    return []\n" + GOOD})
    assert mine(PluginManager.load(), "new") == ["new"]


def test_two_distributions_may_use_one_entry_point_name(install: Install) -> None:
    install("a-dist", {"same": GOOD})
    install("b-dist", {"same": GOOD})
    manager = PluginManager.load()
    assert mine(manager, "a-dist") == mine(manager, "b-dist") == ["same"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("@hookimpl\ndef harness_scorers():\n    raise ValueError('late')\n", "ValueError: late"),
        ("@hookimpl\ndef harness_scorers():\n    yield scorer()\n    raise ValueError('later')\n", "ValueError: later"),
        ("@hookimpl\ndef harness_scorers():\n    return 'scorer'\n", "not str"),
        ("@hookimpl\ndef harness_scorers():\n    return 3\n", "not int"),
    ],
)
def test_a_hook_that_fails_is_broken_and_asked_once(install: Install, source: str, reason: str) -> None:
    install("bad-one", {"bad": source})
    install("good-one", {"good": GOOD})
    manager = PluginManager.load()
    for _ in range(2):
        answered = {origin.distribution for origin, _ in manager.call("harness_scorers")}
        assert "good-one" in answered
        assert "bad-one" not in answered
    record = only_broken(manager, "bad-one")
    assert record.stage == "hook"
    assert reason in record.reason


def test_a_hook_may_return_nothing_or_a_generator(install: Install) -> None:
    install("none", {"none": "@hookimpl\ndef harness_scorers():\n    return None\n"})
    install("lazy", {"lazy": "@hookimpl\ndef harness_scorers():\n    yield scorer()\n"})
    manager = PluginManager.load()
    results = {origin.distribution: found for origin, found in manager.call("harness_scorers")}
    assert results["none"] == []
    assert [spec.name for spec in results["lazy"]] == ["length"]
    assert not [record for record in manager.broken if record.distribution in {"none", "lazy"}]


def test_what_is_not_selected_is_not_imported(install: Install) -> None:
    install("bad-one", {"bad": "raise RuntimeError('imported')"})
    install("good-one", {"good": GOOD})
    manager = PluginManager.load(Selection(disabled=frozenset({"bad"})))
    assert not [record for record in manager.broken if record.distribution == "bad-one"]
    assert "bad" in [origin.name for origin in manager.disabled]
    manager = PluginManager.load(Selection(allowed=frozenset()))
    assert [origin.name for origin in manager.origins] == ["builtin"]


def test_the_environment_selects(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("good-one", {"good": GOOD, "other": GOOD})
    monkeypatch.setenv("HARNESS_DISABLE_PLUGINS", "other, something-else")
    assert mine(PluginManager.load(), "good-one") == ["good"]
    monkeypatch.setenv("HARNESS_PLUGINS", "good-one")
    assert mine(PluginManager.load(), "good-one") == ["good"]
    monkeypatch.setenv("HARNESS_PLUGINS", "")
    assert mine(PluginManager.load(), "good-one") == []
