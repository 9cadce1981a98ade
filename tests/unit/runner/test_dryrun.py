from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.config.compose import compose_run
from harness.config.resolve import resolve_run
from harness.registry.catalogue import load_catalogue
from harness.runner.dryrun import describe, estimate
from tests.support.demo_figures import DEMO, near

if TYPE_CHECKING:
    from pathlib import Path

    from harness.config.resolve import ResolvedRun

URL = "http://127.0.0.1:9/v1"
ELSEWHERE = (
    *("judge=openai_compatible", "judge.model=openai/m", f"judge.api_base={URL}"),
    *("llm@explainer.llm=openai_compatible", "explainer.llm.model=openai/m", f"explainer.llm.api_base={URL}"),
)
HOSTED = (
    *("judge=litellm", "judge.model=openai/gpt-4o-mini"),
    *("llm@explainer.llm=litellm", "explainer.llm.model=openai/gpt-4o-mini"),
)


def demo(cache: Path, *overrides: str) -> ResolvedRun:
    catalogue = load_catalogue(())
    return resolve_run(compose_run(["experiment=demo", f"paths.cache={cache}", *overrides], catalogue), catalogue)


def by_role(resolved: ResolvedRun) -> dict[str, tuple[int, int, int]]:
    parts = estimate(resolved)
    return {
        role: (
            sum(part.calls for part in parts if part.role == role),
            sum(part.input_tokens for part in parts if part.role == role),
            sum(part.output_tokens for part in parts if part.role == role),
        )
        for role in ("explainer", "judge")
    }


def test_without_any_tokenizer_the_demo_is_estimated_within_a_tenth(tmp_path: Path) -> None:
    found = by_role(demo(tmp_path))
    for role, figures in DEMO.items():
        assert near(found[role], figures), (role, found[role], figures)
    assert list(tmp_path.iterdir()) == []


def test_more_sets_and_features_take_more_in_proportion(tmp_path: Path) -> None:
    few, many = by_role(demo(tmp_path)), by_role(demo(tmp_path, "features.n=8"))
    assert many["judge"] == tuple(2 * count for count in few["judge"])
    assert many["explainer"] == tuple(2 * count for count in few["explainer"])
    alone = by_role(demo(tmp_path, "controls=[]"))
    assert alone["judge"][0] * 3 == few["judge"][0]
    # What is not said takes no tokens; a list of tokens takes more than a phrase.
    empty, listed = (by_role(demo(tmp_path, f"controls=[{name}]"))["judge"][1] for name in ("empty", "top_tokens"))
    assert empty < 2 * alone["judge"][1] < listed


def test_configured_prices_are_charged_by_role(tmp_path: Path) -> None:
    prices = [
        f"{role}.{way}_usd_per_mtok={usd}"
        for role, costs in (("explainer.llm", (10, 100)), ("judge", (1, 5)))
        for way, usd in zip(("input", "output"), costs, strict=True)
    ]
    parts = estimate(demo(tmp_path, *ELSEWHERE, *prices))
    for part in parts:
        cost_in, cost_out = {"explainer": (10, 100), "judge": (1, 5)}.get(part.role or "", (0, 0))
        assert part.usd == pytest.approx((part.input_tokens * cost_in + part.output_tokens * cost_out) / 1e6)
    text = describe(demo(tmp_path, *ELSEWHERE, *prices))
    assert text.count("price: config") == 2
    assert "unknown" not in text


def test_an_unknown_price_is_unknown_and_not_nothing(tmp_path: Path) -> None:
    resolved = demo(tmp_path, *ELSEWHERE)
    assert {part.usd for part in estimate(resolved) if part.calls} == {None}
    rows = {line[:28].strip(): line.split()[-1] for line in describe(resolved).splitlines() if line}
    assert (rows["all of the judge's"], rows["total"], rows["scoring: embedding"]) == ("unknown", "unknown", "0.00")


def test_a_known_hosted_model_is_priced_by_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    resolved = demo(tmp_path, *HOSTED)
    text = describe(resolved)
    assert text.count("price: litellm table") == 2
    parts = [part for part in estimate(resolved) if part.calls]
    for part in parts:
        assert part.usd == pytest.approx(part.input_tokens * 0.15e-6 + part.output_tokens * 0.6e-6)
    found = by_role(resolved)
    for role, figures in DEMO.items():
        assert near(found[role], figures), (role, found[role], figures)


def test_each_roles_sum_is_shown(tmp_path: Path) -> None:
    resolved = demo(tmp_path)
    lines = describe(resolved).splitlines()
    calls, tokens_in, tokens_out = by_role(resolved)["judge"]
    (line,) = [line for line in lines if line.startswith("all of the judge's")]
    assert line.split()[-5:] == ["72", f"{calls:,}", f"{tokens_in:,}", f"{tokens_out:,}", "0.00"]
    assert sum("tokens by 4 characters a token; price: free" in line for line in lines) == 2


def test_a_run_without_a_scorer_says_that_nothing_is_scored(tmp_path: Path) -> None:
    assert "scorers    none: explanations are written, and nothing is scored\n" in describe(
        demo(tmp_path, "scorers=[]")
    )
    assert "nothing is scored" not in describe(demo(tmp_path))


def test_how_many_features_a_source_has_is_not_guessed_at(tmp_path: Path) -> None:
    assert "features   all of each source; the estimate is for 7 of each (features.n)" in describe(
        demo(tmp_path, "features=all", "features.n=7")
    )
