"""From a tokenised corpus to activation stores: one forward pass per subject model, for all its feature sources."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harness.activations.artefact import building
from harness.activations.cachedir import ACTIVATIONS_FOLDER
from harness.activations.store import FORMAT, KIND, ActivationStore
from harness.activations.writer import ActivationWriter
from harness.errors import CorpusError, FeatureSourceError, SubjectError
from harness.identity import canonical_json, fingerprint, plain
from harness.progress import SILENT
from harness.subjects.architecture import text_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.activations.tokens import TokenStore
    from harness.progress import Progress, ProgressTask
    from harness.subjects.model import SubjectModel
    from harness.subjects.protocol import FeatureSource

__all__ = ["StoreRequest", "open_stores", "plan_batches", "store_identity"]

_ENCODE_VALUES = 1 << 26
"""Feature values computed at once (256 MB in float32), so that a wide dictionary does not need a small batch."""


@dataclass(frozen=True)
class StoreRequest:
    """A subject whose activations are wanted.

    Attributes:
        subject: Its name in this run; no part of the store's identity.
        identity: Plain data that determines its activations on given tokens. Requests with equal ``identity["model"]``
            share a forward pass.
        load: Returns the subject model and the feature source; called only if there is no store.
    """

    subject: str
    identity: Mapping[str, Any]
    load: Callable[[], tuple[SubjectModel, FeatureSource]]


@dataclass(frozen=True)
class _Batch:
    """Contexts padded on the right: what the model reads, and which positions are corpus tokens.

    ``ids``, ``mask`` and ``kept`` are [rows, length]; ``positions`` are those of the kept ones in the corpus, [N].
    """

    ids: torch.Tensor
    mask: torch.Tensor
    kept: torch.Tensor
    positions: np.ndarray


@dataclass(frozen=True)
class _Job:
    """A store that is being made."""

    source: FeatureSource
    writer: ActivationWriter
    meta: Mapping[str, Any]


def open_stores(
    requests: Sequence[StoreRequest],
    tokens: TokenStore,
    cache: Path,
    batch_tokens: int,
    progress: Progress = SILENT,
) -> dict[str, ActivationStore]:
    """Return the activation store of every requested subject, by its name; those the cache lacks are made now.

    Models are loaded only if a store is missing, and all missing stores of one model are made in one pass over the
    corpus.

    Args:
        requests: The subjects.
        tokens: The tokenised corpus.
        cache: The cache folder; a store goes to ``activations/<fingerprint>`` in it.
        batch_tokens: Positions per forward pass, padding included; it bounds memory and is no part of the identity.
        progress: Where to show the work.

    Raises:
        CorpusError: If the contexts are longer than the model can read.
        FeatureSourceError: If a source does not fit the model or gives values that are not finite.
        MaterialError: If a stored artefact is damaged.
        SubjectError: If the model's hidden states are not finite.
    """
    folders = {request.subject: _folder(request, tokens, cache) for request in requests}
    # Two names of one subject are one store.
    missing = {folders[request.subject]: request for request in requests if not folders[request.subject].exists()}
    groups: dict[str, dict[Path, StoreRequest]] = {}
    for folder, request in missing.items():
        groups.setdefault(canonical_json(request.identity.get("model", dict(request.identity))), {})[folder] = request
    for group in groups.values():
        _make(group, tokens, batch_tokens, progress)
    return {subject: ActivationStore(folder) for subject, folder in folders.items()}


def store_identity(request: StoreRequest, tokens: TokenStore) -> dict[str, Any]:
    """Return the plain data that determines a subject's activations on a tokenised corpus."""
    return {"kind": KIND, "format": FORMAT, "tokens": tokens.fingerprint, "subject": plain(dict(request.identity))}


