"""From a tokenised corpus to activation stores: one forward pass per subject model, for all its feature sources."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harness.activations.cachedir import ACTIVATIONS_FOLDER
from harness.activations.context_sample import MOST_KEPT, STRONGEST_CONTEXTS
from harness.activations.donors import find_donor
from harness.activations.spans import cut_spans, plan_batches
from harness.activations.store import FORMAT, KIND, ActivationStore
from harness.activations.unfinished import unfinished
from harness.activations.writer import ENTRY_BYTES, ActivationWriter
from harness.errors import CorpusError, FeatureSourceError, MaterialError, SubjectError
from harness.identity import canonical_json, fingerprint, plain
from harness.progress import SILENT
from harness.subjects.architecture import text_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.activations.spans import Span
    from harness.activations.tokens import TokenStore
    from harness.activations.unfinished import Unfinished
    from harness.progress import Progress, ProgressTask
    from harness.subjects.model import SubjectModel
    from harness.subjects.protocol import FeatureSource

__all__ = ["MEMORY_BUDGET", "StoreRequest", "open_stores", "store_identity"]

MEMORY_BUDGET = 1 << 30
"""Bytes of working memory, beside the models and their forward pass."""

_WAITING = "another process collects the same activations: waiting for it"
_ENCODED_AT_ONCE = 1 << 23
"""Feature values computed at once. It is fixed, as the last digits of values may depend on it."""
_ENCODE_BYTES = 32 * _ENCODED_AT_ONCE
"""Memory that this may take, if every value is active."""


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

    ``ids``, ``mask`` and ``kept`` are [rows, length]; ``positions`` are those of the kept ones in the corpus, [N], and
    ``ends`` says where each context ends among them, [rows].
    """

    ids: torch.Tensor
    mask: torch.Tensor
    kept: torch.Tensor
    positions: np.ndarray
    ends: np.ndarray


@dataclass(frozen=True)
class _Job:
    """A store that is being made."""

    source: FeatureSource
    writer: ActivationWriter
    meta: Mapping[str, Any]
    place: Unfinished


def open_stores(
    requests: Sequence[StoreRequest],
    tokens: TokenStore,
    cache: Path,
    batch_tokens: int,
    progress: Progress = SILENT,
    memory: int = MEMORY_BUDGET,
) -> dict[str, ActivationStore]:
    """Return the activation store of every requested subject, by its name; those the cache lacks are made now.

    Models are loaded only if a store is missing, and all missing stores of one model are made in one pass over the
    corpus. The pass goes span by span: it goes on after the last span that an interrupted one committed, and takes over
    the spans that a store of the same subject on a shorter corpus has, so that ``n_tokens`` can grow. The bytes are
    those of one pass over everything.

    Args:
        requests: The subjects.
        tokens: The tokenised corpus.
        cache: The cache folder; a store goes to ``activations/<fingerprint>`` in it.
        batch_tokens: Positions per forward pass, padding included; it bounds memory and is no part of the identity.
        progress: Where to show the work.
        memory: Bytes to work with at a time, beside the models and their forward pass.

    Raises:
        CorpusError: If the contexts are longer than the model can read.
        FeatureSourceError: If a source does not fit the model or gives values that are not finite.
        MaterialError: If a stored artefact is damaged, or the cache cannot be written or is full; what was collected is
            then kept, and the next call goes on from there.
        SubjectError: If the model's hidden states are not finite.
    """
    folders = {request.subject: _folder(request, tokens, cache) for request in requests}
    # Two names of one subject are one store.
    missing = {folders[request.subject]: request for request in requests if not folders[request.subject].exists()}
    groups: dict[str, dict[Path, StoreRequest]] = {}
    for folder, request in missing.items():
        groups.setdefault(canonical_json(request.identity.get("model", dict(request.identity))), {})[folder] = request
    for group in groups.values():
        _make(group, tokens, batch_tokens, progress, memory)
    return {
        request.subject: ActivationStore(
            folders[request.subject],
            identity=store_identity(request, tokens),
            context_starts=tokens.context_starts,
        )
        for request in requests
    }


def store_identity(request: StoreRequest, tokens: TokenStore) -> dict[str, Any]:
    """Return the plain data that determines a subject's activations on a tokenised corpus."""
    return {
        "kind": KIND,
        "format": FORMAT,
        "tokens": tokens.fingerprint,
        "subject": plain(dict(request.identity)),
        "sampling": {"most_kept": MOST_KEPT, "strongest_contexts": STRONGEST_CONTEXTS},
    }


def _folder(request: StoreRequest, tokens: TokenStore, cache: Path) -> Path:
    return cache / ACTIVATIONS_FOLDER / fingerprint(store_identity(request, tokens))


