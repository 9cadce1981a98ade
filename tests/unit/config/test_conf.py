"""The shipped options: every one of them composes, resolves, and lists what its plugin knows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.config.compose import compose_run
from harness.config.options import list_options
from harness.config.paths import conf_dir
from harness.config.schema import CorpusTokens, EmbedderConfig, ExamplesConfig, LLMConfig
from harness.errors import ConfigError
from harness.registry.catalogue import load_catalogue
from harness.registry.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.config.resolved import ResolvedRun
    from harness.registry.catalogue import Catalogue

FILES = sorted(path.relative_to(conf_dir()) for path in conf_dir().glob("*/*.yaml"))
EVERY = pytest.mark.parametrize(("group", "name"), [(str(p.parent), p.stem) for p in FILES])


def override(group: str, name: str) -> str:
    if group == "llm":
        return f"{group}@judge={name}"
    return f"{group}=[{name}]" if group in {"subject", "scorers", "controls"} else f"{group}={name}"


ALONGSIDE = {
    "judge=none": ["scorers=[embedding]"],
    "explainer=contrastive": ["examples.explain_non_activating=10"],
    "explainer=ngram": ["examples.explain_non_activating=10"],
    "explainer=refined": ["examples.explain_non_activating=10"],
}
"""What an option cannot do without."""

NAMED = {("features", "file"), ("features", "list")}
"""Options whose value has a sentence of its own for being missing."""


@EVERY
def test_every_option_composes_and_lacks_only_what_the_user_must_say(
    resolve: Callable[..., ResolvedRun], group: str, name: str
) -> None:
    chosen = override(group, name)
    try:
        run = resolve(chosen, *ALONGSIDE.get(chosen, ()))
    except ConfigError as error:
        assert error.what == "a value is needed" or (group, name) in NAMED, error  # noqa: PT017
    else:
        assert len(run.config_sha256) == 64


@EVERY
def test_every_option_says_what_it_is(catalogue: Catalogue, group: str, name: str) -> None:
    (option,) = [one for one in list_options(catalogue) if (one.group, one.name) == (group, name)]
    assert len(option.summary) > 10
    assert option.distribution == "autointerp-harness"


def test_the_command_line_may_choose_against_an_experiment(catalogue: Catalogue) -> None:
    names = [path.stem for path in FILES if path.parent.name == "experiment"]
    assert {"demo", "demo_full", "smoke"} < set(names)
    for name in names:
        composed = compose_run(["corpus=text", "features=all", f"experiment={name}"], catalogue)
        assert composed.name == name
        assert composed.corpus.plugin == "text"
        assert composed.features.select == "all"


@pytest.mark.parametrize("name", ["contrastive", "ngram", "refined"])
def test_explainers_that_compare_are_refused_where_there_is_nothing_silent(
    resolve: Callable[..., ResolvedRun], name: str
) -> None:
    with pytest.raises(ConfigError, match=name) as refused:
        resolve(f"explainer={name}", "examples.explain_non_activating=0")
    assert refused.value.where == "examples.explain_non_activating"


STUDIES = {
    "explainer_size": ["llm@explainer.llm=litellm", "explainer.llm.model=openai/gpt-4o-mini"],
    "sampling": ["examples.explain_strategy=top", "examples.explain_activating=10", "examples.window_tokens=64"],
    "neurons_vs_sae": ["subject=[demo_sae]"],
    "scorer_agreement": ["scorers=[detection_list,fuzzing_list,embedding]"],
    "random_model_control": ["subject.demo_neurons_random.model.randomise=7"],
}
"""The published studies, each with overrides that its page names."""


@pytest.mark.parametrize("name", STUDIES)
def test_studies_resolve_as_they_are_and_varied(resolve: Callable[..., ResolvedRun], name: str) -> None:
    plain, varied = resolve(f"experiment={name}"), resolve(f"experiment={name}", *STUDIES[name])
    assert plain.name == varied.name == name
    assert plain.controls
    assert plain.config_sha256 != varied.config_sha256


@pytest.mark.parametrize("strategy", ["top", "random", "quantiles", "mix", "importance"])
@pytest.mark.parametrize("explainer", ["default", "cot", "activations", "logits", "token_activations"])
def test_every_arm_of_the_sampling_study_resolves(
    resolve: Callable[..., ResolvedRun], strategy: str, explainer: str
) -> None:
    run = resolve("experiment=sampling", f"explainer={explainer}", f"examples.explain_strategy={strategy}")
    assert run.examples.explain_strategy == strategy


def test_explanations_of_an_arm_can_be_scored_under_the_protocol_of_another(
    resolve: Callable[..., ResolvedRun],
) -> None:
    run = resolve("experiment=sampling", "explainer=imported", "~explainer.max_windows", "explainer.path=arm.jsonl")
    assert run.explainer.registered.spec.name == "imported"
    assert run.explainer_llm is None


def test_the_random_model_is_the_trained_one_with_other_weights(resolve: Callable[..., ResolvedRun]) -> None:
    run = resolve("experiment=random_model_control")
    trained, random = (run.subjects[name].config for name in ("demo_neurons", "demo_neurons_random"))
    assert (trained.model.randomise, random.model.randomise) == (None, 0)
    assert dataclasses.replace(random, model=trained.model) == trained


def plugin_options() -> list[tuple[str, str, dict[str, Any]]]:
    found = []
    groups = {kind.group for kind in KINDS}
    for path in FILES:
        content = yaml.safe_load((conf_dir() / path).read_text())
        group = str(path.parent)
        if group in groups:
            if group in {"subject", "scorers", "controls"}:
                (content,) = content.values()
            if "plugin" in content:
                found.append((group, path.stem, content))
    return found


@pytest.mark.parametrize(
    ("group", "name", "content"), plugin_options(), ids=[f"{g}/{n}" for g, n, _ in plugin_options()]
)
def test_an_option_sets_only_what_its_plugin_knows(group: str, name: str, content: dict[str, Any]) -> None:
    kind = next(kind for kind in KINDS if kind.group == group)
    spec = load_catalogue().get(kind.name, content["plugin"]).spec
    known = {found.name for found in dataclasses.fields(spec.resolve_config())}
    known |= {found.name for found in dataclasses.fields(CorpusTokens)} if group == "corpus" else set()
    assert set(content) - {"plugin", "defaults", "set_name", "llm"} <= known, name


@pytest.mark.parametrize("name", [path.stem for path in FILES if path.parent.name == "subject"])
def test_subjects_list_every_parameter_so_that_each_can_be_set(name: str, catalogue: Catalogue) -> None:
    (content,) = yaml.safe_load((conf_dir() / "subject" / f"{name}.yaml").read_text()).values()
    config = catalogue.get("subject", content["plugin"]).spec.resolve_config()
    assert set(content) == {"plugin", *(found.name for found in dataclasses.fields(config))}


@pytest.mark.parametrize("name", ["demo", "text", "jsonl", "huggingface", "planted"])
def test_corpora_list_every_parameter_so_that_each_can_be_set(name: str, catalogue: Catalogue) -> None:
    content = yaml.safe_load((conf_dir() / "corpus" / f"{name}.yaml").read_text())
    config = catalogue.get("corpus", content["plugin"]).spec.resolve_config()
    known = {found.name for found in (*dataclasses.fields(config), *dataclasses.fields(CorpusTokens))}
    assert set(content) == {"plugin", *known}


@pytest.mark.parametrize(
    ("group", "schema"), [("examples", ExamplesConfig), ("llm", LLMConfig), ("embedder", EmbedderConfig)]
)
def test_other_options_fit_their_schema(group: str, schema: Any) -> None:
    known = {found.name for found in dataclasses.fields(schema)}
    for path in (conf_dir() / group).glob("*.yaml"):
        assert set(yaml.safe_load(path.read_text())) <= known, path.name


@pytest.mark.parametrize(
    ("explainer", "wanted"),
    [("planted", "input"), ("planted explainer.catalogue=output", "output"), ("top_tokens", "input")],
)
def test_planted_controls_are_of_the_explainer_s_features(
    resolve: Callable[..., ResolvedRun], explainer: str, wanted: str
) -> None:
    run = resolve("subject=[planted]", "controls=[planted_other,shuffled]", *f"explainer={explainer}".split())
    assert run.controls["planted_other"].config.catalogue == wanted
