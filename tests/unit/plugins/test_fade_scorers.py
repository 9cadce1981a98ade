from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness_fade.plugin
import pytest
import yaml
from harness_fade.numbers import Comparison
from harness_fade.separation import separation

from harness.api import (
    Completion,
    ConfigError,
    Continuation,
    Example,
    ExampleKind,
    ExampleShape,
    FeatureSourceError,
    InterventionMode,
    Outcome,
    Resources,
    Score,
    TaskKind,
    Usage,
    UserError,
)
from harness.config.parameters import parameters
from harness.runner.garbage import unusable
from harness.stats import mean_interval
from harness.testing import (
    FailingJudge,
    OracleJudge,
    ScriptedJudge,
    check_scorer,
    make_example,
    make_explanation,
    make_record,
)
from tests.support.word_subject import WordSubject, word_rule

if TYPE_CHECKING:
    from harness.api import CompletionRequest, Intervention

CONF = Path(__file__).parents[3] / "conf" / "scorers"
SPECS = {spec.name: spec for spec in harness_fade.plugin.harness_scorers()}
NAMES = list(SPECS)
FORMS = [(name, compat) for name in NAMES for compat in (None, "fade")]
RECORD = make_record()
TRUE, FALSE = "the word harbour", "the word mountain"


async def score(
    name: str,
    judge: Any = None,
    text: str = TRUE,
    record: Any = RECORD,
    subject: Any = None,
    seed: int = 5,
    **params: Any,
) -> Score:
    spec = SPECS[name]
    scorer = spec.resolve_factory()(spec.resolve_config()(**params))
    resources = Resources(seed=seed, judge=judge or OracleJudge(word_rule()), subject=subject or WordSubject())
    result: Score = await scorer.score(record.for_scoring(), make_explanation(text), resources)
    return result


def record_of(values: list[float], **statistics: Any) -> Any:
    """Return a record whose score half has one window per value: ``text 0``, ``text 1``, ..."""
    examples = [
        make_example([f"text {place}"], [value], document=1_000 + place, decile=5 if value > 0 else None)
        for place, value in enumerate(values)
    ]
    active = tuple(one for one in examples if one.activating)
    others = tuple(one for one in examples if not one.activating)
    facts = dataclasses.replace(RECORD.statistics, max_activation=max(values), **statistics)
    halves = dataclasses.replace(RECORD.score, activating=active, non_activating=others)
    return dataclasses.replace(RECORD, score=halves, statistics=facts)


def rating(by_text: dict[str, int], written: list[str] | None = None) -> Any:
    """Return a judge that rates texts as told and writes the texts told."""

    def rule(request: CompletionRequest) -> str:
        assert request.task is not None
        assert request.task.reply is not None
        if request.task.kind is TaskKind.RATING:
            return request.task.reply([by_text[text] for text in request.task.texts])
        return request.task.reply([written or []])

    return OracleJudge(rule)


class Told(WordSubject):
    """Has the activation that it was told for each text."""

    def __init__(self, values: dict[str, float]) -> None:
        super().__init__()
        self.values = values

    def _one(self, text: str) -> Any:
        return dataclasses.replace(super()._one(text), values=(self.values[text],))


@pytest.mark.parametrize(("name", "compat"), FORMS)
def test_every_scorer_conforms_in_both_forms(name: str, compat: str | None) -> None:
    checks = check_scorer(
        SPECS[name],
        config={"compat": compat},
        rule=word_rule(),
        record=RECORD,
        explanation=make_explanation(TRUE),
        subject=WordSubject(),
    )
    assert [check for check in checks if not check.passed] == []


@pytest.mark.parametrize(("name", "compat"), FORMS)
def test_every_scorer_declares_its_aspect_and_whose_form_it_ranks_by(name: str, compat: str | None) -> None:
    spec = SPECS[name]
    assert spec.aspect == name
    (ranking,) = [
        metric
        for metric in spec.metrics
        if metric.name == spec.resolve_factory()(spec.resolve_config()(compat=compat)).primary_metric
    ]
    assert ranking.published == (compat == "fade")


@pytest.mark.parametrize("name", NAMES)
def test_the_option_of_a_scorer_is_its_defaults(name: str) -> None:
    content = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    assert list(content) == [name]
    given = dict(content[name])
    assert given.pop("plugin") == name
    kind = SPECS[name].resolve_config()
    assert set(given) == {field.name for field in dataclasses.fields(kind)}
    assert parameters(kind, given, "scorers") == kind()


