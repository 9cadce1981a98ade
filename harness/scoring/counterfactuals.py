"""Near-misses that a subject vouches for: activating windows, rewritten until the feature stays silent.

A judge sees windows with the tokens marked on which the feature fires, and writes each of them again with as small a
change as possible and without what is marked. The subject reads what it wrote. A text is kept if the feature is silent
on all of it and if it is still like a window that was shown; everything else is counted and not used.

No explanation is shown and nothing is drawn, so every explanation of a feature meets the same texts. The judge is asked
without sampling: its answers are the same for all explanations, and a cache has them after the first.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from statistics import fmean
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError
from harness.llm.counting import APPROXIMATE
from harness.llm.protocol import CompletionRequest, Message
from harness.llm.task import Task, TaskKind
from harness.scoring.marks import text_with_marks, text_without_marks
from harness.scoring.protocol import ScorerEstimate
from harness.scoring.writing import WrittenText, collect_texts, room_for, texts_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.examples.record import Example
    from harness.llm.counting import TokenCounter
    from harness.llm.protocol import LLM
    from harness.outcome import Usage
    from harness.scoring.protocol import Item
    from harness.subjects.access import SubjectAccess

__all__ = ["Counterfactuals", "Rewriting", "estimate_counterfactuals", "write_counterfactuals"]

_MOST_RE_ASKS = 3
_SPARE = 2  # windows looked at for each that is to be rewritten
_PIECE = re.compile(r"\w+|[^\w\s]")
_TOKENS_BESIDE_WINDOW = 8  # its number, the marks, the end of the line
_TOKENS_BESIDE_REPLY = 5
_NOTHING_FIRES = "no activating window fires when the subject reads it by itself"


@dataclass(frozen=True)
class Rewriting:
    """How windows are rewritten, and what is kept.

    Attributes:
        counterfactuals: Windows rewritten at most.
        windows_per_call: Windows shown together, and rewritten by one reply.
        min_likeness: Least likeness of a rewriting to the window it is most like: twice the number of words and
            signs that both have in the same order, over the number of those of both.
        re_asks: How often a reply that cannot be read is asked for again.

    Raises:
        ConfigError: If a value is out of range.
    """

    counterfactuals: int = 10
    windows_per_call: int = 5
    min_likeness: float = 0.5
    re_asks: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        for name in ("counterfactuals", "windows_per_call"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", where=name)
        if not 0 <= self.min_likeness <= 1:
            raise ConfigError("must be between 0 and 1", where="min_likeness")
        if not 0 <= self.re_asks <= _MOST_RE_ASKS:
            raise ConfigError(f"must be between 0 and {_MOST_RE_ASKS}", where="re_asks")


@dataclass(frozen=True, slots=True)
class Counterfactuals:
    """The texts that were kept, and what became of the rest.

    Attributes:
        texts: Texts on which the feature is silent, with keys of their own.
        failures: One item for every call that gave no text, with its outcome.
        counts: What became of the windows and rewritings, for a score's breakdown.
        lost: The share of the rewritings asked for whose call ended in an error; see ``Score.lost``.
        usage: What writing cost.
    """

    texts: tuple[WrittenText, ...]
    failures: tuple[Item, ...]
    counts: dict[str, float | None]
    lost: float
    usage: Usage

    @property
    def why_none(self) -> str | None:
        """Return why there is no text, None if there is one."""
        if self.texts:
            return None
        if not self.counts["asked"]:
            return _NOTHING_FIRES
        told = (f"{int(self.counts[name] or 0)} {name}" for name in ("failed_calls", "too_different", "still_active"))
        return f"no rewriting was kept of {int(self.counts['asked'])} asked for: {', '.join(told)}"


async def write_counterfactuals(
    examples: Sequence[Example],
    feature: int,
    instruction: str,
    rewriting: Rewriting,
    judge: LLM,
    subject: SubjectAccess,
) -> Counterfactuals:
    """Return texts that are like activating windows and on which the subject shows that the feature is silent.

    The subject reads windows by themselves first, up to twice as many as are to be rewritten. One on which the feature
    then does not fire needs what stood before it, and says nothing once rewritten: it is counted as ``silent_alone``
    and not shown to the judge.

    Args:
        examples: Activating windows, strongest first; those rewritten are spread evenly over them.
        feature: Index of the feature.
        instruction: System text: what is to be changed, and that the answer is a JSON list of texts.
        rewriting: How many, and how they are asked for.
        judge: Who writes.
        subject: Who reads.

    Raises:
        LLMError: If the judge cannot be asked at all.
        SubjectError: If the subject's hidden states are not finite.
    """
    looked_at = _spread(examples, _SPARE * rewriting.counterfactuals)
    read = await subject.activations([one.text for one in looked_at], feature) if looked_at else ()
    firing = [one for one, values in zip(looked_at, read, strict=True) if values.max > 0]
    chosen = _spread(firing, rewriting.counterfactuals)
    size = rewriting.windows_per_call
    batches = [chosen[start : start + size] for start in range(0, len(chosen), size)]
    requests = [_request(batch, instruction) for batch in batches]
    kind = TaskKind.REWRITE_WITHOUT
    written = await collect_texts(kind, requests, [len(batch) for batch in batches], judge, rewriting.re_asks)

    plain = [WrittenText(text.key, text_without_marks(text.text).strip()) for text in written.texts]
    found = _distinct(text for text in plain if text.text)
    empty = sum(not text.text for text in plain)
    sources = [_PIECE.findall(one.text) for one in chosen]
    likeness = {text.key: _likeness(text.text, sources) for text in found}
    near = [text for text in found if likeness[text.key] >= rewriting.min_likeness]
    read = await subject.activations([text.text for text in near], feature) if near else ()
    kept = [text for text, values in zip(near, read, strict=True) if not any(values.values)]
    return Counterfactuals(
        texts=tuple(kept),
        failures=written.failures,
        counts={
            "windows": float(len(looked_at)),
            "silent_alone": float(len(looked_at) - len(firing)),
            "asked": float(written.asked),
            "failed_calls": float(len(written.failures)),
            "malformed": float(written.malformed + empty),
            "duplicates": float(written.duplicates + len(plain) - empty - len(found)),
            "too_different": float(len(found) - len(near)),
            "still_active": float(len(near) - len(kept)),
            "kept": float(len(kept)),
            "yield": len(kept) / written.asked if written.asked else None,
            "mean_likeness": fmean(likeness[text.key] for text in kept) if kept else None,
        },
        lost=written.lost,
        usage=written.usage,
    )


def estimate_counterfactuals(
    instruction: str,
    rewriting: Rewriting,
    n_activating: int,
    window_tokens: int,
    counter: TokenCounter = APPROXIMATE,
) -> ScorerEstimate:
    """Return the calls and tokens of ``write_counterfactuals``, re-asks left out, if every window fires by itself."""
    n = min(rewriting.counterfactuals, n_activating)
    calls = math.ceil(n / rewriting.windows_per_call)
    frame = counter.chat((Message("system", instruction), Message("user", _asked([]))))
    return ScorerEstimate(
        calls=calls,
        input_tokens=calls * frame + n * (window_tokens + _TOKENS_BESIDE_WINDOW),
        output_tokens=n * (window_tokens + _TOKENS_BESIDE_REPLY),
    )


def _spread(examples: Sequence[Example], count: int) -> list[Example]:
    """Return ``count`` examples at equal distances, or all of them if there are no more."""
    n = min(count, len(examples))
    return [examples[(2 * place + 1) * len(examples) // (2 * n)] for place in range(n)]


def _request(examples: Sequence[Example], instruction: str) -> CompletionRequest:
    marked = tuple(tuple(value > 0 for value in one.activations) for one in examples)
    shown = [text_with_marks(one.tokens, flags) for one, flags in zip(examples, marked, strict=True)]
    return CompletionRequest(
        messages=(Message("system", instruction), Message("user", _asked(shown))),
        max_tokens=room_for(len(examples), max(len(one.tokens) for one in examples)),
        response_schema=texts_schema(len(examples)),
        task=Task(
            TaskKind.REWRITE_WITHOUT,
            "",
            texts=tuple(one.text for one in examples),
            tokens=tuple(one.tokens for one in examples),
            marked=marked,
            count=len(examples),
            reply=_reply,
        ),
    )


def _asked(shown: Sequence[str]) -> str:
    lines = [f"{number}. {text}" for number, text in enumerate(shown, start=1)]
    return "\n".join([*lines, f"Write the {len(shown)} excerpts again, without the marked words, as a JSON list."])


def _reply(answers: Sequence[Any]) -> str:
    return json.dumps(list(answers))


def _distinct(texts: Iterable[WrittenText]) -> list[WrittenText]:
    found: dict[str, WrittenText] = {}
    for text in texts:
        found.setdefault(text.text, text)
    return list(found.values())


def _likeness(text: str, sources: Iterable[list[str]]) -> float:
    pieces = _PIECE.findall(text)
    return max(SequenceMatcher(None, pieces, source, autojunk=False).ratio() for source in sources)
