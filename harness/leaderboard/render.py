"""Shows a leaderboard: one table per protocol and subject, as text, Markdown or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from harness.errors import UnknownNameError
from harness.identity import fingerprint
from harness.leaderboard.build import ALL_SUBJECTS
from harness.leaderboard.compare import group_by_protocol, rank
from harness.leaderboard.text import code, integer, money, number, percent, safe, width, with_interval
from harness.results.codec import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.leaderboard.compare import RankedRow
    from harness.results.records import LeaderboardRow, MarginLine

__all__ = ["Format", "render_table"]

Format = Literal["text", "md", "json"]
Quote = Callable[[str], str]

_EMPTY = "no scores yet"
_CORPUS_NAMES = ("name", "reader", "plugin", "path", "dataset")


def render_table(rows: Sequence[LeaderboardRow], format: str = "text") -> str:  # noqa: A002  -- the option's name
    """Return the leaderboard of ``rows`` as ``text``, ``md`` or ``json``, grouped by protocol, never mixed.

    Raises:
        UnknownNameError: If there is no such format.
    """
    renderers: dict[str, Callable[[list[list[LeaderboardRow]]], str]] = {"text": _text, "md": _markdown, "json": _json}
    if format not in renderers:
        raise UnknownNameError("leaderboard format", format, get_args(Format))
    return renderers[format](group_by_protocol(rows))


@dataclass(frozen=True)
class _Note:
    """What must be said of a set that was not shown to be better than a control. ``n``: too few features, if given."""

    scorer: str
    explanation_set: str
    control: str
    n: int | None

    def text(self, quote: Quote) -> str:
        """Return the note with its names made harmless by ``quote``."""
        name, control = quote(self.explanation_set), quote(self.control)
        if self.n is not None:
            return f"too few features ({self.n}) to compare {name} with control {control}"
        return f"{quote(self.scorer)} does not tell {name} from control {control}"


@dataclass(frozen=True)
class _Section:
    """One table: the sets of one subject under one protocol, best first."""

    subject: str
    places: tuple[RankedRow, ...]

    @property
    def controls(self) -> list[str]:
        """Return the names of the controls that some set has a margin over."""
        return sorted({margin.control for place in self.places for margin in place.row.margins})

    def table(self, quote: Quote) -> list[list[str]]:
        """Return header and rows, names made harmless by ``quote``."""
        first = self.places[0].row
        header = ["rank", "explanation set", f"{quote(first.metric)} [{first.interval.level * 100:g}%]", "chance", "n"]
        header += ["coverage", *(f"vs {quote(control)}" for control in self.controls), "tokens/feature", "$/feature"]
        return [header, *(_cells(place, self.controls, quote) for place in self.places)]

    def notes(self, quote: Quote) -> list[str]:
        """Return the notes below the table."""
        rows = [place.row for place in self.places]
        return [*_of_means(rows, quote), *(note.text(quote) for row in rows for note in _notes(row))]


def _sections(rows: Sequence[LeaderboardRow]) -> list[_Section]:
    by_subject: dict[str, list[RankedRow]] = {}
    for place in rank(rows):
        by_subject.setdefault(place.row.subject, []).append(place)
    return [_Section(subject, tuple(places)) for subject, places in by_subject.items()]


def _cells(place: RankedRow, controls: Sequence[str], quote: Quote) -> list[str]:
    row = place.row
    margins = {margin.control: _margin(margin, row.n) for margin in row.margins}
    return [
        "-" if place.rank is None else f"{place.rank}{'=' if place.tied else ''}",
        f"{quote(row.explanation_set)} (control)" if row.control is not None else quote(row.explanation_set),
        with_interval(row.mean, row.interval.low, row.interval.high),
        number(row.chance),
        str(row.n),
        percent(row.n, sum(row.features_coverage.values())),
        *(margins.get(control, "") for control in controls),
        integer(row.tokens_per_feature),
        money(row.usd_per_feature),
    ]


def _margin(margin: MarginLine, n: int) -> str:
    """Return a margin, with its number of features where it is not that of the set's own mean."""
    shown = with_interval(margin.mean, margin.interval.low, margin.interval.high, difference=True)
    return shown if margin.n == n else f"{shown} n={margin.n}"