def test_the_defaults_are_those_of_the_paper() -> None:
    config = SPECS["faithfulness"].resolve_config()()
    assert (config.n_natural, config.texts_per_call, config.top_share, config.re_asks) == (500, 15, 0.1, 1)
    assert (config.sparse_threshold, config.sparse_retries, config.write_calls) == (15, 1, 15)
    assert config.factors == (-50.0, -10.0, -1.0, 0.0, 1.0, 10.0, 50.0)
    assert (config.n_prompts, config.new_tokens, config.gate) == (50, 30, 0.5)


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("clarity", "signed_gini"),
        ("clarity", "gini_above_null"),
        ("clarity", "fade_clarity"),
        ("responsiveness", "signed_gini"),
        ("responsiveness", "gini_above_null"),
        ("responsiveness", "fade_responsiveness"),
        ("purity", "precision_above_null"),
        ("purity", "average_precision"),
        ("purity", "average_precision_corpus"),
        ("purity", "fade_purity"),
        ("faithfulness", "rise_over_unmodified"),
        ("faithfulness", "rise_over_ablated"),
    ],
)
async def test_the_true_explanation_gets_full_marks(name: str, metric: str) -> None:
    found = await score(name)
    # FADE's clarity has the texts that hold the concept among its negatives: half of this record.
    assert found.metrics[metric] == pytest.approx(1.0, abs=0.7 if metric == "fade_clarity" else 1e-9)
    assert metric not in found.reasons


async def test_texts_that_hold_the_concept_are_no_negatives_in_ours_and_are_in_the_papers() -> None:
    found = await score("clarity", subject=WordSubject(strength=lambda _: 5.0))
    assert found.metrics["signed_gini"] == 1.0
    # Half of the natural texts hold the concept and tie with the written ones.
    assert found.metrics["fade_clarity"] == pytest.approx(0.5)
    kinds = {item.kind: item.truth for item in found.items}
    assert kinds == {"written": True, "activating": None, "random": False}


@pytest.mark.parametrize("name", ["clarity", "responsiveness", "purity", "faithfulness"])
async def test_a_false_explanation_gets_nothing(name: str) -> None:
    found = await score(name, text=FALSE)
    value = found.metrics[SPECS[name].primary_metric]
    if name in {"responsiveness", "purity"}:
        assert value is None  # nothing was rated 2
        assert found.reasons[SPECS[name].primary_metric] == "texts rated 2: 0, and at least 5 are needed"
    else:
        assert value is not None
        assert value <= 0.0


@pytest.mark.parametrize("name", NAMES)
async def test_a_judge_that_errs_in_a_tenth_still_tells_a_true_explanation_from_a_false_one(name: str) -> None:
    primary, gained = SPECS[name].primary_metric, []
    for feature in range(8):
        record = make_record(n_activating=60, n_non_activating=60, feature=feature)
        values = []
        for text in (TRUE, FALSE):
            judge = OracleJudge(word_rule(error_rate=0.1))
            found = (
                await score(name, judge, text, record, draws=100, factors=(10.0,))
                if name == "faithfulness"
                else (await score(name, judge, text, record, draws=100))
            )
            value = found.metrics[primary]
            assert value is not None
            values.append(value)
        gained.append(values[0] - values[1])
    estimate = mean_interval(gained, -2.0, 2.0)
    assert estimate.low is not None
    assert estimate.low > 0.3


async def test_golden_clarity_of_the_paper() -> None:
    values = {"text 0": 0.0, "text 1": 1.0, "text 2": 2.0, "text 3": 3.0, "one": 2.0, "two": 5.0}
    judge = rating({}, ["one", "two"])
    found = await score(
        "clarity", judge, record=record_of([0.0, 1.0, 2.0, 3.0]), subject=Told(values), compat="fade", write_calls=1
    )
    assert found.metrics["fade_clarity"] == pytest.approx(0.625)
    assert found.metrics["signed_gini"] is None
    assert "compat: fade" in found.reasons["signed_gini"]
    assert {item.key: item.value for item in found.items if item.kind == "written"} == {
        "write:0:0": 2.0,
        "write:0:1": 5.0,
    }
    # Nothing is asked about natural texts.
    assert found.usage.calls == 1


