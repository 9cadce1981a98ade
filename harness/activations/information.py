"""Mutual information of yes/no events, in bits, from counts."""

from __future__ import annotations

import numpy as np

__all__ = ["binary_entropy", "positional_information"]


def binary_entropy(share: float) -> float:
    """Return the entropy of an event of probability ``share``, in bits."""
    if not 0 < share < 1:
        return 0.0
    return float(-(share * np.log2(share) + (1 - share) * np.log2(1 - share)))


def positional_information(places: np.ndarray, at_place: np.ndarray) -> float:
    """Return the bits that a token's place in its context tells about whether a feature fires on it.

    The mutual information of two discrete variables, from counts; as in Gurnee et al. 2024 (Universal Neurons in GPT2
    Language Models, section 4.2), who use a neuron's value where this uses whether it fires. Counts alone overstate it:
    a feature that fires at random has (places - 1) / (2 N ln 2) bits on average, N being the number of tokens (Miller
    1955). That is taken off, and what is then below 0 is 0.

    Args:
        places: The place of each token the feature fires on, from 0, int [n].
        at_place: How many tokens of the corpus stand at each place, int [P].
    """
    total = int(at_place.sum())
    fires = np.bincount(places, minlength=at_place.size)[: at_place.size]
    met = int(np.count_nonzero(at_place))
    information = 0.0
    for counts, share in ((fires, fires.sum() / total), (at_place - fires, 1 - fires.sum() / total)):
        there = counts > 0
        joint = counts[there] / total
        information += float((joint * np.log2(joint / (share * (at_place[there] / total)))).sum())
    return max(0.0, information - (met - 1) / (2 * total * float(np.log(2))))
