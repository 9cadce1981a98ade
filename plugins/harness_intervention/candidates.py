"""Which tokens are asked about: promoted ones, and as likely ones that are not promoted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.api import generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import SubjectAccess

__all__ = ["BOTH", "LOGIT_WEIGHTS", "MEASURED", "NOT_PROMOTED", "Candidate", "Candidates", "find_candidates"]

LOGIT_WEIGHTS, MEASURED, BOTH, NOT_PROMOTED = "logit_weights", "measured", "both", "not_promoted"

_PROMOTED_SHARE = 20  # the top twentieth by logit weights is not drawn from
_LEAST_PROMOTED = 100
_LOOKED_AT = 400  # nearest tokens whose texts are looked at, for one of the same shape
_POOL = 25  # nearest ones of the same shape that one is drawn from
_BROKEN = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One token, its text, and why it is here."""

    token: int
    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Candidates:
    """The tokens to be asked about.

    Attributes:
        promoted: Promoted tokens, those of the logit weights first.
        others: One token for each of them that is as likely and not promoted; fewer if there are none left.
        unreadable: Promoted tokens that are no text by themselves (pieces of a character, blanks) and are left out.
    """

    promoted: tuple[Candidate, ...]
    others: tuple[Candidate, ...]
    unreadable: int


async def find_candidates(
    subject: SubjectAccess,
    feature: int,
    clean: np.ndarray,
    steered: np.ndarray | None,
    *,
    most: int,
    seed: int,
) -> Candidates:
    """Return the tokens to be asked about.

    Promoted are the ``most`` tokens whose logit the write direction raises most, and the ``most`` whose log-probability
    steering raises most, in the mean over prompts. For each, another token is drawn by ``seed`` that is not promoted
    (its log-probability rises no more than the median token's, and it is not in the top twentieth by logit weights),
    has the same shape (blank before it, letters or not, capital), and is about as likely to the model as it is.

    Args:
        subject: The subject.
        feature: The feature.
        clean: Log-probabilities of next tokens as the model is, float32 [prompts, n_tokens].
        steered: The same with the feature raised; None if it could not be.
        most: Tokens from each source.
        seed: Of the draws.
    """
    n_tokens = clean.shape[-1]
    usual = clean.mean(axis=0, dtype=np.float64)
    shift = None if steered is None else steered.mean(axis=0, dtype=np.float64) - usual
    excluded = min(max(_LEAST_PROMOTED, n_tokens // _PROMOTED_SHARE), n_tokens // 2)
    by_weights = await subject.promoted_tokens(feature, max(most, excluded))
    weights = [token for token, _, _ in by_weights or ()]
    measured = [] if shift is None else _rising(shift, most)
    kinds = dict.fromkeys(weights[:most], LOGIT_WEIGHTS)
    for token in measured:
        kinds[token] = BOTH if token in kinds else MEASURED
    named = [Candidate(token, subject.token_texts([token])[0], kind) for token, kind in kinds.items()]
    promoted = [one for one in named if _readable(one.text)]
    barred = np.zeros(n_tokens, dtype=bool)
    barred[[*weights, *kinds]] = True
    if shift is not None:
        barred |= shift > np.median(shift)
    others = _others(subject, promoted, usual, barred, seed)
    return Candidates(tuple(promoted), others, len(named) - len(promoted))


def _rising(shift: np.ndarray, most: int) -> list[int]:
    """Return the tokens that rise most, of equal ones the lower id first."""
    order = np.argsort(-shift, kind="stable")[:most]
    return [int(token) for token in order if shift[token] > 0]


def _others(
    subject: SubjectAccess, promoted: Sequence[Candidate], usual: np.ndarray, barred: np.ndarray, seed: int
) -> tuple[Candidate, ...]:
    found: list[Candidate] = []
    free = ~barred
    texts = {one.text.strip().lower() for one in promoted}
    for one in promoted:
        distance = np.where(free, np.abs(usual - usual[one.token]), np.inf)
        nearest = np.argsort(distance, kind="stable")[:_LOOKED_AT]
        ids = [int(token) for token in nearest if free[token]]
        # A form of a promoted word is no token that is not promoted, whatever its own number says.
        near = [
            Candidate(token, text, NOT_PROMOTED)
            for token, text in zip(ids, subject.token_texts(ids), strict=True)
            if _readable(text) and text.strip().lower() not in texts
        ]
        pool = ([other for other in near if _shape(other.text) == _shape(one.text)] or near)[:_POOL]
        if pool:
            chosen = pool[int(generator(seed, "other tokens", one.token).integers(len(pool)))]
            found.append(chosen)
            free[chosen.token] = False
    return tuple(found)


def _readable(text: str) -> bool:
    return bool(text.strip()) and _BROKEN not in text


def _shape(text: str) -> tuple[bool, bool, bool, bool]:
    word = text.strip()
    return text[:1].isspace(), word.isalpha(), word.isdigit(), word[:1].isupper()