@pytest.mark.parametrize("compat", [None, "fade"])
async def test_golden_responsiveness_and_purity_of_the_paper(compat: str | None) -> None:
    judge = rating({"text 0": 0, "text 1": 0, "text 2": 2, "text 3": 2})
    record = record_of([0.0, 1.0, 2.0, 3.0])
    for name in ("responsiveness", "purity"):
        found = await score(name, judge, record=record, compat=compat)
        assert found.metrics[f"fade_{name}"] == 1.0
        # Two texts are too few for ours, whatever the form.
        assert found.metrics[SPECS[name].primary_metric] is None
        assert "at least 5" in found.reasons[SPECS[name].primary_metric]
        assert [item.value for item in found.items if item.truth] == [2.0, 3.0]


async def test_activating_texts_the_explanation_misses_weigh_as_much_as_they_are_of_the_corpus() -> None:
    facts = dataclasses.replace(RECORD.statistics, n_tokens=24 * 1_000, n_activating_windows=20)
    record = dataclasses.replace(RECORD, statistics=facts)

    def rule(request: CompletionRequest) -> str:
        assert request.task is not None
        assert request.task.reply is not None
        if request.task.kind is TaskKind.RATING:
            return request.task.reply([0] * len(request.task.texts))
        return request.task.reply([[f"harbour {request.repeat} {place}" for place in range(5)]])

    # Written texts activate less than the activating windows and more than the silent ones.
    found = await score("clarity", OracleJudge(rule), record=record, subject=WordSubject(strength=lambda at: 1.0 + at))
    below = [item for item in found.items if item.kind == "activating" and (item.value or 0.0) > 1.0]
    assert len(below) >= 15
    assert found.metrics["signed_gini"] == pytest.approx(1 - 2 * 0.02, abs=0.01)
    assert found.metrics["fade_clarity"] == pytest.approx(0.0, abs=0.1)


async def test_an_inverted_explanation_is_credited_by_the_paper_and_not_by_ours() -> None:
    values = [0.0] * 8 + [1.0 + place for place in range(8)]
    inverted = rating({f"text {place}": 2 if place < 8 else 0 for place in range(16)})
    responsive = await score("responsiveness", inverted, record=record_of(values))
    assert responsive.metrics["signed_gini"] == -1.0
    assert responsive.metrics["gini_above_null"] == -1.0
    assert responsive.metrics["fade_responsiveness"] == 1.0
    pure = await score("purity", inverted, record=record_of(values))
    assert pure.metrics["fade_purity"] == 1.0
    assert (pure.metrics["precision_above_null"] or 0.0) < 0.0


async def test_texts_rated_1_are_on_neither_side() -> None:
    values = [0.0] * 8 + [1.0 + place for place in range(8)]
    ratings = {f"text {place}": (2 if place > 10 else 0 if place < 8 else 1) for place in range(16)}
    found = await score("responsiveness", rating(ratings), record=record_of(values))
    assert found.metrics["signed_gini"] == 1.0
    assert found.breakdown["natural"] == {
        "texts": 16.0, "rated_0": 8.0, "rated_1": 3.0, "rated_2": 5.0, "not_rated": 0.0,
    }  # fmt: skip
    assert sum(item.truth is None for item in found.items) == 3
    assert all(item.outcome is Outcome.OK for item in found.items)


async def test_purity_says_the_prevalence_of_sample_and_corpus() -> None:
    facts = {"n_tokens": 1_000, "n_activating_windows": 20}  # 2 in 100 windows of one token activate
    values = [0.0] * 10 + [1.0 + place for place in range(10)]
    ratings = {f"text {place}": 2 if place >= 10 or place == 0 else 0 for place in range(20)}
    record = record_of(values, **facts)
    deciles = tuple(dataclasses.replace(one, decile=place + 1) for place, one in enumerate(record.score.activating))
    record = dataclasses.replace(record, score=dataclasses.replace(record.score, activating=deciles))
    found = await score("purity", rating(ratings), record=record)
    assert found.breakdown["natural"]["prevalence"] == pytest.approx(11 / 20)
    assert found.breakdown["corpus"]["prevalence"] == pytest.approx(0.02 + 0.98 / 10)
    assert found.breakdown["corpus"]["activating_windows"] == pytest.approx(0.02)
    assert found.breakdown["corpus"]["covered"] == pytest.approx(1.0)
    # The silent text that holds the concept counts for a tenth of the corpus, and is ranked last.
    expected = (0.02 + 0.098 * (0.02 + 0.098)) / (0.02 + 0.098)
    assert found.metrics["average_precision_corpus"] == pytest.approx(expected)
    assert found.metrics["average_precision"] == pytest.approx((10 + 11 / 20) / 11)


