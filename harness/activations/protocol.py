"""What the rest of the house reads of a tokenised corpus and of stored activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

__all__ = ["ActivationReader", "ContextSample", "Document", "FeatureActivations", "TokenReader"]


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a corpus. ``origin`` says where it came from, for the reader of the evidence."""

    text: str
    origin: str = ""


@dataclass(frozen=True, slots=True)
class ContextSample:
    """What is kept of a feature that fires too often to keep all: everything in some contexts, nothing elsewhere.

    Attributes:
        uniform: Contexts drawn without regard to the feature, int64, ascending. They stand for the whole corpus.
        strongest: Contexts with the largest values of the feature, int64, ascending; some may be in ``uniform`` too.
        rate: Expected share of all contexts that is in ``uniform``.
        n_active: Activations in the whole corpus, counted exactly.
        max: The largest value in the whole corpus.
    """

    uniform: np.ndarray
    strongest: np.ndarray
    rate: float
    n_active: int
    max: float


@dataclass(frozen=True, slots=True)
class FeatureActivations:
    """One feature's kept activations: positions in the tokenised corpus (int64, ascending) and values (float32).

    ``sample`` is None where all of them are kept; otherwise it says in which contexts.
    """

    positions: np.ndarray
    values: np.ndarray
    sample: ContextSample | None = None


class TokenReader(Protocol):
    """A corpus, tokenised once for one tokenizer. BOS tokens are not part of it.

    The model saw the corpus in *contexts*: stretches of at most ``context_length`` tokens that never cross a document.
    """

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the documents, the tokenizer and the cutting."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return the plain data that ``fingerprint`` is of."""

    @property
    def tokens(self) -> np.ndarray:
        """Return all token ids, memory-mapped, 1-D."""

    @property
    def context_starts(self) -> np.ndarray:
        """Return the first position of every context, plus one past the last: int64 [n_contexts + 1], ascending."""

    @property
    def context_documents(self) -> np.ndarray:
        """Return the document of every context: int64 [n_contexts], ascending."""

    @property
    def n_documents(self) -> int:
        """Return how many documents there are."""

    def token_texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return the text of each token; joined they are the decoded text (see ``Example.tokens``)."""


class ActivationReader(Protocol):
    """The kept activations of all features of one subject on one tokenised corpus."""

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the tokens, the model and the feature source."""

    @property
    def n_features(self) -> int:
        """Return how many features the source has."""

    @property
    def n_tokens(self) -> int:
        """Return how many corpus tokens were looked at."""

    @property
    def dropped(self) -> Mapping[str, int]:
        """Return how many active values were left out, by reason."""

    def feature(self, index: int) -> FeatureActivations:
        """Return all kept activations of one feature.

        Raises:
            FeatureSourceError: If ``index`` is out of range (the message gives the range).
        """

    def counts(self) -> np.ndarray:
        """Return the number of kept activations of every feature, int64 [n_features]."""
