from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import harness_detection.plugin
import harness_embedding.plugin
import harness_fuzzing.plugin
import pytest
import yaml

from harness.api import ConfigError, ExampleShape, LLMError, Need, Outcome, Resources, Score, ScorerSpec
from harness.testing import FakeEmbedder, OracleJudge, check_scorer, last_message, make_explanation, make_record

CONF = Path(__file__).parents[3] / "conf" / "scorers"
SPECS = {
    spec.name: spec
    for plugin in (harness_detection.plugin, harness_fuzzing.plugin, harness_embedding.plugin)
    for spec in plugin.harness_scorers()
    if Need.SUBJECT not in spec.needs
}
EVERY = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(CONF.glob("*.yaml"))}
CONFIGS = {name: content for name, content in EVERY.items() if content[name]["plugin"] in SPECS}
JUDGED = [name for name in CONFIGS if "embedding" not in name]
RECORD = make_record()
TRUE = make_explanation("the word harbour")


def listed(name: str) -> bool:
    """Return whether the judge answers with a list."""
    return bool(CONFIGS[name][name].get("mode") == "list")


def right_in(line: str) -> bool:
    """Return the right answer to one example: the planted word is there, and marked if anything is."""
    return "<<harbour" in line if "<<" in line else "harbour" in line


def oracle(request: Any) -> bool | list[bool]:
    """Answer rightly if the description names the planted word, else no."""
    description, *shown = last_message(request).splitlines()
    told = "harbour" in description
    numbered = [line for line in shown if line.partition(". ")[0].isdigit()]
    if numbered:
        return [told and right_in(line) for line in numbered]
    return told and right_in(shown[0])


def params(name: str) -> tuple[ScorerSpec, dict[str, Any]]:
    """Return the scorer of an option of the ``scorers`` group, and its parameters."""
    content = dict(CONFIGS[name][name])
    return SPECS[content.pop("plugin")], content


async def score(name: str, judge: Any, text: str = TRUE.text, record: Any = RECORD, seed: int = 5) -> Score:
    spec, content = params(name)
    scorer = spec.resolve_factory()(spec.resolve_config()(**content))
    resources = Resources(seed=seed, judge=judge, embedder=FakeEmbedder())
    result: Score = await scorer.score(record.for_scoring(), make_explanation(text), resources)
    return result


@pytest.mark.parametrize("name", CONFIGS)
def test_every_option_conforms(name: str) -> None:
    spec, content = params(name)
    checks = check_scorer(spec, config=content, rule=oracle, record=RECORD, explanation=TRUE)
    assert [check for check in checks if not check.passed] == []


@pytest.mark.parametrize("name", CONFIGS)
def test_an_option_nests_its_content_under_its_name_and_names_only_known_parameters(name: str) -> None:
    assert list(CONFIGS[name]) == [name]
    spec, content = params(name)
    assert set(content) <= {field.name for field in dataclasses.fields(spec.resolve_config())}


@pytest.mark.parametrize("name", JUDGED)
async def test_a_perfect_judge_gives_the_true_explanation_full_marks_and_a_false_one_none(name: str) -> None:
    spec, _ = params(name)
    true = await score(name, OracleJudge(oracle))
    false = await score(name, OracleJudge(oracle), "the word mountain", make_record(n_activating=80))
    assert true.metrics["balanced_accuracy"] == 1.0
    assert false.metrics["balanced_accuracy"] == 0.5
    if listed(name):
        assert true.metrics["auroc"] is None
        assert "mode: single" in true.reasons["auroc"]
    else:
        assert true.metrics["auroc"] == 1.0
        assert false.metrics["auroc"] == pytest.approx(0.5, abs=0.2)
    assert set(true.metrics) == {metric.name for metric in spec.metrics}


@pytest.mark.parametrize("name", JUDGED)
async def test_an_erring_judge_costs_as_much_as_it_errs(name: str) -> None:
    record = make_record(n_activating=120, n_non_activating=120)
    found = await score(name, OracleJudge(oracle, error_rate=0.2), record=record)
    assert found.metrics["balanced_accuracy"] == pytest.approx(0.8, abs=0.12)  # 3 standard errors at n = 120