def _make(
    group: Mapping[Path, StoreRequest], tokens: TokenStore, batch_tokens: int, progress: Progress, memory: int
) -> None:
    with ExitStack() as stack:
        places: dict[Path, Unfinished] = {}
        for folder in sorted(group):  # every process takes the locks in this order, so that none waits in a circle
            place = stack.enter_context(unfinished(folder, lambda: progress.say(_WAITING)))
            if place is not None:
                places[folder] = place
        if not places:
            return  # another process made them all meanwhile
        loaded = {folder: group[folder].load() for folder in places}
        model = next(iter(loaded.values()))[0]
        _check_length(model, tokens)
        spans = cut_spans(tokens)
        jobs = []
        for folder, place in places.items():
            request, source = group[folder], loaded[folder][1].to(torch.device(model.device))
            writer = ActivationWriter(
                place.folder,
                source.n_features,
                tokens.n_tokens,
                request.subject,
                run_entries=max(1, max(memory - _ENCODE_BYTES, memory // 4) // len(places) // ENTRY_BYTES),
                context_starts=tokens.context_starts,
                most_kept=MOST_KEPT,
                strongest=STRONGEST_CONTEXTS,
                made_with=f"batches of {batch_tokens}",
            )
            stack.enter_context(closing(writer))
            meta = {
                "identity": store_identity(request, tokens),
                "fingerprint": folder.name,
                "subject": request.subject,
                "batch_tokens": batch_tokens,
            }
            jobs.append(_Job(source, writer, meta, place))
            _begin(jobs[-1], spans, tokens, progress)
        names = ", ".join(group[folder].subject for folder in places)
        with progress.task(f"collecting activations ({names})", tokens.n_tokens, "tokens") as bar:
            _read(model, jobs, tokens, spans, batch_tokens, bar)
        for job in jobs:
            job.writer.finish(job.meta)
            job.place.publish()


def _begin(job: _Job, spans: Sequence[Span], tokens: TokenStore, progress: Progress) -> None:
    """Let a job begin with what is there already: what an interrupted one left, or what another store has."""
    subject = job.meta["subject"]
    if job.writer.spans_done:
        done = job.writer.spans_done[-1].end
        progress.say(f"{subject}: going on after {done:,} of {tokens.n_tokens:,} tokens that were collected before")
        return
    if job.writer.begun_again:
        progress.say(f"{subject}: what was collected before is damaged or of other batches, and is made again")
    stores = job.place.final.parent
    donor = find_donor(stores, job.meta["identity"], job.meta["batch_tokens"], spans, tokens.context_starts)
    if donor is None:
        return
    try:
        donor.give(job.writer)
    except MaterialError as error:
        # Whatever was written of it is forgotten with the writer's state, which was not committed.
        job.writer.start_over()
        progress.say(f"{subject}: another store of it is damaged and is not used ({error.what})")
        return
    progress.say(f"{subject}: took over {donor.n_tokens:,} tokens from a store of the same subject")


def _read(
    model: SubjectModel,
    jobs: Sequence[_Job],
    tokens: TokenStore,
    spans: Sequence[Span],
    batch_tokens: int,
    bar: ProgressTask,
) -> None:
    lengths = np.diff(tokens.context_starts)
    extra = int(tokens.bos_token_id is not None)
    for number, span in enumerate(spans):
        wanting = [job for job in jobs if len(job.writer.spans_done) <= number]
        if not span.whole:
            for job in wanting:
                job.writer.settle()
        hookpoints = list(dict.fromkeys(job.source.hookpoint for job in wanting))
        if not wanting:
            bar.advance(span.n_tokens)
            continue
        with torch.inference_mode():
            for rows in plan_batches(lengths[span.first : span.last], batch_tokens, extra):
                contexts = span.first + rows
                batch = _batch(tokens, contexts, lengths[contexts], torch.device(model.device))
                hidden = model.hidden_states(batch.ids, batch.mask, hookpoints)
                states = {hookpoint: _finite(hidden[hookpoint][batch.kept], str(hookpoint)) for hookpoint in hookpoints}
                for job in wanting:
                    _encode(job, states[job.source.hookpoint], batch)
                bar.advance(batch.positions.size)
        for job in wanting:
            job.writer.end_span(span.digest, span.end)


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
    return _Batch(as_ids, as_mask, as_kept, places, np.cumsum(lengths))


def _encode(job: _Job, hidden: torch.Tensor, batch: _Batch) -> None:
    source = job.source
    if hidden.shape[-1] != source.d_in:
        raise FeatureSourceError(
            f"the source reads hidden states of width {source.d_in}, and {source.hookpoint} has {hidden.shape[-1]}",
            hint="the feature source was made for another model or hookpoint",
        )
    for first, last, more in _parts(batch.ends, max(1, _ENCODED_AT_ONCE // source.n_features)):
        found = source.encode_sparse(hidden[first:last])
        rows, features = found.row.cpu().numpy(), found.feature.cpu().numpy()
        values = found.value.float().cpu().numpy()
        job.writer.add(batch.positions[first + rows], features, values, found.dropped, more=more)


def _parts(ends: np.ndarray, rows: int) -> Iterator[tuple[int, int, bool]]:
    """Yield the bounds of parts of at most ``rows`` rows, and whether the next one goes on in the same context.

    Contexts that fit are kept whole, so that a run on disk ends with a context.
    """
    first, total = 0, int(ends[-1])
    while first < total:
        fitting = int(np.searchsorted(ends, first + rows, side="right")) - 1
        last = int(ends[fitting]) if fitting >= 0 else 0
        if last <= first:  # not even one context fits
            last = min(first + rows, total)
        yield first, last, bool(last not in ends)
        first = last


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
