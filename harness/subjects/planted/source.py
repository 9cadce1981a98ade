"""Planted features that read text: their values are what their rules say of the decoded context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, cast

import torch

from harness.decoded import TokenTexts
from harness.errors import FeatureSourceError
from harness.planted.catalogue import FEATURES
from harness.planted.rules import on_tokens
from harness.subjects.dictionary import check_features
from harness.subjects.planted.identity import planted_identity
from harness.subjects.protocol import SparseActivations, TokenHookpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from transformers import PreTrainedTokenizerBase

    from harness.decoded import Decoder
    from harness.subjects.configs import PlantedConfig
    from harness.subjects.model import SubjectModel
    from harness.subjects.protocol import InterventionMode

__all__ = ["PlantedHookpoint", "PlantedSource", "build"]


class PlantedHookpoint(TokenHookpoint):
    """The place where planted features are read: the text of the context, one state per feature."""

    __slots__ = ()

    def states(
        self, tokenizer: PreTrainedTokenizerBase, input_ids: torch.Tensor, attention_mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the strength of every feature at every token [B, T, n_features].

        A rule is asked about the text of a context as a whole, and a match belongs to the token that completes it. A
        BOS token at the beginning is no text.
        """
        texts = TokenTexts(cast("Decoder", tokenizer))
        ids = input_ids.tolist()
        lengths = [len(row) for row in ids] if attention_mask is None else attention_mask.sum(dim=-1).tolist()
        found = torch.zeros(len(ids), input_ids.shape[1], len(FEATURES))
        for row, (tokens, length) in enumerate(zip(ids, lengths, strict=True)):
            first = int(bool(length) and tokens[0] == tokenizer.bos_token_id)
            pieces = texts.of(tokens[first:length]) if length > first else ()
            text = "".join(pieces)
            for number, feature in enumerate(FEATURES):
                spans = feature.rule.strengths(text)
                if spans:
                    found[row, first:length, number] = torch.tensor(on_tokens(pieces, spans))
        return found.to(input_ids.device)


HOOKPOINT = PlantedHookpoint("text", "output")


@dataclass(frozen=True, eq=False)
class PlantedSource:
    """The planted features that read text: the states are the values."""

    identity: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Return ``planted``."""
        return "planted"

    @property
    def n_features(self) -> int:
        """Return the number of planted features."""
        return len(FEATURES)

    @property
    def d_in(self) -> int:
        """Return the width of the states, one for each feature."""
        return len(FEATURES)

    @property
    def hookpoint(self) -> PlantedHookpoint:
        """Return the place that stands for the text."""
        return HOOKPOINT

    def to(self, device: torch.device) -> PlantedSource:  # noqa: ARG002  -- the seam; there are no weights
        """Return the source itself."""
        return self

    def encode(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the values [..., n_features]."""
        return hidden.float()

    def encode_features(self, hidden: torch.Tensor, features: Sequence[int]) -> torch.Tensor:
        """Return the values [..., k] of ``features`` only.

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        return hidden.float()[..., check_features(features, self.n_features, where="features")]

    def encode_sparse(self, hidden: torch.Tensor) -> SparseActivations:
        """Return every value above 0 of states [N, n_features]; nothing is left out."""
        values = hidden.float()
        row, feature = values.nonzero(as_tuple=True)
        return SparseActivations(row, feature, values[row, feature], {})

    def write_directions(self, features: Sequence[int]) -> torch.Tensor | None:
        """Return None: a rule writes nothing to the residual stream.

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        check_features(features, self.n_features, where="features")
        return None

    def intervene(
        self,
        model: torch.nn.Module,  # noqa: ARG002 -- the seam
        features: Sequence[int],  # noqa: ARG002 -- the seam
        mode: InterventionMode,  # noqa: ARG002 -- the seam
        strength: float,  # noqa: ARG002 -- the seam
    ) -> AbstractContextManager[None]:
        """Refuse: there is nothing in the model to change.

        Raises:
            FeatureSourceError: Always.
        """
        _refuse()


def build(config: PlantedConfig, model: SubjectModel) -> PlantedSource:  # noqa: ARG001  -- the seam
    """Return the planted features that read text."""
    return PlantedSource(planted_identity(config))


def _refuse() -> NoReturn:
    what = "planted features read text and are nowhere in the model, so they cannot be changed"
    raise FeatureSourceError(what, where="subject", hint="subject=planted_output has planted features that can be")
