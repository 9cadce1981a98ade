"""Third parties: options of their own, options made for them, and options that hide nothing of ours."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import pytest

from harness.config.compose import compose_run
from harness.config.options import list_options, option_names
from harness.config.resolve import resolve_run
from harness.errors import PluginError
from harness.registry.catalogue import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLUGIN = """
from dataclasses import dataclass
from typing import Literal

from omegaconf import MISSING

from harness.api import ControlSpec, CorpusSpec, ExplainerSpec, MetricSpec, ScorerSpec, hookimpl


@dataclass
class Config:
    limit: int = 3
    path: str = MISSING


@dataclass
class Odd:
    mode: Literal["a"] = "a"


METRICS = (MetricSpec("m", "d"),)


def scorer(name, config):
    return ScorerSpec(name=name, summary="of others", factory="x:y", config=config, metrics=METRICS, primary_metric="m")


@hookimpl
def harness_scorers():
    return [scorer("third", Config), scorer("with_yaml", Config), scorer("odd", Odd)]


@hookimpl
def harness_explainers():
    return [ExplainerSpec(name="their_explainer", summary="of others", factory="x:y", config=Config)]


@hookimpl
def harness_corpora():
    return [CorpusSpec(name="their_corpus", summary="of others", factory="x:y", config=Config, identity="x:z")]


@hookimpl
def harness_config_packages():
    return ["third_party_conf", "third_party_conf_that_is_not_there"]
"""


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    conf = tmp_path / "third_party_conf"
    (conf / "scorers").mkdir(parents=True)
    (conf / "experiment").mkdir()
    (conf / "__init__.py").touch()
    (conf / "scorers" / "with_yaml.yaml").write_text(
        "# From a file.\nwith_yaml: {plugin: with_yaml, limit: 8, path: p}\n"
    )
    (conf / "experiment" / "smoke.yaml").write_text("# @package _global_\nname: hijacked\n")
    (tmp_path / "third_party.py").write_text(PLUGIN)
    info = tmp_path / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[autointerp_harness]\nthird = third_party\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    for name in ("third_party", "third_party_conf"):
        sys.modules.pop(name, None)


pytestmark = [
    pytest.mark.usefixtures("third_party"),
    pytest.mark.filterwarnings("ignore:provider=third-party, path=third_party_conf_that_is_not_there:UserWarning"),
]


def test_a_scorer_without_an_option_gets_one_of_its_defaults() -> None:
    catalogue = load_catalogue()
    composed = compose_run(["explainer=top_tokens", "scorers=[third]", "scorers.third.path=x"], catalogue)
    assert composed.scorers.third == {"plugin": "third", "limit": 3, "path": "x"}
    run = resolve_run(composed, catalogue)
    assert run.scorers["third"].registered.distribution == "third-party"


def test_so_do_explainers_and_corpora() -> None:
    catalogue = load_catalogue()
    overrides = ["explainer=their_explainer", "explainer.path=e", "corpus=their_corpus", "corpus.path=c", "scorers=[]"]
    run = resolve_run(compose_run([*overrides, "corpus.n_tokens=5"], catalogue), catalogue)
    assert (run.explainer.config.path, run.corpus.config.path, run.corpus_tokens.n_tokens) == ("e", "c", 5)


def test_an_option_of_its_own_goes_before_the_automatic_one() -> None:
    composed = compose_run(["scorers=[with_yaml]"], load_catalogue())
    assert composed.scorers.with_yaml == {"plugin": "with_yaml", "limit": 8, "path": "p"}


def test_no_third_party_replaces_an_option_of_ours() -> None:
    assert compose_run(["experiment=smoke"], load_catalogue()).name == "smoke"


def test_options_are_listed_with_their_origin() -> None:
    catalogue = load_catalogue()
    found = {(option.group, option.name): option for option in list_options(catalogue)}
    assert found["scorers", "with_yaml"].summary == "From a file."
    assert found["scorers", "third"].summary == "of others"
    assert found["scorers", "third"].distribution == "third-party"
    assert found["experiment", "smoke"].distribution == "autointerp-harness"
    assert "their_corpus" in option_names(catalogue, "corpus")


def test_parameters_that_cannot_be_configured_are_the_plugins_mistake() -> None:
    catalogue = load_catalogue()
    composed = compose_run(["explainer=top_tokens", "scorers=[odd]"], catalogue)
    with pytest.raises(PluginError, match=r"^scorers\.odd: the plugin's parameters cannot be configured"):
        resolve_run(composed, catalogue)


def test_an_option_of_a_broken_plugin_says_what_broke(tmp_path: Path) -> None:
    (tmp_path / "third_party.py").write_text("raise RuntimeError('no licence')")
    sys.modules.pop("third_party", None)
    with pytest.raises(PluginError, match=r"third-party 1.0.*RuntimeError: no licence"):
        compose_run(["scorers=[third]"], load_catalogue())
