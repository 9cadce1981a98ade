"""Explanations, where they came from, and what writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from harness.identity import fingerprint
from harness.llm.counting import APPROXIMATE
from harness.outcome import Outcome, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.examples.record import ExplainRecord
    from harness.llm.counting import TokenCounter
    from harness.llm.protocol import LLM

__all__ = [
    "Control",
    "Draft",
    "Explainer",
    "ExplainerEstimate",
    "ExplainerResources",
    "Explanation",
    "Provenance",
]


@dataclass(frozen=True)
class Provenance:
    """Who wrote an explanation, from what.

    Attributes:
        explainer: Registered name of the explainer or control.
        version: Its version.
        model: Identity of the explainer LLM, or None.
        prompt_sha256: Digest of the prompt, or None.
        source_feature: The feature whose explanation this really is (``shuffled``), or None.
        origin: Free text for imported explanations: the file and the author it names.
    """

    explainer: str
    version: int
    model: Mapping[str, Any] | None = None
    prompt_sha256: str | None = None
    source_feature: int | None = None
    origin: str | None = None


@dataclass(frozen=True)
class Draft:
    """What an explainer returns for one feature: a text, or an outcome that says why there is none.

    ``text`` is None exactly when ``outcome`` is not OK. An empty string is a legal text.
    """

    text: str | None
    outcome: Outcome = Outcome.OK
    usage: Usage = field(default_factory=Usage)
    reply: str | None = None
    prompt_sha256: str | None = None
    source_feature: int | None = None
    origin: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Explanation:
    """A text about a feature, in a named explanation set."""

    subject: str
    feature: int
    set_name: str
    text: str
    provenance: Provenance

    @property
    def digest(self) -> str:
        """Return the fingerprint of what a scorer sees of it: the text."""
        return fingerprint({"text": self.text})


@dataclass(frozen=True)
class ExplainerEstimate:
    """Calls and tokens one feature is expected to take, and the length of the explanation that comes of it."""

    calls: int
    input_tokens: int
    output_tokens: int
    explanation_tokens: int = 30


@dataclass(frozen=True)
class ExplainerResources:
    """What an explainer may use. ``seed`` is already derived for this subject, feature and explainer."""

    seed: int
    llm: LLM | None = None


class Explainer(Protocol):
    """Writes explanations, one feature at a time."""

    async def explain(self, record: ExplainRecord, resources: ExplainerResources) -> Draft:
        """Return the explanation of ``record``'s feature, or the outcome that says why there is none."""

    def estimate(self, n_examples: int, window_tokens: int, counter: TokenCounter = APPROXIMATE) -> ExplainerEstimate:
        """Return what one feature is expected to take, in tokens as ``counter`` counts, for a dry run."""


class Control(Protocol):
    """Makes an explanation set whose rank is known beforehand, for one subject.

    One that is not made of the real explanations may say how long its own are, as ``Explainer.estimate`` does.
    """

    def build(
        self, records: Sequence[ExplainRecord], explanations: Mapping[int, Explanation], seed: int
    ) -> Mapping[int, Draft]:
        """Return a draft for every feature of ``records``.

        Args:
            records: The subject's features.
            explanations: The real set's explanations by feature; failed ones are absent.
            seed: Derived for this subject and control.
        """