async def test_a_corpus_that_cannot_be_weighted_leaves_what_needs_it_undefined() -> None:
    hard = tuple(dataclasses.replace(one, kind=ExampleKind.DECODER_NEIGHBOUR) for one in RECORD.score.non_activating)
    record = dataclasses.replace(RECORD, score=dataclasses.replace(RECORD.score, non_activating=hard))
    clear = await score("clarity", record=record)
    assert clear.metrics["signed_gini"] is None
    assert "drawn at random" in clear.reasons["signed_gini"]
    pure = await score("purity", record=record)
    assert pure.metrics["average_precision_corpus"] is None
    assert pure.reasons["average_precision_corpus"]
    assert pure.metrics["average_precision"] == 1.0


@pytest.mark.parametrize(("random", "scored"), [(4, False), (5, True)])
@pytest.mark.parametrize(("name", "metric"), [("clarity", "signed_gini"), ("purity", "average_precision_corpus")])
async def test_texts_that_stand_for_nothing_do_not_make_up_the_number(
    name: str, metric: str, random: int, scored: bool
) -> None:
    """Of 20 silent windows all but a few are hard negatives, which have no weight."""
    silent = RECORD.score.non_activating
    hard = [dataclasses.replace(one, kind=ExampleKind.SIMILAR) for one in silent[random:]]
    half = dataclasses.replace(RECORD.score, non_activating=(*silent[:random], *hard))
    found = await score(name, record=dataclasses.replace(RECORD, score=half))
    assert (found.metrics[metric] is not None) is scored
    assert scored or "that stand for a part of the corpus: 4, and at least 5 are needed" in found.reasons[metric]
    if name == "purity":
        assert found.metrics["average_precision"] == 1.0


@pytest.mark.parametrize("high", [0.0, 9.0])
def test_one_text_of_five_does_not_decide_a_weighted_comparison(high: float) -> None:
    config = SPECS["clarity"].resolve_config()()
    one = Comparison([5, 5, 0, 0, 5], [high, *[9 - high] * 4], None, [1.0, 0, 0, 0, 0])
    found = separation(one, config, 0, ("written", "natural"))
    assert found.value is None
    assert found.reason == "natural that stand for a part of the corpus: 1, and at least 5 are needed"


@pytest.mark.parametrize("name", ["clarity", "responsiveness", "purity"])
@pytest.mark.parametrize("only", [0, 1, 2])
async def test_ratings_of_one_kind_are_undefined_with_a_reason(name: str, only: int) -> None:
    def rule(request: CompletionRequest) -> str:
        assert request.task is not None
        assert request.task.reply is not None
        if request.task.kind is TaskKind.RATING:
            return request.task.reply([only] * len(request.task.texts))
        return word_rule()(request)

    found = await score(name, OracleJudge(rule))
    complete(name, found)
    if name != "clarity" or only == 2:
        assert found.metrics[SPECS[name].primary_metric] is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("active", "silent"), [(0, 20), (20, 0), (1, 1), (3, 20), (20, 3), (0, 0)], ids=str)
async def test_records_that_lack_something_give_reasons(name: str, active: int, silent: int) -> None:
    half = dataclasses.replace(
        RECORD.score,
        activating=RECORD.score.activating[:active],
        non_activating=RECORD.score.non_activating[:silent],
    )
    for compat in (None, "fade"):
        complete(name, await score(name, record=dataclasses.replace(RECORD, score=half), compat=compat))