async def test_detection_asks_of_every_window_and_shows_no_activation() -> None:
    found = await score("detection", OracleJudge(oracle))
    assert len(found.items) == 40
    assert sum(item.truth is True for item in found.items) == 20
    assert all("<<" not in (item.text or "") for item in found.items)
    assert found.breakdown["decile_10"]["recall"] == 1.0
    assert found.breakdown["kind_random"]["specificity"] == 1.0


async def test_fuzzing_asks_of_activating_windows_only_half_right_half_wrong() -> None:
    found = await score("fuzzing", OracleJudge(oracle))
    activating = {example.key for example in RECORD.score.activating}
    assert {item.key for item in found.items} <= activating
    kinds = [item.kind for item in found.items]
    assert kinds.count("marked_right") == kinds.count("marked_wrong") >= 8
    assert len(found.items) + (found.breakdown["left_out"]["no_wrong_marking"] or 0) == 20


async def test_fuzzing_compares_sets_on_the_same_marks() -> None:
    true = await score("fuzzing", OracleJudge(oracle))
    false = await score("fuzzing", OracleJudge(oracle), "the word mountain")
    assert [(item.key, item.text) for item in true.items] == [(item.key, item.text) for item in false.items]


@pytest.mark.parametrize("name", ["detection", "fuzzing"])
async def test_the_prompts_of_a_unit_share_all_but_the_example(name: str) -> None:
    judge = OracleJudge(oracle)
    found = await score(name, judge)
    system = {request.messages[0].content for request in judge.requests}
    users = [request.messages[-1].content for request in judge.requests]
    shared = {users[0][: request.shared_prefix] for request in judge.requests}
    assert len(system) == len(shared) == 1
    described = shared.pop()
    assert described == f"Description: {TRUE.text}\n"
    # Behind what is shared, nothing but the example and the cue that ends every prompt.
    texts = sorted(item.text or "" for item in found.items)
    assert sorted(user.removeprefix(described).removesuffix("\nAnswer:") for user in users) == texts
    assert all(user.startswith(described) for user in users)


