"""Features that are the neurons of an MLP layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import SubjectError
from harness.subjects.architecture import (
    down_projection_path,
    input_rows,
    pre_activation_path,
    residual_projection,
    width_at,
)
from harness.subjects.coordinates import Coordinates
from harness.subjects.hooks import find_module
from harness.subjects.identity import mlp_neurons_identity
from harness.subjects.protocol import Hookpoint

if TYPE_CHECKING:
    from harness.subjects.configs import MlpNeuronsConfig
    from harness.subjects.model import SubjectModel

__all__ = ["MlpNeurons", "build"]


class MlpNeurons(Coordinates):
    """Neurons of one MLP layer, before or after the activation function.

    After it, a neuron's value is its coordinate of the down projection's input, which in a gated MLP is
    ``act(gate) * up``; it writes its column of the down projection, and with ``top_k`` it is the neuron baseline of
    Paulo et al. 2024. In Gemma 2 and 3 a norm follows the down projection, and the neuron writes its column times the
    norm's gain, up to a positive scale (``residual_projection``).

    Before it, the value is what the activation function is given: the output of the gate projection, or of the first
    linear map of a plain MLP. It can be steered, and the activation function then acts on the new value; it has no
    write direction, since the stream is not linear in it.
    """

    @property
    def kind(self) -> str:
        """Return ``mlp_neurons``."""
        return "mlp_neurons"


def build(config: MlpNeuronsConfig, model: SubjectModel) -> MlpNeurons:
    """Return the neurons of ``config`` on ``model``.

    Raises:
        ConfigError: If not exactly one of ``top_k`` and ``threshold`` is set, or a value makes no sense.
        SubjectError: If there is no such layer, its MLP has no single down projection, or (for pre-activations) no
            linear map of its own before the activation function.
    """
    identity = mlp_neurons_identity(config)
    path = down_projection_path(model.model, config.layer)
    rows = input_rows(find_module(model.model, path))
    if rows is None:
        raise SubjectError(f"'{path}' is no linear map with a plain weight matrix")
    hookpoint = Hookpoint(path, "input")
    if config.value == "pre":
        hookpoint = Hookpoint(pre_activation_path(model.model, config.layer), "output")
        if (found := width_at(model.model, hookpoint)) != len(rows):
            raise SubjectError(f"{hookpoint} has width {found}, and the MLP has {len(rows)} neurons")
    written = residual_projection(model.model, Hookpoint(path, "input"))
    return MlpNeurons(
        hookpoint,
        (rows.float() if written is None else written).contiguous(),
        identity,
        config.polarity,
        config.top_k,
        config.threshold,
        linear=config.value != "pre" and written is not None,
    )
