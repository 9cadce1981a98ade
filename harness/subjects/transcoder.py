"""Features of a transcoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.subjects.dictionary_source import DictionarySource
from harness.subjects.hooknames import centred, to_hookpoint
from harness.subjects.identity import transcoder_header, transcoder_hookpoints, transcoder_identity
from harness.subjects.weights.load import load_dictionary

if TYPE_CHECKING:
    from harness.subjects.configs import TranscoderConfig
    from harness.subjects.model import SubjectModel

__all__ = ["Transcoder", "build"]


class Transcoder(DictionarySource):
    """Latents of a transcoder (Dunefsky et al. 2024): reads a computation's input and writes at its output."""

    @property
    def kind(self) -> str:
        """Return ``transcoder``."""
        return "transcoder"


def build(config: TranscoderConfig, model: SubjectModel) -> Transcoder:
    """Return the transcoder of ``config`` on ``model``, its weights on the model's device.

    Raises:
        FeatureSourceError: If the weights are malformed or do not fit the model.
        SubjectError: If the model has no such hookpoint.
    """
    header = transcoder_header(config)
    read, write = (to_hookpoint(name, model.model) for name in transcoder_hookpoints(config, header))
    if header.centred:
        read = centred(read, model.model)
    dictionary = load_dictionary(header)
    identity = transcoder_identity(config)
    source = Transcoder.on_model(model.model, dictionary, read, write, identity, encode_only=header.encode_only)
    return source.to(model.device)
