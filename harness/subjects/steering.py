"""The one implementation of interventions: a change added at a hookpoint while the model runs, generation included.

With a feature's value ``f`` and its new value ``f'`` the hidden state ``x`` becomes ``x + (f' - f) d``, ``d`` being
what the feature writes; whatever the feature source does not explain of ``x`` stays as it was. The first token of every
row (and padding before it) is left alone: it is an attention sink, and changing it breaks the model rather than
steering it. It is known by its absolute position, so that the one token of each cached decoding step is not mistaken
for it.
"""

from __future__ import annotations

import inspect
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch

from harness.errors import SubjectError
from harness.subjects.hooks import on_hookpoint, reading, writing
from harness.subjects.protocol import InterventionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.subjects.interventions import Change
    from harness.subjects.protocol import Hookpoint

__all__ = ["changed_values", "changing", "changing_rows"]


def changed_values(values: torch.Tensor, mode: InterventionMode, strength: float) -> torch.Tensor:
    """Return the new feature values for the old ones, as a new tensor."""
    if mode is InterventionMode.ADD:
        return values + strength
    if mode is InterventionMode.SET:
        return torch.full_like(values, strength)
    if mode is InterventionMode.SCALE:
        return values * strength
    return torch.zeros_like(values)


@contextmanager
def changing_rows(model: torch.nn.Module, changes: Sequence[Change | None]) -> Iterator[None]:
    """Hold a context in which every row of a batch has the change of its own place in the list, None being none.

    A batch may be a whole multiple of the changes, each then standing for as many rows in a row.

    Args:
        model: The model.
        changes: The changes; of those that are one object the rows are computed together.

    Raises:
        SubjectError: As ``changing``; during a forward, if the batch is no whole multiple of the changes.
    """
    with ExitStack() as places:
        for read, write, again in dict.fromkeys(change.places for change in changes if change is not None):
            here = [
                change.delta if change is not None and change.places == (read, write, again) else None
                for change in changes
            ]
            places.enter_context(changing(model, read=read, write=write, change=_by_rows(here), again=again))
        yield