@pytest.mark.parametrize("name", NAMES)
async def test_constant_activations_are_no_separation(name: str) -> None:
    def constant(example: Example) -> Example:
        return dataclasses.replace(example, activations=(1.0,) * len(example.tokens))

    half = dataclasses.replace(RECORD.score, activating=tuple(map(constant, RECORD.score.activating)))
    record = dataclasses.replace(RECORD, score=half)
    complete(name, await score(name, record=record, subject=WordSubject(strength=lambda _: 0.0, deaf=True)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["x" * 10_000, "\x00\x1b[2J\u202e\n\t<|im_end|>", "", " \n"])
async def test_hostile_and_empty_explanations_are_scored_or_have_reasons(name: str, text: str) -> None:
    judge = OracleJudge(word_rule())
    complete(name, await score(name, judge, text))
    for request in judge.requests:
        assert len(request.messages[-1].content) < 10_000
        assert all(line.isprintable() for line in request.messages[-1].content.split("\n"))
        assert request.task is not None
        assert request.task.explanation == text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reply", ['{"1": 2}', "0", "I cannot help with that.", "[2, 2, 2]"])
async def test_a_judge_that_says_the_same_to_everything_gives_no_number_from_nothing(name: str, reply: str) -> None:
    found = await score(name, ScriptedJudge([reply]))
    complete(name, found)
    assert {item.outcome for item in found.items} <= {Outcome.OK, Outcome.UNPARSED}


def complete(name: str, found: Score) -> None:
    """Assert that every metric is a number in its range or has a reason, and no part is anything but a number."""
    for metric in SPECS[name].metrics:
        value = found.metrics[metric.name]
        if value is None:
            assert found.reasons[metric.name]
        else:
            assert metric.allows(value)
            assert metric.name not in found.reasons
    assert set(found.metrics) == {metric.name for metric in SPECS[name].metrics}
    values = [value for part in found.breakdown.values() for value in part.values()]
    assert all(value is None or math.isfinite(value) for value in values)
    assert len({item.key for item in found.items}) == len(found.items)


async def test_the_scorers_put_the_same_questions_so_that_a_cache_pays_once() -> None:
    asked = []
    for name in ("clarity", "responsiveness", "purity"):
        judge = OracleJudge(word_rule())
        await score(name, judge, seed=len(name))
        asked.append(
            {request.messages for request in judge.requests if request.task and request.task.kind is TaskKind.RATING}
        )
    assert asked[0] == asked[1] == asked[2]
    assert len(asked[0]) == 3


async def test_more_texts_are_rated_while_few_hold_the_concept() -> None:
    record = make_record(n_activating=30, n_non_activating=30)
    few = await score("responsiveness", record=record, n_natural=20, sparse_threshold=0)
    more = await score("responsiveness", record=record, n_natural=20, sparse_threshold=60)
    assert len(few.items) <= 20 < len(more.items) <= 40
    assert len({item.key for item in more.items}) == len(more.items)
    none = await score("responsiveness", record=record, n_natural=20, sparse_threshold=60, sparse_retries=0)
    assert len(none.items) == len(few.items)


async def test_the_papers_faithfulness_is_gated_and_ours_is_not() -> None:
    closed = await score("faithfulness", text=FALSE, compat="fade")
    assert set(closed.metrics.values()) == {None}
    assert "gated out" in closed.reasons["fade_faithfulness"]
    assert "responsiveness undefined" in closed.reasons["fade_faithfulness"]
    opened = await score("faithfulness", compat="fade", subject=WordSubject(strength=lambda _: 50.0))
    assert opened.metrics["fade_faithfulness"] == 1.0
    assert opened.breakdown["gate"]["responsiveness"] == 1.0
    ours = await score("faithfulness", text=FALSE)
    assert ours.metrics["rise_over_unmodified"] is not None
    assert "compat: fade" in ours.reasons["fade_faithfulness"]


async def test_every_arm_is_written_from_the_same_prompts_and_reported() -> None:
    subject = WordSubject()
    found = await score("faithfulness", subject=subject)
    largest = RECORD.statistics.max_activation
    assert subject.interventions[0] is None
    turned = [one for one in subject.interventions if one is not None]
    assert [one.strength for one in turned] == [factor * largest for factor in (-50, -10, -1, 0, 1, 10, 50)]
    assert {(one.mode, one.features) for one in turned} == {(InterventionMode.SET, (0,))}
    arms = ["unmodified", *(f"factor_{factor}" for factor in (-50, -10, -1, 0, 1, 10, 50))]
    assert list(dict.fromkeys(item.kind for item in found.items)) == arms
    assert len(found.items) == len(arms) * 20
    assert {item.key.rsplit(":", 1)[0] for item in found.items} == {one.key for one in RECORD.score.non_activating}
    for arm in arms:
        assert found.breakdown[arm] == {"share_rated_2": 1.0 if arm in arms[-3:] else 0.0, "n": 20.0}
    assert found.breakdown["rise_over_unmodified"]["rise"] == 1.0


class Counted(WordSubject):
    """Writes texts that end in the rating they are to get: so many of each by factor, None being the model as it is."""

    def __init__(self, counts: dict[float | None, tuple[int, int, int]]) -> None:
        super().__init__()
        self.counts = counts

    async def continued(self, prompts: Any, intervention: Intervention | None, **_: Any) -> tuple[Continuation, ...]:
        largest = RECORD_50.statistics.max_activation
        factor = None if intervention is None else round(intervention.strength / largest, 6)
        ratings = [rating for rating, n in enumerate(self.counts[factor]) for _ in range(n)]
        assert len(ratings) == len(prompts)
        return tuple(Continuation(f"{factor} {place} r{one}", ()) for place, one in enumerate(ratings))


RECORD_50 = make_record(n_activating=50, n_non_activating=50)


def as_written(request: CompletionRequest) -> str:
    """Rate a continuation as it says, and everything else by the word."""
    assert request.task is not None
    assert request.task.reply is not None
    if request.task.kind is not TaskKind.RATING:
        return word_rule()(request)
    texts = request.task.texts
    told = [text[-2:] in {"r0", "r1", "r2"} for text in texts]
    ratings = [int(text[-1]) if one else 2 * ("harbour" in text) for text, one in zip(texts, told, strict=True)]
    return request.task.reply(ratings)


async def test_golden_faithfulness_of_the_paper() -> None:
    counts: dict[float | None, tuple[int, int, int]] = {
        -50.0: (40, 5, 5), 0.0: (45, 0, 5), 1.0: (44, 1, 5), 50.0: (10, 10, 30), None: (25, 0, 25),
    }  # fmt: skip
    found = await score(
        "faithfulness",
        OracleJudge(as_written),
        record=RECORD_50,
        subject=Counted(counts),
        compat="fade",
        gate=0.0,
        factors=(-50.0, 1.0, 50.0),
    )
    assert found.metrics["fade_faithfulness"] == pytest.approx(0.555556, abs=1e-6)
    assert found.breakdown["unmodified"] == {"share_rated_2": 0.5, "n": 50.0}
    assert found.breakdown["rise_over_ablated"]["rise"] == pytest.approx(0.555556, abs=1e-6)
    assert found.breakdown["rise_over_unmodified"]["rise"] == pytest.approx((0.6 - 0.5) / 0.5)


NONE, ALL = (50, 0, 0), (0, 0, 50)


@pytest.mark.parametrize(
    ("unmodified", "ablated", "turned", "over_unmodified", "over_ablated", "paper"),
    [
        (NONE, ALL, NONE, 0.0, None, None),
        (ALL, NONE, NONE, None, 0.0, 0.0),
        (NONE, NONE, ALL, 1.0, 1.0, 1.0),
        (ALL, ALL, ALL, None, None, None),
    ],
)
async def test_neither_baseline_is_a_way_of_turning_the_feature_up(
    unmodified: tuple[int, int, int],
    ablated: tuple[int, int, int],
    turned: tuple[int, int, int],
    over_unmodified: float | None,
    over_ablated: float | None,
    paper: float | None,
) -> None:
    subject = Counted({None: unmodified, 0.0: ablated, 10.0: turned})
    for compat in (None, "fade"):
        found = await score(
            "faithfulness",
            OracleJudge(as_written),
            record=RECORD_50,
            subject=subject,
            compat=compat,
            gate=0.0,
            factors=(10.0,),
        )
        complete("faithfulness", found)
        expected = [over_unmodified, over_ablated, paper if compat else None]
        assert list(found.metrics.values()) == [None if one is None else pytest.approx(one) for one in expected]


async def test_prompts_are_windows_drawn_at_random_before_hard_ones() -> None:
    silent = RECORD.score.non_activating
    hard = tuple(dataclasses.replace(one, kind=ExampleKind.DECODER_NEIGHBOUR) for one in silent[:10])
    half = dataclasses.replace(RECORD.score, non_activating=(*hard, *silent[10:]))
    found = await score("faithfulness", record=dataclasses.replace(RECORD, score=half), n_prompts=10)
    assert {item.key.rsplit(":", 1)[0] for item in found.items} == {one.key for one in silent[10:]}


async def test_scaling_multiplies_what_a_neuron_has() -> None:
    subject = WordSubject()
    await score("faithfulness", subject=subject, intervention="scale", factors=(2.0,))
    assert [(one.mode, one.strength) for one in subject.interventions if one] == [
        (InterventionMode.SCALE, 0.0), (InterventionMode.SCALE, 2.0),
    ]  # fmt: skip


async def test_a_subject_that_is_deaf_to_steering_has_no_effect() -> None:
    found = await score("faithfulness", subject=WordSubject(deaf=True))
    assert found.metrics["rise_over_unmodified"] == 0.0
    assert found.metrics["rise_over_ablated"] == 0.0


@pytest.mark.parametrize(
    ("subject", "record", "reason"),
    [
        (WordSubject(steers=False), RECORD, "write direction"),
        (
            None,
            dataclasses.replace(RECORD, statistics=dataclasses.replace(RECORD.statistics, max_activation=0.0)),
            "above 0",
        ),
        (None, make_record(n_non_activating=0), "no silent window"),
        (None, make_record(n_non_activating=2), "silent windows: 2, and at least 5"),
    ],
)
async def test_what_cannot_be_steered_is_undefined_before_anything_is_asked(
    subject: Any, record: Any, reason: str
) -> None:
    judge = OracleJudge(word_rule())
    found = await score("faithfulness", judge, record=record, subject=subject)
    assert set(found.metrics.values()) == {None}
    assert reason in found.reasons["rise_over_unmodified"]
    assert judge.requests == []


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.TRUNCATED, Outcome.ERROR, Outcome.UNPARSED])
@pytest.mark.parametrize("name", NAMES)
async def test_a_part_that_failed_is_reported_and_the_rest_is_scored(name: str, outcome: Outcome) -> None:
    judge = FailingJudge(OracleJudge(word_rule()), outcome=outcome, share=0.4)
    found = await score(name, judge, texts_per_call=4)
    complete(name, found)
    failed = [item for item in found.items if item.outcome is not Outcome.OK]
    assert {item.outcome for item in failed} == {outcome}
    assert all(item.value is None and item.prediction is None for item in failed)
    if found.metrics[SPECS[name].primary_metric] is not None:
        assert found.metrics[SPECS[name].primary_metric] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("name", NAMES)
