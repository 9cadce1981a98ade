"""What a feature source is: the seam between a subject model and everything that reads its features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from harness.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    import torch
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "FeatureSource",
    "Hookpoint",
    "InterventionMode",
    "ReadsDirections",
    "SparseActivations",
    "TokenHookpoint",
]

Side = Literal["input", "output"]
Transform = Literal["normalized", "centred"]


@dataclass(frozen=True, slots=True)
class Hookpoint:
    """A place in a Hugging Face model: a module path and which of its sides, written ``model.layers.14.output``.

    What is read there may be computed from the module's tensor first, where no module of the model carries it. The
    written form then ends in the transform, as in ``model.layers.14.post_attention_layernorm.input|normalized``.

    Attributes:
        module: Module path.
        side: Its input or its output.
        transform: None, the tensor as it is; ``normalized``, the input of a norm over its scale, before the norm's
            weight and bias; ``centred``, minus the mean over the width, which is the hidden state of a LayerNorm model
            whose writing weights were centred.
    """

    module: str
    side: Side
    transform: Transform | None = None

    def __str__(self) -> str:
        """Return the written form."""
        return f"{self.module}.{self.side}" + (f"|{self.transform}" if self.transform else "")

    @property
    def plain(self) -> Hookpoint:
        """Return the same place without a transform."""
        return replace(self, transform=None)

    @classmethod
    def parse(cls, text: str) -> Hookpoint:
        """Return the hookpoint written as ``<module path>.input`` or ``<module path>.output``, and ``|<transform>``.

        Raises:
            ConfigError: If the text has no such side, names no module, or has a transform that is unknown or
                undefined on that side.
        """
        place, bar, transform = text.partition("|")
        module, _, side = place.rpartition(".")
        message = f"'{text}' is not a hookpoint"
        if side not in {"input", "output"} or not module:
            raise ConfigError(message, hint="write a module path and a side, as in model.layers.14.output")
        found = cls(module, "input" if side == "input" else "output")
        if not bar:
            return found
        if transform == "centred":
            return replace(found, transform="centred")
        if transform == "normalized" and side == "input":
            return replace(found, transform="normalized")
        raise ConfigError(message, hint="after the bar write 'centred' or, on the input of a norm, 'normalized'")


class TokenHookpoint(Hookpoint):
    """A place that is no module: its states are computed from the tokens alone, and no model runs for them.

    Planted features are read at one. All else (collecting, storing, facts, records) need not know.
    """

    __slots__ = ()

    def states(
        self, tokenizer: PreTrainedTokenizerBase, input_ids: torch.Tensor, attention_mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the states [B, T, d] of contexts, float32 on the device of ``input_ids``; padding has zeros.

        Args:
            tokenizer: The subject model's.
            input_ids: Token ids [B, T], padded on the right where rows differ in length.
            attention_mask: 1 for tokens and 0 for padding [B, T], or None if there is no padding.
        """
        raise NotImplementedError


class InterventionMode(StrEnum):
    """How an intervention changes a feature's value ``f`` given ``strength`` ``s``; the error term is always kept."""

    ADD = "add"
    """f + s"""
    SET = "set"
    """s"""
    SCALE = "scale"
    """f * s"""
    ABLATE = "ablate"
    """0"""


@dataclass(frozen=True, slots=True)
class SparseActivations:
    """The kept activations of a flat batch of N token positions, and the count of what was left out.

    Attributes:
        row: Token row of each kept activation, int64 [n], ascending.
        feature: Feature of each kept activation, int64 [n].
        value: Its value, float32 [n].
        dropped: Active values left out, by the reason stated (``below_threshold``, ``outside_top_k``).
    """

    row: torch.Tensor
    feature: torch.Tensor
    value: torch.Tensor
    dropped: Mapping[str, int]


@runtime_checkable
class FeatureSource(Protocol):
    """Turns the hidden states at a hookpoint into features.

    Implementations are modules of pure tensor functions: no global state, no in-place edits, float32 results.
    """

    @property
    def kind(self) -> str:
        """Return the registered name of this kind of source, for instance ``sae``."""

    @property
    def n_features(self) -> int:
        """Return how many features there are."""

    @property
    def d_in(self) -> int:
        """Return the width of the hidden states that ``encode`` takes."""

    @property
    def hookpoint(self) -> Hookpoint:
        """Return where the hidden states are read."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return plain data that determines every value of this source (weights digest, activation, thresholds)."""

    def to(self, device: torch.device) -> FeatureSource:
        """Return the source with its weights on ``device``."""

    def encode(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the feature values [..., n_features] of hidden states [..., d_in]."""

    def encode_features(self, hidden: torch.Tensor, features: Sequence[int]) -> torch.Tensor:
        """Return the values [..., k] of ``features`` only, equal to the same columns of ``encode``."""

    def encode_sparse(self, hidden: torch.Tensor) -> SparseActivations:
        """Return the activations to keep of hidden states [N, d_in], with a count of those left out."""

    def write_directions(self, features: Sequence[int]) -> torch.Tensor | None:
        """Return the directions [k, d_model] that the features write to the residual stream, or None if they do not."""

    def intervene(
        self, model: torch.nn.Module, features: Sequence[int], mode: InterventionMode, strength: float
    ) -> AbstractContextManager[None]:
        """Return a context in which every forward of ``model``, cached generation included, has the features changed.

        A source that derives from ``harness.subjects.interventions.Steerable`` says with ``change`` what is done, and
        has this from it; the rows of a batch can then have interventions of their own.

        Raises:
            FeatureSourceError: If the source has no write direction.
        """


@runtime_checkable
class ReadsDirections(Protocol):
    """What a feature source may have besides: the direction that each feature is read along."""

    def read_directions(self, features: Sequence[int]) -> torch.Tensor | None:
        """Return the directions [k, d_in] in the hidden states along which the features grow, or None.

        None of features that are single coordinates, too: the directions of any two are at right angles, and no
        feature is nearer than another.
        """
