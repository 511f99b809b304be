"""Permutation tests of scores that stay as they are, for models without a closed form."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from fastmm._check import integer, number
from fastmm.solve.areas import roc_auc
from fastmm.solve.group_names import encode_groups
from fastmm.validate.bootstrap import one_against_rest
from fastmm.validate.permutation import PermutationTest
from fastmm.validate.shuffles import Shuffles

__all__ = ["permute_scores"]

_PIECE = 1 << 21  # elements of labels at once
_TIE = 1e-12  # what rounding may make of equal areas


def permute_scores(
    y: Any,
    score: Any,
    groups: Any = None,
    *,
    n_permutations: int = 1000,
    seed: int = 0,
    inflation: float = 1.0,
) -> PermutationTest:
    r"""Test whether scores rank the labels better than chance, by permuting patients.

    .. math:: p = \frac{1 + \#\{b : \mathrm{AUC}(\pi_b y, s) \ge \mathrm{AUC}(y, s)\}}{1 + B}

    The scores stay what they are, while the labels of whole groups are exchanged.

    Parameters
    ----------
    y : array of shape (n,)
        Labels, of any dtype; the larger one of two is positive.
    score : array of shape (n,), or (n, classes) for more than two classes
        Scores, as for `bootstrap_auc`.
    groups : array of shape (n,), optional
        Patient of each row. Default: every row its own.
    n_permutations : int, default 1000
        Number of random permutations.
    seed : int, default 0
        Seed of the permutations.
    inflation : float, default 1
        Factor of the variance of permuted areas, for scores out of fold: 1 plus
        `fastmm.validate.training_share.training_share`.

    Returns
    -------
    PermutationTest
        Area, p-value and the areas of the permutations.

    Raises
    ------
    ValueError
        If the data are not valid, or no permutation of whole patients changes the labels.

    Warns
    -----
    UserWarning
        If some patients keep their labels, since no other has as many rows.

    Notes
    -----
    Exact for scores that have not seen `y`, such as those of new patients. Out-of-fold
    scores have seen the labels of the other patients, which makes areas without signal vary
    more, wherefore `inflation`, and the p-value approximate:
    `permutation_test` repeats the fit for each permutation, where a closed form allows it.

    Examples
    --------
    >>> from fastmm.validate.score_permutation import permute_scores
    >>> permute_scores([0, 1] * 10, range(20)).pvalue > 0.1
    True
    >>> permute_scores([0, 1] * 10, [0, 1] * 10).pvalue < 0.01
    True
    """
    count = integer(n_permutations, "n_permutations")
    seed = integer(seed, "seed", minimum=0)
    more = math.sqrt(number(inflation, "inflation", minimum=1.0))
    positive, scores = one_against_rest(y, score)
    labels, n = np.unique(np.asarray(y), return_inverse=True)[1], scores.shape[-1]
    codes = np.arange(n) if groups is None else encode_groups(groups, n)
    shuffles = Shuffles(labels, codes, count, seed)
    still = shuffles.n_patients - shuffles.n_movable
    if still:
        warnings.warn(
            f"{still} of {shuffles.n_patients} patients keep their labels, which differ within "
            "patients: no other patient has as many rows.",
            stacklevel=2,
        )
    step = max(1, _PIECE // scores.size)
    named = [1] if len(positive) == 1 else range(len(positive))
    found = []
    for start in range(0, count + 1, step):
        permuted = shuffles.labels(slice(start, min(start + step, count + 1)))
        areas = [
            roc_auc(permuted == own, np.broadcast_to(line, permuted.shape))
            for own, line in zip(named, scores[:, 0], strict=True)
        ]
        found.append(np.mean(areas, axis=0))
    area = np.concatenate(found)
    area[1:] = 0.5 + more * (area[1:] - 0.5)  # permuted areas have the mean 1/2
    above = int((area[1:] >= area[0] - _TIE).sum())
    return PermutationTest(
        float(area[0]),
        (1 + above) / (1 + count),
        area[1:],
        shuffles.n_patients,
        shuffles.n_movable,
    )