@pytest.mark.parametrize("name", ["detection", "fuzzing"])
async def test_a_judge_that_cannot_grade_is_refused_before_it_is_asked(name: str) -> None:
    judge = OracleJudge(oracle, logprobs=False)
    with pytest.raises(LLMError) as caught:
        await score(name, judge)
    assert judge.requests == []
    assert caught.value.exit_code == 2
    assert caught.value.where == f"scorers.{name}.mode"
    assert f"{name}_list" in (caught.value.hint or "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["detection", "fuzzing"])
async def test_a_scorer_without_what_it_needs_says_so(name: str) -> None:
    with pytest.raises(ConfigError, match="judge"):
        await score(name, None)


async def test_fuzzing_of_a_feature_that_fires_everywhere_is_undefined_with_the_reason() -> None:
    record = make_record(most_active=24, window_tokens=4, n_activating=4)
    record = dataclasses.replace(
        record,
        score=dataclasses.replace(
            record.score,
            activating=tuple(dataclasses.replace(one, activations=(1.0,) * 4) for one in record.score.activating),
        ),
    )
    found = await score("fuzzing", OracleJudge(oracle), record=record)
    assert set(found.metrics.values()) == {None}
    assert "wrong marking" in found.reasons["auroc"]
    assert found.breakdown["left_out"]["no_wrong_marking"] == 4.0


async def test_embedding_prefers_the_true_explanation() -> None:
    true, false = await score("embedding", None), await score("embedding", None, "mountain weather")
    assert (true.metrics["auroc"] or 0.0) > 0.8
    assert (false.metrics["auroc"] or 1.0) < 0.7
    assert {"decile_10", "decile_1", "kind_random"} <= set(true.breakdown)


@pytest.mark.parametrize("text", ["", "  \n"])
async def test_embedding_of_an_empty_explanation_is_chance(text: str) -> None:
    found = await score("embedding", None, text)
    assert found.metrics["auroc"] == 0.5
    assert {item.value for item in found.items} == {0.0}


async def test_embedding_takes_the_instruction_from_the_embedder_unless_told() -> None:
    seen: list[str] = []

    class Watched(FakeEmbedder):
        async def embed(self, texts: tuple[str, ...]) -> Any:
            seen.append(texts[0])
            return await super().embed(texts)

    spec = SPECS["embedding"]
    for own in (None, "find: "):
        scorer = spec.resolve_factory()(spec.resolve_config()(query_instruction=own))
        embedder = Watched(query_instruction="query: ")
        await scorer.score(RECORD.for_scoring(), TRUE, Resources(seed=0, embedder=embedder))
    assert seen == ["query: the word harbour", "find: the word harbour"]


async def test_an_explanation_that_is_too_long_is_cut_alike_for_prompts_and_for_the_embedder() -> None:
    text = "x " * 2_500 + "names of months"
    read: list[str] = []

    class Watched(FakeEmbedder):
        async def embed(self, texts: tuple[str, ...]) -> Any:
            read.append(texts[0])
            return await super().embed(texts)

    judge = OracleJudge(oracle)
    for name in ("detection", "fuzzing_list", "embedding"):
        spec, content = params(name)
        scorer = spec.resolve_factory()(spec.resolve_config()(**content))
        resources = Resources(seed=0, judge=judge, embedder=Watched())
        await scorer.score(RECORD.for_scoring(), make_explanation(text), resources)
    read += [request.messages[-1].content.split("\n")[0].removeprefix("Description: ") for request in judge.requests]
    assert set(read) == {f"{text[:3_999]}\u2026"}
    # A judge that reads no prompts is told what was given.
    assert {request.task.explanation for request in judge.requests if request.task} == {text}


async def test_a_window_whose_embedding_is_broken_is_an_error_and_not_a_zero() -> None:
    class Broken(FakeEmbedder):
        async def embed(self, texts: tuple[str, ...]) -> Any:
            vectors = await super().embed(texts)
            vectors[1] = float("nan")
            return vectors

    spec = SPECS["embedding"]
    scorer = spec.resolve_factory()(spec.resolve_config()())
    found = await scorer.score(RECORD.for_scoring(), TRUE, Resources(seed=0, embedder=Broken()))
    assert (found.items[0].outcome, found.items[0].value) == (Outcome.ERROR, None)
    assert found.metrics["auroc"] is not None


@pytest.mark.parametrize("name", JUDGED)
def test_estimates_grow_with_the_windows(name: str) -> None:
    spec, content = params(name)
    scorer = spec.resolve_factory()(spec.resolve_config()(**content))
    short = scorer.estimate(ExampleShape(20, 20, 32))
    long = scorer.estimate(ExampleShape(20, 20, 64))
    assert short.calls == long.calls
    assert long.input_tokens - short.input_tokens == 32 * (20 if "fuzzing" in name and "paper" not in name else 40)


def test_listing_the_scorers_loads_nothing_heavy() -> None:
    code = (
        "import sys, harness.api, harness_detection.plugin, harness_fuzzing.plugin, harness_embedding.plugin; "
        "import harness_fade.plugin, harness_generation.plugin; "
        "print([name for name in ('torch', 'numpy', 'scipy', 'litellm', 'transformers') if name in sys.modules])"
    )
    plugins = str(Path(harness_detection.__file__).parents[1])
    root = str(Path(harness_detection.__file__).parents[2])
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{root}:{plugins}"},
    )
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize("name", JUDGED)
async def test_every_yes_no_scorer_says_how_far_p_yes_can_be_trusted(name: str) -> None:
    found = await score(name, OracleJudge(oracle))
    part = found.breakdown["calibration"]
    if listed(name):
        assert (part["n"], part["brier"]) == (0.0, None)
        assert "mode: single" in found.reasons["calibration"]
    else:
        # The oracle is always right and says 0.85 to 0.95: under-confident by 0.1.
        assert part["n"] == len(found.items)
        assert part["expected_calibration_error"] == pytest.approx(0.1, abs=0.03)
        assert part["brier"] == pytest.approx(0.01, abs=0.005)
