"""Features of a sparse autoencoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.subjects.dictionary_source import DictionarySource
from harness.subjects.hooknames import centred, to_hookpoint
from harness.subjects.identity import sae_header, sae_hookpoint, sae_identity
from harness.subjects.weights.load import load_dictionary

if TYPE_CHECKING:
    from harness.subjects.configs import SaeConfig
    from harness.subjects.model import SubjectModel

__all__ = ["SparseAutoencoder", "build"]


class SparseAutoencoder(DictionarySource):
    """Latents of an SAE (Cunningham et al. 2023): reads and writes the same hookpoint."""

    @property
    def kind(self) -> str:
        """Return ``sae``."""
        return "sae"


def build(config: SaeConfig, model: SubjectModel) -> SparseAutoencoder:
    """Return the SAE of ``config`` on ``model``, its weights on the model's device.

    Raises:
        FeatureSourceError: If the weights are malformed or do not fit the model.
        SubjectError: If the model has no such hookpoint.
    """
    header = sae_header(config)
    hookpoint = to_hookpoint(sae_hookpoint(config, header), model.model)
    if header.centred:
        hookpoint = centred(hookpoint, model.model)
    dictionary = load_dictionary(header)
    source = SparseAutoencoder.on_model(model.model, dictionary, hookpoint, hookpoint, sae_identity(config))
    return source.to(model.device)
