"""Shows reports on scorers as tables or as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.identity import plain
from harness.leaderboard.scorers import DISTORTIONS
from harness.leaderboard.text import code, integer, money, number, safe, width, with_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.leaderboard.scorers import ScorerReport
    from harness.stats import Estimate

__all__ = ["render_scorers"]

_NOTE = (
    "AUROC of true over a distortion is over features' scores: 1 tells every true explanation from every one of the "
    "distortion, 0.5 tells nothing. Order kept: share of the features with true > narrow and broad > related > other "
    "and empty, all strictly. Brackets: 95% intervals over features; n where it is not the number of all. Scorers "
    "are in order of the lower end of AUROC over other."
)


def render_scorers(reports: Sequence[ScorerReport], format: str = "text") -> str:  # noqa: A002  -- the option's name
    """Return reports as ``text``, ``md`` or ``json``; three tables for each subject, or four."""
    if format == "json":
        return json.dumps([plain(report) for report in reports], indent=2, allow_nan=False)
    blocks = []
    for subject in dict.fromkeys(report.subject for report in reports):
        mine = [report for report in reports if report.subject == subject]
        quote = code if format == "md" else safe
        tables = (
            ("AUROC of true over ...", _separations(mine, quote)),
            ("share of features with a score of true, but none of ...", _declined(mine, quote)),
            ("share of features scored in order", _orders(mine, quote)),
            ("mean score", _scores(mine, quote)),
        )
        blocks.append(f"### Subject {code(subject)}" if format == "md" else f"== subject {safe(subject)}")
        blocks += [_block(title, table, markdown=format == "md") for title, table in tables if len(table) > 1]
    return "\n\n".join([*blocks, _NOTE])


def _separations(reports: Sequence[ScorerReport], quote: Callable[[str], str]) -> list[list[str]]:
    names = [name for name in DISTORTIONS if any(name in report.auroc for report in reports)]
    rows = [
        [
            quote(report.scorer),
            quote(report.judge or "none"),
            *(_shown(report.auroc.get(name), report.features) for name in names),
            number(report.cost.calls),
            integer(report.cost.tokens),
            money(report.cost.usd),
        ]
        for report in reports
    ]
    return [["scorer", "judge", *names, "calls/verdict", "tokens/verdict", "$/verdict"], *rows]


def _declined(reports: Sequence[ScorerReport], quote: Callable[[str], str]) -> list[list[str]]:
    """Return the shares for the scorers that have any; a header alone if none has."""
    some = [report for report in reports if any(share.mean for share in report.declined.values())]
    names = [name for name in DISTORTIONS if any(name in report.declined for report in some)]
    rows = [
        [quote(report.scorer), *(_shown(report.declined.get(name), report.features) for name in names)]
        for report in some
    ]
    return [["scorer", *names], *rows]


def _orders(reports: Sequence[ScorerReport], quote: Callable[[str], str]) -> list[list[str]]:
    names = list(dict.fromkeys(name for report in reports for name in report.steps))
    rows = [
        [
            quote(report.scorer),
            _shown(report.order_kept, report.features),
            *(_shown(report.steps.get(name), report.features) for name in names),
        ]
        for report in reports
    ]
    return [["scorer", "order kept", *names], *rows]


def _scores(reports: Sequence[ScorerReport], quote: Callable[[str], str]) -> list[list[str]]:
    names = [name for name in ("true", *DISTORTIONS) if any(name in report.scores for report in reports)]
    rows = [
        [
            quote(report.scorer),
            quote(report.metric),
            number(report.chance),
            *(_shown(report.scores.get(name), report.features) for name in names),
            f"{report.undefined} of {report.verdicts}",
        ]
        for report in reports
    ]
    return [["scorer", "metric", "chance", *names, "undefined"], *rows]


def _shown(estimate: Estimate | None, features: int) -> str:
    """Return an estimate, with its number of features where it is not that of all."""
    if estimate is None:
        return ""
    shown = with_interval(estimate.mean, estimate.low, estimate.high)
    return shown if estimate.n in {0, features} else f"{shown} n={estimate.n}"


def _block(title: str, table: Sequence[Sequence[str]], *, markdown: bool) -> str:
    if markdown:
        header, *rows = (f"| {' | '.join(row)} |" for row in table)
        return "\n".join([f"**{title}**", "", header, f"|{':--|' * len(table[0])}", *rows])
    widths = [max(width(cell) for cell in column) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    return "\n".join([f"   {title}", *(f"   {line}" for line in lines)])
