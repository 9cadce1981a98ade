"""Features that are the outputs of a layer's attention heads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from harness.errors import ConfigError, FeatureSourceError, SubjectError
from harness.subjects.architecture import input_rows, output_projection_path, residual_projection, text_config
from harness.subjects.coordinates import Coordinates
from harness.subjects.dictionary import check_features
from harness.subjects.hooks import find_module
from harness.subjects.identity import attention_heads_identity
from harness.subjects.interventions import Steerable
from harness.subjects.protocol import Hookpoint
from harness.subjects.signed import keep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from harness.subjects.configs import AttentionHeadsConfig
    from harness.subjects.interventions import Intervention
    from harness.subjects.model import SubjectModel
    from harness.subjects.protocol import SparseActivations

__all__ = ["HeadDimensions", "HeadNorms", "build"]


class HeadDimensions(Coordinates):
    """Single dimensions of the heads' outputs: feature ``head * d_head + dimension``, by polarity.

    The values are the input of the output projection (TransformerLens: ``hook_z``), the heads one after the other. They
    can be steered. A dimension writes its column of the output projection; in Gemma 2 and 3 a norm follows, and it is
    the column times the norm's gain, up to a positive scale (``residual_projection``).
    """

    @property
    def kind(self) -> str:
        """Return ``attention_heads``."""
        return "attention_heads"


@dataclass(frozen=True, eq=False)
class HeadNorms(Steerable):
    """Whole heads: a feature is the Euclidean norm of one head's output. It cannot be steered.

    The direction of a head's output is another one at every token, so that its norm stands for no direction:
    ``write_directions`` is None, and ``change`` refuses.

    Attributes:
        hookpoint: The input of the output projection.
        n_features: The number of heads.
        d_in: The width of all heads' outputs together.
        identity: Plain data that determines every kept value, given the model.
        top_k: How many are kept of each token, or None.
        threshold: Above which value they are kept, or None.
    """

    hookpoint: Hookpoint
    n_features: int
    d_in: int
    identity: Mapping[str, Any]
    top_k: int | None
    threshold: float | None

    @property
    def kind(self) -> str:
        """Return ``attention_heads``."""
        return "attention_heads"

    def to(self, device: torch.device) -> HeadNorms:  # noqa: ARG002  -- it has no weights
        """Return the source, which has no weights to move."""
        return replace(self)

    def encode(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return every head's norm [..., n_features], float32."""
        heads = hidden.float().reshape(*hidden.shape[:-1], self.n_features, self.d_in // self.n_features)
        norms: torch.Tensor = heads.norm(dim=-1)
        return norms

    def encode_features(self, hidden: torch.Tensor, features: Sequence[int]) -> torch.Tensor:
        """Return the norms [..., k] of ``features`` only.

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        return self.encode(hidden)[..., check_features(features, self.n_features, where="features")]

    def encode_sparse(self, hidden: torch.Tensor) -> SparseActivations:
        """Return the kept norms of hidden states [N, d_in], with a count of those left out."""
        return keep(self.encode(hidden), self.top_k, self.threshold)

    def write_directions(self, features: Sequence[int]) -> None:
        """Return None: a norm stands for no direction.

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        check_features(features, self.n_features, where="features")

    def change(self, model: torch.nn.Module, intervention: Intervention) -> NoReturn:  # noqa: ARG002  -- see Steerable
        """Refuse: there is no one direction to steer along.

        Raises:
            FeatureSourceError: Always.
        """
        raise FeatureSourceError(
            "the norm of a head's output stands for no direction and cannot be steered",
            where=str(self.hookpoint),
            hint="steer single dimensions of the heads: value=dimension",
        )


def build(config: AttentionHeadsConfig, model: SubjectModel) -> HeadDimensions | HeadNorms:
    """Return the heads of ``config`` on ``model``.

    Raises:
        ConfigError: If not exactly one of ``top_k`` and ``threshold`` is set, a value makes no sense, or ``top_k``
            would keep the norm of every head at every token.
        SubjectError: If there is no such layer, or its attention has no output projection or no equally wide heads.
    """
    identity = attention_heads_identity(config)
    path = output_projection_path(model.model, config.layer)
    rows = input_rows(find_module(model.model, path))
    if rows is None:
        raise SubjectError(f"'{path}' is no linear map with a plain weight matrix")
    hookpoint = Hookpoint(path, "input")
    if config.value == "dimension":
        written = residual_projection(model.model, hookpoint)
        rows = (rows.float() if written is None else written).contiguous()
        kept = (config.polarity, config.top_k, config.threshold)
        return HeadDimensions(hookpoint, rows, identity, *kept, linear=written is not None)
    n_heads = getattr(text_config(model.model), "num_attention_heads", None)
    if not isinstance(n_heads, int) or len(rows) % n_heads:
        message = f"{hookpoint} has width {len(rows)}, which is not that of {n_heads} equal heads"
        raise SubjectError(message, hint="take single dimensions of the heads: value=dimension")
    if config.top_k is not None and config.top_k >= n_heads:
        # A feature that is active everywhere has no other windows to be told from.
        message = f"top_k is {config.top_k}, and with {n_heads} heads every one would count as active at every token"
        raise ConfigError(message, where="attention_heads", hint=f"top_k={max(1, n_heads // 4)}, or a threshold")
    return HeadNorms(hookpoint, n_heads, len(rows), identity, config.top_k, config.threshold)