def _of_means(rows: Sequence[LeaderboardRow], quote: Quote) -> list[str]:
    """Return the notes on means that are of different features, which a reader may not hold against each other."""
    counts = {row.n for row in rows if row.mean is not None}
    notes = [f"n is {min(counts)} to {max(counts)}: these means are of different features"] if len(counts) > 1 else []
    notes += [
        f"{quote(row.explanation_set)} has no value where another set has one (features: {row.counted_as_chance}); its "
        f"rank takes chance there, which makes its mean {number(row.ranked_by)}"
        for row in rows
        if row.counted_as_chance
    ]
    return notes


def _notes(row: LeaderboardRow) -> list[_Note]:
    notes = []
    for margin in row.margins:
        end = margin.interval.low if row.higher_is_better else margin.interval.high
        if end is None or ((end <= 0) if row.higher_is_better else (end >= 0)):
            n = margin.n if end is None else None
            notes.append(_Note(row.scorer, row.explanation_set, margin.control, n))
    return notes


def _about(row: LeaderboardRow) -> list[tuple[str, str]]:
    """Return what stands above the tables of a protocol: label and value."""
    better = "higher is better" if row.higher_is_better else "lower is better"
    fields = row.protocol_fields
    about = [("metric", f"{row.metric}, {better}"), ("judge", row.judge or "none")]
    if isinstance(fields.get("corpus"), dict):
        about.append(("corpus", _corpus(fields["corpus"])))
    about.append(("protocol", row.protocol))
    return about


def _corpus(corpus: Mapping[str, Any]) -> str:
    """Return a name for a corpus and the beginning of its digest, which tells two of one name apart."""
    names = [corpus[key] for key in _CORPUS_NAMES if isinstance(corpus.get(key), str)]
    cutting = corpus.get("cutting")
    tokens = cutting.get("n_tokens") if isinstance(cutting, dict) else None
    size = f", {tokens:,} tokens at most" if isinstance(tokens, int) else ""
    return f"{names[0] if names else 'corpus'}{size} ({fingerprint(corpus, length=8)})"


def _text(groups: Sequence[Sequence[LeaderboardRow]]) -> str:
    blocks: list[str] = []
    for rows in groups:
        first = rows[0]
        lines = [f"== {safe(first.scorer)} (version {first.scorer_version})"]
        lines += [f"   {label:<9}{safe(value)}" for label, value in _about(first)]
        blocks.append("\n".join(lines))
        blocks += [_text_section(section) for section in _sections(rows)]
    return "\n\n".join(blocks or [_EMPTY])


def _text_section(section: _Section) -> str:
    table = section.table(safe)
    widths = [max(width(cell) for cell in column) for column in zip(*table, strict=True)]
    subject = "all subjects" if section.subject == ALL_SUBJECTS else safe(section.subject)
    lines = [f"   subject  {subject}"]
    lines += ["   " + "  ".join(_padded(row, widths)).rstrip() for row in table]
    lines += [f"   note: {note}" for note in section.notes(safe)]
    return "\n".join(lines)


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Return the cells at their columns' widths: the first two to the left, figures to the right."""
    return [
        cell + " " * (wide - width(cell)) if column <= 1 else " " * (wide - width(cell)) + cell
        for column, (cell, wide) in enumerate(zip(row, widths, strict=True))
    ]


def _markdown(groups: Sequence[Sequence[LeaderboardRow]]) -> str:
    blocks: list[str] = []
    for rows in groups:
        first = rows[0]
        blocks.append(f"### {code(first.scorer)} (version {first.scorer_version})")
        blocks.append("\n".join(f"- {label}: {code(value)}" for label, value in _about(first)))
        blocks += [_markdown_section(section) for section in _sections(rows)]
    return "\n\n".join(blocks or [_EMPTY])


def _markdown_section(section: _Section) -> str:
    subject = "All subjects" if section.subject == ALL_SUBJECTS else f"Subject {code(section.subject)}"
    header, *rows = (f"| {' | '.join(cells)} |" for cells in section.table(code))
    rule = f"|:--|:--|{'--:|' * (len(section.table(code)[0]) - 2)}"
    lines = [f"**{subject}**", "", header, rule, *rows]
    notes = section.notes(code)
    if notes:
        lines += ["", *(f"- Note: {note}" for note in notes)]
    return "\n".join(lines)


def _json(groups: Sequence[Sequence[LeaderboardRow]]) -> str:
    tables = [
        {
            "protocol": rows[0].protocol,
            "scorer": rows[0].scorer,
            "judge": rows[0].judge,
            "rows": [{"rank": place.rank, "tied": place.tied, **to_json(place.row)} for place in rank(rows)],
        }
        for rows in groups
    ]
    return json.dumps(tables, indent=2, allow_nan=False)