@contextmanager
def changing(
    model: torch.nn.Module,
    *,
    read: Hookpoint,
    write: Hookpoint,
    change: Callable[[torch.Tensor], torch.Tensor],
    again: Hookpoint | None = None,
) -> Iterator[None]:
    """Hold a context in which every forward of ``model`` has ``change(x_read)`` added at ``write``.

    ``change`` takes the hidden states [B, T, d] at ``read``, after its transform, and returns float32 [B, T, d_write];
    the sum is made in float32 and given back in the model's own type, as a new tensor. Contexts may be nested; the
    inner one reads what the outer one wrote.

    Args:
        model: The model.
        read: Where it reads.
        write: Where it writes; with a transform, see ``harness.subjects.hooks.writing``.
        change: What is added.
        again: A second place, later in the model, that gets the same change.

    Raises:
        SubjectError: If a module does not exist, or runs outside a forward pass of the model.
    """
    positions = _FirstTokens()
    view = reading(model, read)
    place, gain = writing(model, write)
    pending: list[torch.Tensor] = []
    written: list[torch.Tensor] = []

    def remember(hidden: torch.Tensor) -> None:
        pending[:] = [change(view(hidden))]

    def added(hidden: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
        changed = (hidden.float() + delta).to(hidden.dtype)
        return torch.where(positions.mask(hidden)[..., None], hidden, changed)

    def add(hidden: torch.Tensor) -> torch.Tensor:
        if read.plain != place and not pending:
            raise SubjectError(f"'{write}' runs before '{read}', so nothing can be carried from one to the other")
        delta = change(view(hidden)) if read.plain == place else pending.pop()
        written[:] = [delta if gain is None else delta * gain]
        return added(hidden, written[0])

    with ExitStack() as hooks:
        hooks.enter_context(positions.watching(model))
        if read.plain != place:
            hooks.enter_context(on_hookpoint(model, read, remember))
        hooks.enter_context(on_hookpoint(model, place, add))
        if again is not None:
            hooks.enter_context(on_hookpoint(model, again, lambda hidden: added(hidden, written.pop())))
        yield


def _by_rows(
    deltas: Sequence[Callable[[torch.Tensor], torch.Tensor] | None],
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the function of a batch that gives every row what its own function gives; at least one is not None."""
    places: dict[Callable[[torch.Tensor], torch.Tensor], list[int]] = {}
    for place, delta in enumerate(deltas):
        if delta is not None:
            places.setdefault(delta, []).append(place)

    def of_batch(hidden: torch.Tensor) -> torch.Tensor:
        repeats, left_over = divmod(len(hidden), len(deltas))
        if left_over or not repeats:
            raise SubjectError(
                f"a batch of {len(hidden)} rows cannot have {len(deltas)} interventions",
                hint="give one for each row; where generate repeats each row k times, the batch is k times as long",
            )
        whole: torch.Tensor | None = None
        for delta, here in places.items():
            if len(here) == len(deltas):
                return delta(hidden)
            rows = torch.tensor([place * repeats + copy for place in here for copy in range(repeats)])
            rows = rows.to(hidden.device)
            part = delta(hidden[rows])
            whole = part.new_zeros(len(hidden), *part.shape[1:]) if whole is None else whole
            whole[rows] = part
        assert whole is not None  # noqa: S101  -- at least one is not None
        return whole

    return of_batch


class _FirstTokens:
    """Knows which positions [B, T] of the running forward hold a row's first token, or padding before it."""

    def __init__(self) -> None:
        self._mask: torch.Tensor | None = None

    @contextmanager
    def watching(self, model: torch.nn.Module) -> Iterator[None]:
        """Hold a context in which every forward of ``model`` (or of the base model alone) is looked at first."""
        base = getattr(model, "base_model", model)
        signature = inspect.signature(base.forward)

        def before(_module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._mask = _first_tokens(signature.bind_partial(*args, **kwargs).arguments)

        handle = base.register_forward_pre_hook(before, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def mask(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the mask for hidden states [B, T, d], true where they must stay as they are."""
        if self._mask is None or self._mask.shape != hidden.shape[:-1]:
            raise SubjectError(
                f"hidden states of shape {tuple(hidden.shape)} do not line up with the tokens of the input"
            )
        return self._mask.to(hidden.device)


def _first_tokens(arguments: dict[str, Any]) -> torch.Tensor:
    inputs = arguments.get("input_ids")
    inputs = arguments.get("inputs_embeds") if inputs is None else inputs
    if not isinstance(inputs, torch.Tensor):
        raise SubjectError("a forward pass without input_ids or inputs_embeds cannot be steered")
    n_rows, n_tokens = inputs.shape[:2]
    # Positions are counted from the start of the sequence: a decoding step of a cached generation begins late.
    start = next((int(cache.get_seq_length()) for cache in _caches(arguments)), 0)
    position = torch.arange(start, start + n_tokens, device=inputs.device)
    mask = arguments.get("attention_mask")
    if isinstance(mask, dict):  # one for each kind of layer, which see the same padding
        mask = next((one for one in mask.values() if one is not None), None)
    if mask is None:
        return (position <= 0).expand(n_rows, -1)
    if not isinstance(mask, torch.Tensor) or mask.ndim not in {2, 4}:
        raise SubjectError(
            f"an attention mask that is a {type(mask).__name__} does not say where a row begins",
            hint="give the model 1 for tokens and 0 for padding, [rows, tokens]",
        )
    if mask.ndim == 2:  # noqa: PLR2004  -- 1 for tokens and 0 for padding, those of earlier forwards included
        return position <= (mask != 0).long().argmax(dim=1, keepdim=True)
    # Prepared, as for caches of a fixed size: what each token [B, heads, T] sees of all positions. A token that sees
    # none before its own is its row's first, or padding.
    sees = mask[:, 0] > torch.finfo(mask.dtype).min / 2 if mask.is_floating_point() else mask[:, 0] != 0
    before = torch.arange(mask.shape[-1], device=mask.device) < position[:, None].to(mask.device)
    return ~(sees & before).any(dim=-1).expand(n_rows, -1)


def _caches(arguments: dict[str, Any]) -> Iterator[Any]:
    """Yield what knows how many tokens came before: ``past_key_values`` or ``cache``, as transformers' versions say."""
    # Known by what it can do: under a name not looked for, every decoding step would pass for a row's first token.
    for value in (*arguments.values(), *arguments.get("kwargs", {}).values()):
        if hasattr(value, "get_seq_length"):
            yield value
