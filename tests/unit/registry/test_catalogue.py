from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import PluginError, UnknownNameError
from harness.registry.catalogue import load_catalogue
from harness.registry.events import RunFinished
from harness.registry.specs import API_VERSION, ExplainerSpec

if TYPE_CHECKING:
    from harness.registry.catalogue import Catalogue
    from tests.unit.registry.conftest import Install

FINISHED = RunFinished("run", "success", Path("manifest.json"))


def scorers(source: str) -> str:
    return f"@hookimpl\ndef harness_scorers():\n    return [{source}]\n"


def reasons(catalogue: Catalogue, distribution: str) -> list[str]:
    return [record.reason for record in catalogue.broken if record.distribution == distribution]


def test_the_built_in_plugin_provides_every_kind_but_scorers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_PLUGINS", "")
    catalogue = load_catalogue()
    assert catalogue.names("subjects") == [
        "attention_heads", "directions", "mlp_neurons", "planted", "planted_output", "sae", "transcoder",
    ]  # fmt: skip
    assert catalogue.names("corpus") == ["huggingface", "jsonl", "planted", "text"]
    assert catalogue.names("explainers") == [
        "contrastive", "default", "imported", "logit_tokens", "max_activation_logits", "ngram", "planted", "refined",
        "token_activations", "top_tokens",
    ]  # fmt: skip
    planted = ["broad", "narrow", "other", "related", "wrong_token"]
    assert catalogue.names("controls") == ["empty", *(f"planted_{name}" for name in planted), "shuffled", "top_tokens"]
    assert catalogue.names("scorers") == []
    assert catalogue.broken == []


def test_the_scorers_of_this_distribution_come_by_entry_points() -> None:
    catalogue = load_catalogue()
    assert {"detection", "embedding", "fuzzing"} <= set(catalogue.names("scorers"))
    detection = catalogue.scorers["detection"]
    assert (detection.distribution, detection.plugin) == ("autointerp-harness", "detection")


def test_a_spec_knows_where_it_is_from(install: Install) -> None:
    install("my-scorers", {"entry": scorers("scorer('brevity')")}, version="2.5")
    found = load_catalogue().get("scorer", "brevity")
    assert (found.distribution, found.version, found.plugin) == ("my-scorers", "2.5", "entry")
    assert found.qualified == "my-scorers/brevity"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "ExplainerSpec(name='x', summary='s', factory='m:f', config=Config)",
            "a ExplainerSpec where a ScorerSpec is due",
        ),
        ("{'name': 'x'}", "a dict where a ScorerSpec is due"),
        (f"scorer(api_version={API_VERSION + 1})", f"made for version {API_VERSION + 1} of the plugin interface"),
        ("scorer(aspect='purty')", "scorer 'length': unknown aspect 'purty'. Try: did you mean purity"),
        ("scorer('no good')", "'no good', whose name is not made of letters"),
        ("scorer(), scorer()", "offers scorer 'length' twice"),
    ],
)
def test_what_is_not_a_usable_spec_is_broken(install: Install, source: str, reason: str) -> None:
    install("my-scorers", {"entry": scorers(source)})
    catalogue = load_catalogue()
    (said,) = reasons(catalogue, "my-scorers")
    assert reason in said
    assert len([1 for found in catalogue.scorers.values() if found.distribution == "my-scorers"]) == source.count(
        "scorer(), "
    )


def test_one_name_from_two_distributions_is_ambiguous_and_both_are_reachable(install: Install) -> None:
    install("a-dist", {"a": scorers("scorer('same'), scorer('own')")})
    install("b-dist", {"b": scorers("scorer('same')")})
    catalogue = load_catalogue()
    assert {"a-dist/same", "b-dist/same", "own"} <= set(catalogue.names("scorers"))
    assert "same" not in catalogue.names("scorers")
    with pytest.raises(PluginError, match=r"scorer 'same' is provided by several plugins. Try: a-dist/same or b-dist/"):
        catalogue.get("scorer", "same")
    assert catalogue.get("scorers", "b-dist/same").distribution == "b-dist"
    assert catalogue.get("scorers", "a-dist/own").spec.name == "own"


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"where: unknown explainer 'defualt'\. Try: did you mean default"):
        load_catalogue().get("explainer", "defualt", where="where")
    with pytest.raises(UnknownNameError, match=r"unknown kind 'scorrer'\. Try: did you mean scorer"):
        load_catalogue().get("scorrer", "detection")


def test_a_name_that_a_broken_plugin_should_provide_says_why(install: Install) -> None:
    install("my-scorers", {"brevity": "raise RuntimeError('no licence')"})
    with pytest.raises(PluginError, match=r"brevity.*my-scorers 1.0.*broken at load: RuntimeError: no licence"):
        load_catalogue().get("scorer", "brevity")


def test_a_name_that_a_disabled_plugin_provides_says_so(install: Install) -> None:
    install("my-scorers", {"brevity": scorers("scorer('brevity')")})
    with pytest.raises(PluginError, match="is disabled"):
        load_catalogue(["brevity"]).get("scorer", "brevity")


def test_a_tracker_that_raises_is_warned_about_once_and_stops_no_other(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("bad", {"bad": "@hookimpl\ndef harness_run_finished(event):\n    raise OSError('tracker is down')\n"})
    install("good", {"good": "SEEN = []\n@hookimpl\ndef harness_run_finished(event):\n    SEEN.append(event)\n"})
    catalogue = load_catalogue()
    with caplog.at_level(logging.WARNING):
        catalogue.emit("harness_run_finished", FINISHED)
        catalogue.emit("harness_run_finished", FINISHED)
    import good_good  # type: ignore[import-not-found]  # installed by the fixture

    assert good_good.SEEN == [FINISHED, FINISHED]
    assert [record for record in caplog.messages if "tracker is down" in record] == caplog.messages
    assert len(caplog.messages) == 1


def test_config_packages_are_named_with_their_distribution(install: Install) -> None:
    install("good", {"good": "@hookimpl\ndef harness_config_packages():\n    return ['good_pkg.conf']\n"})
    install("bad", {"bad": "@hookimpl\ndef harness_config_packages():\n    return ['../etc']\n"})
    catalogue = load_catalogue()
    assert catalogue.config_packages == {"good_pkg.conf": "good"}
    assert "no package name" in reasons(catalogue, "bad")[0]


def test_every_registered_thing_can_be_imported() -> None:
    catalogue = load_catalogue()
    for kind in ("subjects", "corpora", "explainers", "scorers", "controls"):
        for registered in catalogue.of_kind(kind).values():
            assert callable(registered.spec.resolve_factory())
            assert isinstance(registered.spec.resolve_config(), type)


def test_a_factory_that_is_not_there_is_a_plugin_error() -> None:
    spec = ExplainerSpec(name="x", summary="s", factory="harness.errors:nothing", config="no_such_module:Config")
    with pytest.raises(PluginError, match=r"plugin 'x' cannot load harness\.errors:nothing"):
        spec.resolve_factory()
    with pytest.raises(PluginError, match=r"plugin 'x' cannot load no_such_module:Config"):
        spec.resolve_config()
