"""What a feature source's own configuration file says, before any weight is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import yaml

from harness.errors import FeatureSourceError
from harness.materials import path_digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "ActivationKind",
    "InputNorm",
    "SourceHeader",
    "integer",
    "number",
    "read_json",
    "read_yaml",
    "shown",
    "text",
]

ActivationKind = Literal["relu", "topk", "groupmax", "jumprelu", "gated"]
_LARGEST_JSON, _LARGEST_YAML = 1 << 24, 1 << 18  # bytes; no config of a source is nearly as large
_LARGEST_INTEGER = 1 << 40
_LARGEST_NUMBER = 1e30
_LONGEST_SHOWN = 60
InputNorm = Literal["none", "layer_norm", "constant_norm_rescale"]


@dataclass(frozen=True, kw_only=True)
class SourceHeader:
    """Facts of one folder of weights.

    Attributes:
        format: Name of its reader.
        weights: The file of its tensors.
        activation: Activation function.
        k: Number of kept latents, for ``topk`` and ``groupmax``.
        d_in: Width of the input, if the file says it.
        n_features: Number of latents, if the file says it.
        transcoder: Whether it predicts another point's values than those it reads.
        subtract_b_dec: Whether the decoder bias is subtracted from the input.
        input_norm: What is done to the input first.
        input_scale: Factor on the input, of dataset-wise normalisation.
        rescale_by_decoder_norm: Whether pre-activations are multiplied by the norms of the decoder's rows.
        centred: Whether it was trained on a model whose writing weights were centred (``hooknames.centred``).
        hook_in: Name of the place it reads, as the file writes it; None if it says nothing.
        hook_out: Name of the place it writes, likewise.
        output_scale: Factor by which its output was multiplied in training, where it is not that of the input.
        threshold: Threshold of ``jumprelu`` where it is one number of the config.
        gate_by_decoder_norm: Whether thresholds are compared with pre-activations times the norms of the decoder's rows
            (after folding), while the values stay the pre-activations.
        encode_only: Whether it writes to more than one place, so that it can be read but not steered.
    """

    format: str
    weights: Path
    activation: ActivationKind
    k: int | None = None
    d_in: int | None = None
    n_features: int | None = None
    transcoder: bool = False
    subtract_b_dec: bool = True
    input_norm: InputNorm = "none"
    input_scale: float = 1.0
    rescale_by_decoder_norm: bool = False
    centred: bool = False
    hook_in: str | None = None
    hook_out: str | None = None
    output_scale: float | None = None
    threshold: float | None = None
    gate_by_decoder_norm: bool = False
    encode_only: bool = False

    def identity(self) -> dict[str, Any]:
        """Return plain data that determines every value of the source, except where in the model it reads."""
        stated = {
            "centred": self.centred,
            "threshold": self.threshold,
            "gate_by_decoder_norm": self.gate_by_decoder_norm,
            # Decides which latents fire, and how strongly, only through the decoder's norms.
            "output_scale": self.output_scale if self.gate_by_decoder_norm or self.rescale_by_decoder_norm else None,
        }
        return {
            "format": self.format,
            "sha256": path_digest(self.weights),
            "activation": self.activation,
            "k": self.k,
            "subtract_b_dec": self.subtract_b_dec,
            "input_norm": self.input_norm,
            "input_scale": self.input_scale,
            "rescale_by_decoder_norm": self.rescale_by_decoder_norm,
            # Only where they say something, so that the identities of formats without them stay as they were.
            **{name: value for name, value in stated.items() if value},
        }


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in ``path``.

    Raises:
        FeatureSourceError: If it is not one.
    """
    try:
        value = json.loads(_read(path, _LARGEST_JSON))
    except (OSError, ValueError, RecursionError) as error:
        raise FeatureSourceError(f"not readable as JSON: {_reason(error)}", where=str(path)) from error
    if not isinstance(value, dict):
        raise FeatureSourceError("not a JSON object", where=str(path))
    return value


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the YAML mapping in ``path``: plain data, no objects.

    Raises:
        FeatureSourceError: If it is not one.
    """
    try:
        value = yaml.safe_load(_read(path, _LARGEST_YAML))
    # Its scalars are made by constructors that raise what they like.
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise FeatureSourceError(f"not readable as YAML: {_reason(error)}", where=str(path)) from error
    if not isinstance(value, dict):
        raise FeatureSourceError("not a YAML mapping", where=str(path))
    return value


def integer(config: Mapping[str, Any], key: str, where: Path) -> int | None:
    """Return the positive integer at ``key``, or None if it is absent or 0 (which the formats use for *not set*).

    Raises:
        FeatureSourceError: If it is something else.
    """
    value = config.get(key)
    if value is None or (isinstance(value, (int, float)) and value == 0):
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < _LARGEST_INTEGER:
        raise FeatureSourceError(f"{key} should be a positive integer, not {shown(value)}", where=str(where))
    return value


def number(config: Mapping[str, Any], key: str, where: Path) -> float | None:
    """Return the finite number at ``key``, or None if it is absent.

    Raises:
        FeatureSourceError: If it is something else.
    """
    value = config.get(key)
    if value is None:
        return None
    # Python compares whole numbers of any size; such a one would not become a float.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < _LARGEST_NUMBER:
        raise FeatureSourceError(f"{key} should be a number, not {shown(value)}", where=str(where))
    return float(value)


def text(config: Mapping[str, Any], key: str, where: Path) -> str | None:
    """Return the text at ``key``, or None if it is absent or empty.

    Raises:
        FeatureSourceError: If it is something else.
    """
    value = config.get(key)
    if value is not None and not isinstance(value, str):
        raise FeatureSourceError(f"{key} should be a text, not {shown(value)}", where=str(where))
    return value or None


def shown(value: object) -> str:
    """Return a file's value for a message: short, whatever it is."""
    if isinstance(value, (str, float)) or value is None or isinstance(value, bool):
        found = repr(value)
    elif isinstance(value, int):
        found = repr(value) if abs(value) < _LARGEST_INTEGER else "a number of many digits"
    else:
        return f"a {type(value).__name__}"
    return found if len(found) <= _LONGEST_SHOWN else f"{found[:_LONGEST_SHOWN]}..."


def _read(path: Path, largest: int) -> str:
    size = path.stat().st_size
    if size > largest:
        raise ValueError(f"{size} bytes are more than any config has")
    return path.read_text(encoding="utf-8")


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())[:200]