async def test_a_scorer_without_what_it_needs_says_so(name: str) -> None:
    spec = SPECS[name]
    scorer = spec.resolve_factory()(spec.resolve_config()())
    with pytest.raises(ConfigError, match="judge"):
        await scorer.score(RECORD.for_scoring(), make_explanation(TRUE), Resources(seed=0))
    if name in {"clarity", "faithfulness"}:
        with pytest.raises(ConfigError, match="subject"):
            await scorer.score(
                RECORD.for_scoring(), make_explanation(TRUE), Resources(seed=0, judge=OracleJudge(word_rule()))
            )


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("purity", {"compat": "delphi"}),
        ("purity", {"n_natural": 1}),
        ("purity", {"texts_per_call": 0}),
        ("purity", {"min_texts": 0}),
        ("purity", {"draws": 1}),
        ("purity", {"sparse_retries": -1}),
        ("purity", {"top_share": 1.0}),
        ("purity", {"re_asks": 9}),
        ("clarity", {"write_calls": 0}),
        ("clarity", {"texts_per_write": 0}),
        ("clarity", {"temperature": 3.0}),
        ("faithfulness", {"factors": (0.0,)}),
        ("faithfulness", {"factors": (math.nan,)}),
        ("faithfulness", {"n_prompts": 0}),
        ("faithfulness", {"intervention": "push"}),
        ("faithfulness", {"sampling_temperature": -1.0}),
        ("faithfulness", {"gate": 2.0}),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(name: str, bad: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        SPECS[name].resolve_config()(**bad)
    assert caught.value.where == next(iter(bad))
    assert "\n" not in str(caught.value)


def test_zero_is_always_a_factor_and_factors_are_in_order() -> None:
    assert SPECS["faithfulness"].resolve_config()(factors=[10, -1]).factors == (-1.0, 0.0, 10.0)


@pytest.mark.parametrize("name", NAMES)
def test_estimates_grow_with_the_windows(name: str) -> None:
    scorer = SPECS[name].resolve_factory()(SPECS[name].resolve_config()())
    few, many = (scorer.estimate(ExampleShape(n, n, 32)) for n in (20, 60))
    assert 0 < few.calls <= many.calls
    assert few.input_tokens < many.input_tokens


class Breaking(WordSubject):
    """Has outputs that are no numbers where the feature is set to one of some factors of its largest activation."""

    def __init__(self, *factors: float | None) -> None:
        super().__init__()
        largest = RECORD.statistics.max_activation
        self.broken = {None if factor is None else factor * largest for factor in factors}

    async def continued(self, prompts: Any, intervention: Intervention | None, **more: Any) -> tuple[Continuation, ...]:
        if (None if intervention is None else intervention.strength) in self.broken:
            raise FeatureSourceError("outputs are not finite")
        return await super().continued(prompts, intervention, **more)


async def test_a_factor_that_breaks_the_model_is_reported_and_the_others_are_scored() -> None:
    found = await score("faithfulness", subject=Breaking(-50.0, 50.0))
    assert found.metrics["rise_over_unmodified"] == 1.0
    assert found.breakdown["factor_50"] == {"share_rated_2": None, "n": 0.0}
    broken = [item for item in found.items if item.kind == "factor_50"]
    assert len(broken) == len(RECORD.score.non_activating)
    assert {(item.outcome, item.text, item.value) for item in broken} == {(Outcome.SKIPPED, None, None)}
    assert all("not finite" in (item.error or "") for item in broken)
    assert unusable(found, 0.1) is None


@pytest.mark.parametrize(
    ("factors", "undefined"),
    [
        ((0.0,), ["rise_over_ablated", "fade_faithfulness"]),
        ((10.0,), ["rise_over_unmodified", "rise_over_ablated"]),
    ],
)
async def test_numbers_that_need_a_broken_factor_say_so(factors: tuple[float, ...], undefined: list[str]) -> None:
    found = await score(
        "faithfulness", subject=Breaking(*factors), compat="fade", gate=0.0, factors=(10.0,), write_calls=1
    )
    complete("faithfulness", found)
    assert [name for name, value in found.metrics.items() if value is None] == undefined
    assert all("not finite" in found.reasons[name] for name in undefined)


async def test_a_model_that_is_broken_as_it_is_fails() -> None:
    with pytest.raises(FeatureSourceError):
        await score("faithfulness", subject=Breaking(None))


class Failing(OracleJudge):
    """Knows the word, and fails in the first calls that should write."""

    def __init__(self, failing: int) -> None:
        super().__init__(word_rule())
        self.failing = failing

    def _answer(self, request: CompletionRequest) -> Completion:
        assert request.task is not None
        if request.task.kind is TaskKind.WRITE and request.repeat < self.failing:
            return Completion(None, Outcome.ERROR, Usage(1), error="as told")
        return super()._answer(request)


@pytest.mark.parametrize(("failing", "usable"), [(1, True), (4, False)])
@pytest.mark.parametrize(("name", "compat"), [("clarity", None), ("clarity", "fade"), ("faithfulness", "fade")])
async def test_writing_that_failed_counts_by_what_it_cost(
    name: str, compat: str | None, failing: int, usable: bool
) -> None:
    record = make_record(n_activating=60, n_non_activating=60)
    found = await score(name, Failing(failing), record=record, compat=compat, n_natural=120)
    # Beside 120 natural texts, four calls of fifteen are less than a tenth of the items.
    assert sum(item.outcome is Outcome.ERROR for item in found.items) == failing
    assert len(found.items) > 120
    assert (unusable(found, 0.1) is None) is usable


def test_an_estimate_holds_the_samples_that_a_rare_concept_needs() -> None:
    config = SPECS["purity"].resolve_config()
    shape = ExampleShape(40, 40, 32)
    calls = [
        SPECS["purity"].resolve_factory()(config(n_natural=30, **more)).estimate(shape).calls
        for more in ({}, {"sparse_retries": 0}, {"sparse_threshold": 0}, {"sparse_retries": 9})
    ]
    assert calls == [4, 2, 2, 6]
