"""Which tokens are asked about: promoted ones, and as likely ones that are not promoted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.api import PROMOTED_LOOKED_AT, generator, readable_token, told_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.api import SubjectAccess

__all__ = ["BOTH", "LOGIT_WEIGHTS", "MEASURED", "NOT_PROMOTED", "Candidate", "Candidates", "find_candidates"]

LOGIT_WEIGHTS, MEASURED, BOTH, NOT_PROMOTED = "logit_weights", "measured", "both", "not_promoted"

_PROMOTED_SHARE = 20  # the top twentieth by logit weights is not drawn from
_LEAST_PROMOTED = 100
_LOOKED_AT = 400  # nearest tokens whose texts are looked at, for one of the same shape; rising ones, for some not told
_POOL = 25  # nearest ones of the same shape that one is drawn from


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
        others: For each of them, in the same order, one that is as likely, of the same shape and not promoted.
        told: Promoted tokens passed over, as explainers are told them, or a text that holds theirs.
        unreadable: Promoted tokens that are no text by themselves (pieces of a character, blanks) and are left out.
        unmatched: Promoted tokens left out because no other token has their shape.
    """

    promoted: tuple[Candidate, ...]
    others: tuple[Candidate, ...]
    told: int
    unreadable: int
    unmatched: int


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
    steering raises most, in the mean over prompts, in both cases without those that any explainer is told. For each,
    another token is drawn by ``seed`` that is not promoted (its log-probability rises no more than the median token's,
    and it is not in the top twentieth by logit weights), has the same shape (blank before it, letters or not, capital),
    and is about as likely to the model as it is.

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
    excluded = max(most, min(max(_LEAST_PROMOTED, n_tokens // _PROMOTED_SHARE), n_tokens // 2))
    by_weights = await subject.promoted_tokens(feature, max(excluded, PROMOTED_LOOKED_AT)) or ()
    looked_at = [text for _, text, _ in by_weights[:PROMOTED_LOOKED_AT]]
    told = _Told(looked_at[place] for place in told_tokens(looked_at, feature))
    weights = [token for token, _, _ in by_weights[:excluded]]
    kinds = dict.fromkeys(told.not_told(subject, weights, most), LOGIT_WEIGHTS)
    for token in told.not_told(subject, [] if shift is None else _rising(shift), most):
        kinds[token] = BOTH if token in kinds else MEASURED
    named = [Candidate(token, subject.token_texts([token])[0], kind) for token, kind in kinds.items()]
    promoted = [one for one in named if readable_token(one.text)]
    barred = np.zeros(n_tokens, dtype=bool)
    barred[[*weights, *kinds]] = True
    if shift is not None:
        barred |= shift > np.median(shift)
    found = _pairs(subject, promoted, told, usual, barred, seed)
    return Candidates(
        promoted=tuple(one for one, _ in found),
        others=tuple(other for _, other in found),
        told=len(told.met),
        unreadable=len(named) - len(promoted),
        unmatched=len(promoted) - len(found),
    )


class _Told:
    """What explainers are told, and which tokens were passed over for it."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._words = {text.strip().lower() for text in texts if readable_token(text)}
        self.met: set[int] = set()

    def __contains__(self, text: str) -> bool:
        """Return whether a token can be found in what was told, as a whole or as a part of it."""
        return readable_token(text) and any(text.strip().lower() in word for word in self._words)

    def not_told(self, subject: SubjectAccess, ranked: Sequence[int], most: int) -> list[int]:
        """Return the first ``most`` of ``ranked`` that are not told."""
        kept: list[int] = []
        for token in ranked:
            if len(kept) == most:
                break
            if subject.token_texts([token])[0] in self:
                self.met.add(token)
            else:
                kept.append(token)
        return kept


def _rising(shift: np.ndarray) -> list[int]:
    """Return the tokens that rise, those that rise most first, of equal ones the lower id."""
    order = np.argsort(-shift, kind="stable")[:_LOOKED_AT]
    return [int(token) for token in order if shift[token] > 0]


def _pairs(
    subject: SubjectAccess, promoted: Sequence[Candidate], told: _Told, usual: np.ndarray, barred: np.ndarray, seed: int
) -> list[tuple[Candidate, Candidate]]:
    found = []
    free = ~barred
    texts = {one.text.strip().lower() for one in promoted}
    for one in promoted:
        distance = np.where(free, np.abs(usual - usual[one.token]), np.inf)
        nearest = np.argsort(distance, kind="stable")[:_LOOKED_AT]
        ids = [int(token) for token in nearest if free[token]]
        # A form of a promoted word is no token that is not promoted, whatever its own number says. One of another shape
        # would be told by its shape: "a number" is then all an explanation needs to say.
        pool = [
            Candidate(token, text, NOT_PROMOTED)
            for token, text in zip(ids, subject.token_texts(ids), strict=True)
            if _shape(text) == _shape(one.text)
            and readable_token(text)
            and text.strip().lower() not in texts
            and text not in told
        ][:_POOL]
        if pool:
            chosen = pool[int(generator(seed, "other tokens", one.token).integers(len(pool)))]
            found.append((one, chosen))
            free[chosen.token] = False
    return found


def _shape(text: str) -> tuple[bool, bool, bool, bool]:
    word = text.strip()
    return text[:1].isspace(), word.isalpha(), word.isdigit(), word[:1].isupper()