def plan_batches(lengths: np.ndarray, batch_tokens: int, extra: int = 0) -> list[np.ndarray]:
    """Return context numbers in batches of about equal length, longest first (ties in corpus order).

    A batch padded to its longest context, plus ``extra`` positions each, has at most ``batch_tokens`` positions, or
    one context.
    """
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    batches, first = [], 0
    while first < order.size:
        rows = max(1, batch_tokens // (int(lengths[order[first]]) + extra))
        batches.append(order[first : first + rows])
        first += rows
    return batches


def _folder(request: StoreRequest, tokens: TokenStore, cache: Path) -> Path:
    return cache / ACTIVATIONS_FOLDER / fingerprint(store_identity(request, tokens))


def _make(group: Mapping[Path, StoreRequest], tokens: TokenStore, batch_tokens: int, progress: Progress) -> None:
    loaded = {folder: request.load() for folder, request in group.items()}
    model = next(iter(loaded.values()))[0]
    _check_length(model, tokens)
    with ExitStack() as stack:
        jobs = []
        for folder, request in group.items():
            partial = stack.enter_context(building(folder))
            source = loaded[folder][1].to(torch.device(model.device))
            meta = {
                "identity": store_identity(request, tokens),
                "fingerprint": folder.name,
                "subject": request.subject,
                "batch_tokens": batch_tokens,
            }
            jobs.append(
                _Job(source, ActivationWriter(partial, source.n_features, tokens.n_tokens, request.subject), meta)
            )
        names = ", ".join(request.subject for request in group.values())
        with progress.task(f"collecting activations ({names})", tokens.n_tokens, "tokens") as bar:
            _read(model, jobs, tokens, batch_tokens, bar)
        for job in jobs:
            job.writer.finish(job.meta)


def _read(model: SubjectModel, jobs: Sequence[_Job], tokens: TokenStore, batch_tokens: int, bar: ProgressTask) -> None:
    hookpoints = list(dict.fromkeys(job.source.hookpoint for job in jobs))
    lengths = np.diff(tokens.context_starts)
    extra = int(tokens.bos_token_id is not None)
    with torch.inference_mode():
        for contexts in plan_batches(lengths, batch_tokens, extra):
            batch = _batch(tokens, contexts, lengths[contexts], torch.device(model.device))
            hidden = model.hidden_states(batch.ids, batch.mask, hookpoints)
            rows = {hookpoint: _finite(hidden[hookpoint][batch.kept], str(hookpoint)) for hookpoint in hookpoints}
            for job in jobs:
                _encode(job, rows[job.source.hookpoint], batch.positions)
            bar.advance(batch.positions.size)


def _batch(tokens: TokenStore, contexts: np.ndarray, lengths: np.ndarray, device: torch.device) -> _Batch:
    """Return the batch of ``contexts``. BOS is read by the model, and its position is not kept."""
    bos = tokens.bos_token_id
    extra = int(bos is not None)
    columns = np.arange(int(lengths.max()) + extra)
    mask = columns < (lengths[:, None] + extra)
    kept = mask & (columns >= extra)
    places = (tokens.context_starts[contexts][:, None] + columns - extra)[kept]
    ids = np.zeros(mask.shape, dtype=np.int64)
    ids[:, :extra] = bos or 0
    ids[kept] = tokens.tokens[places]
    as_ids, as_mask, as_kept = (torch.from_numpy(array).to(device) for array in (ids, mask.astype(np.int64), kept))
    return _Batch(as_ids, as_mask, as_kept, places)


def _encode(job: _Job, hidden: torch.Tensor, positions: np.ndarray) -> None:
    source = job.source
    if hidden.shape[-1] != source.d_in:
        raise FeatureSourceError(
            f"the source reads hidden states of width {source.d_in}, and {source.hookpoint} has {hidden.shape[-1]}",
            hint="the feature source was made for another model or hookpoint",
        )
    for first, part in _parts(hidden, max(1, _ENCODE_VALUES // source.n_features)):
        found = source.encode_sparse(part)
        rows, features = found.row.cpu().numpy(), found.feature.cpu().numpy()
        values = found.value.float().cpu().numpy()
        job.writer.add(positions[first + rows], features, values, found.dropped)


def _parts(hidden: torch.Tensor, rows: int) -> Iterator[tuple[int, torch.Tensor]]:
    for first in range(0, hidden.shape[0], rows):
        yield first, hidden[first : first + rows]


def _finite(hidden: torch.Tensor, hookpoint: str) -> torch.Tensor:
    # A source that keeps what exceeds a threshold would quietly drop NaN: it is looked for before.
    if not bool(torch.isfinite(hidden).all()):
        raise SubjectError(
            "the subject model's hidden states are not finite", where=hookpoint, hint="load it in float32 or bfloat16"
        )
    return hidden


def _check_length(model: SubjectModel, tokens: TokenStore) -> None:
    limit = getattr(text_config(model.model), "max_position_embeddings", None)
    extra = int(tokens.bos_token_id is not None)
    longest = int(np.diff(tokens.context_starts).max()) + extra
    if isinstance(limit, int) and longest > limit:
        raise CorpusError(
            f"contexts are {longest} tokens long with BOS, and the subject model reads {limit}",
            hint=f"set corpus.context_length to at most {limit - extra}",
        )
