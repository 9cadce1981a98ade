"""Interventions as data, and the one way they reach a model: row by row of a batch, a whole batch being one of them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from harness.errors import FeatureSourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    import torch

    from harness.subjects.protocol import FeatureSource, Hookpoint, InterventionMode

__all__ = ["Change", "Intervention", "Steerable", "intervene_rows"]


@dataclass(frozen=True, slots=True)
class Intervention:
    """What is done to features of one source.

    Attributes:
        features: Which ones; their order and repeats mean nothing.
        mode: How their values change.
        strength: By how much, in the unit of the values.
    """

    features: tuple[int, ...]
    mode: InterventionMode
    strength: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(sorted({int(feature) for feature in self.features})))


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What an intervention does to hidden states.

    Attributes:
        read: Where they are read.
        write: Where ``delta`` of them is added; with a transform, see ``harness.subjects.hooks.writing``.
        delta: Takes hidden states [B, T, d] at ``read``, after its transform, and returns what is added at ``write``,
            float32 [B, T, d_write]. What it returns for a token depends on nothing but that token's state.
        again: A second place, later in the model, that gets the same change, or None.
    """

    read: Hookpoint
    write: Hookpoint
    delta: Callable[[torch.Tensor], torch.Tensor]
    again: Hookpoint | None = None

    @property
    def places(self) -> tuple[Hookpoint, Hookpoint, Hookpoint | None]:
        """Return where it is read, written, and written again."""
        return self.read, self.write, self.again


@runtime_checkable
class Steerable(Protocol):
    """What a feature source is besides, so that every row of a batch can have an intervention of its own.

    A class that derives from it gives ``change`` and has ``FeatureSource.intervene`` from it.
    """

    @abstractmethod
    def change(self, model: torch.nn.Module, intervention: Intervention) -> Change:
        """Return what an intervention does to the hidden states of ``model``.

        Raises:
            FeatureSourceError: If a feature is out of range, or the source cannot be steered.
        """

    def intervene(
        self, model: torch.nn.Module, features: Sequence[int], mode: InterventionMode, strength: float
    ) -> AbstractContextManager[None]:
        """Return a context in which every row has the features' values changed; see ``harness.subjects.steering``.

        Raises:
            FeatureSourceError: If a feature is out of range, or the source cannot be steered.
        """
        return _changing(self, model, [Intervention(tuple(features), mode, strength)])


def intervene_rows(
    source: FeatureSource, model: torch.nn.Module, interventions: Sequence[Intervention | None]
) -> AbstractContextManager[None]:
    """Return a context in which every row of a batch has the intervention of its own place in the list.

    Of n interventions and a batch of ``k * n`` rows, k a whole number, row j has intervention ``j // k``: so Hugging
    Face's ``generate`` repeats its rows where it returns several sequences of each or searches by beams, and one
    intervention is that of the whole batch. Whatever row it is, it becomes what it would be alone under
    ``source.intervene``, up to the rounding of the model's type. Contexts may be nested, those of a whole batch too.

    A source that has only ``intervene`` (is not ``Steerable``) takes the same intervention on all rows and no others.

    Args:
        source: Whose features.
        model: The model.
        interventions: One for each row; None leaves a row alone.

    Raises:
        FeatureSourceError: If there are none, a feature is out of range, or the source cannot do what is asked.
        SubjectError: During a forward, if the batch is not a whole multiple of the interventions.
    """
    if not interventions:
        raise FeatureSourceError("no interventions were given", hint="give one for each row, or None to leave it alone")
    if isinstance(source, Steerable):
        return _changing(source, model, interventions)
    first = interventions[0]
    if first is not None and all(one == first for one in interventions):
        return source.intervene(model, first.features, first.mode, first.strength)
    raise FeatureSourceError(
        f"a {source.kind} takes one intervention for a whole batch, and not one for each row",
        where=str(source.hookpoint),
        hint="run rows with the same intervention together, or give the source the method change (Steerable)",
    )


def _changing(
    source: Steerable, model: torch.nn.Module, interventions: Sequence[Intervention | None]
) -> AbstractContextManager[None]:
    from harness.subjects.steering import changing_rows  # noqa: PLC0415  -- plugins may import this without torch

    # Equal ones are made once, so that their rows are computed together; and at once, so that errors come now.
    made = {one: source.change(model, one) for one in dict.fromkeys(interventions) if one is not None}
    return changing_rows(model, [None if one is None else made[one] for one in interventions])
