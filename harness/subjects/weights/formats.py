"""Every format of weights the harness reads, in the order in which a folder is tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.subjects.weights import (
    circuit_tracer,
    circuit_tracer_clt,
    dictionary_learning,
    e2e_sae,
    gemma_scope,
    gemma_scope_2,
    goodfire,
    llama_scope,
    llamascopium,
    openai,
    qwen_scope,
    saelens,
    sparsify,
    transcoder_circuits,
)

if TYPE_CHECKING:
    from harness.subjects.weights.reader import Reader

__all__ = ["READERS", "reader_named"]

READERS: tuple[Reader, ...] = (
    saelens.READER,
    sparsify.READER,
    circuit_tracer.READER,
    circuit_tracer_clt.READER,
    gemma_scope.EMBEDDINGS,
    gemma_scope.READER,
    gemma_scope_2.READER,
    llama_scope.READER,
    llamascopium.READER,
    qwen_scope.READER,
    goodfire.READER,
    dictionary_learning.READER,
    transcoder_circuits.READER,
    # Single files, told apart by the names of their tensors.
    openai.READER,
    e2e_sae.READER,
)


def reader_named(name: str) -> Reader:
    """Return the reader called ``name``, which is one of ours."""
    return next(reader for reader in READERS if reader.name == name)
