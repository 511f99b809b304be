"""Permutation tests of closed-form models, without a refit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmm._check import integer, one_of
from fastmm.solve.scoring import best_of
from fastmm.validate.linear_maps import LinearMap, linear_map
from fastmm.validate.permuted_scores import PatientScores, refuse_more_values, row_scores
from fastmm.validate.shuffles import Shuffles

__all__ = ["PermutationTest", "permutation_test"]

_WIDEST = 1 << 25  # elements of held-out predictions at once: 256 MB
_TIE = 1e-9  # relative difference that rounding may make of equal scores


@dataclass(frozen=True)
class PermutationTest:
    """What a permutation test found.

    Attributes
    ----------
    score : float
        Cross-validated score with the labels as they are.
    pvalue : float
        Share of permutations with as high a score, the real labels counted among them.
    permuted_scores : array of shape (n_permutations,), float64
        Cross-validated scores with permuted labels.
    n_patients, n_movable : int
        How many patients there are, and how many of them could exchange labels.
    """

    score: float
    pvalue: float
    permuted_scores: np.ndarray[Any, Any]
    n_patients: int
    n_movable: int


def permutation_test(
    estimator: Any,
    X: Any,
    y: Any,
    groups: Any = None,
    *,
    sample_weight: Any = None,
    n_permutations: int = 1000,
    scoring: str | None = None,
    search: str = "repeat",
    seed: int = 0,
) -> PermutationTest:
    r"""Test whether a cross-validated score is better than chance, by permuting patients.

    Held-out predictions of a ridge model, of kernel ridge and of an LS-SVM are linear in
    the labels: M(alpha) y, with M known from one factorisation. Permuted labels are more
    right-hand sides of the same products:

    .. math:: p = \frac{1 + \#\{b : T(\pi_b y) \ge T(y)\}}{1 + B},
        \quad T(y) = \max_\alpha \mathrm{score}(M(\alpha) y, y)

    Parameters
    ----------
    estimator : estimator
        Ridge, RidgeCV, RidgeClassifier, RidgeClassifierCV, KernelRidge, KernelRidgeCV, LSSVC
        or LSSVCCV. Its parameters, also those of its search and of its folds; it stays as it is.
    X : array of shape (n, d)
        Rows of features, NumPy or CuPy.
    y : array of shape (n,)
        Labels or targets. Where they are constant within patients, patients exchange
        them freely. Else the labels of a patient move as a block, in the order of the
        rows, between patients with as many rows; the others keep theirs.
    groups : array of shape (n,), optional
        Patient of each row. Default: every row its own, which is valid only if rows are
        independent.
    sample_weight : array of shape (n,), optional
        Weights of fit and score, which stay with the rows of `X`.
    n_permutations : int, default 1000
        Number of random permutations.
    scoring : str, optional
        Score, as the searches know it. Default: that of the estimator, else "roc_auc"
        for classes and "neg_mean_squared_error" for numbers.
    search : {"repeat", "fixed"}, default "repeat"
        "repeat" chooses the best candidate anew for each permutation, as it was chosen
        for the real labels: a valid test of the whole procedure. "fixed" keeps the
        candidate that is best for the real labels; that choice favours them, so the
        p-value is too small where there was more than one candidate.
    seed : int, default 0
        Seed of the permutations.

    Returns
    -------
    PermutationTest
        Score, p-value and the scores of the permutations.

    Raises
    ------
    ValueError
        If the data are not valid, the estimator weights classes, or no permutation of
        whole patients changes the labels.
    TypeError
        If the estimator is of another kind.

    Warns
    -----
    UserWarning
        If some patients keep their labels, since no other has as many rows.

    Notes
    -----
    The test is exact: under the hypothesis that labels and features are independent, and
    the labels of patients exchangeable, P(pvalue <= t) <= t at any sample size, since
    `score` and `permuted_scores` are made by the same steps. Choosing `gamma` is repeated
    too; what does not look at labels, such as ``gamma="scale"``, is not.

    For labels constant within patients the cost is one fit with one right-hand side for
    each patient, and small products; else one with as many as there are permutations.
    Areas are computed as in the searches, from predictions less the mean that their fold
    was trained on.

    References
    ----------
    .. [1] Ojala, M., & Garriga, G. C. (2010). Permutation tests for studying classifier
       performance. Journal of Machine Learning Research, 11, 1833-1863.
    .. [2] Phipson, B., & Smyth, G. K. (2010). Permutation p-values should never be zero.
       Statistical Applications in Genetics and Molecular Biology, 9(1), 39.
       https://doi.org/10.2202/1544-6115.1585

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import RidgeCV
    >>> from fastmm.validate.permutation import permutation_test
    >>> rng = np.random.default_rng(0)
    >>> patient = np.repeat(np.arange(20), 3)
    >>> X = rng.normal(size=(60, 5))
    >>> y = np.repeat(np.arange(20) % 2, 3)
    >>> permutation_test(RidgeCV(), X + y[:, None], y, patient).pvalue < 0.01
    True
    """
    count = integer(n_permutations, "n_permutations")
    seed = integer(seed, "seed", minimum=0)
    one_of(search, "search", ("repeat", "fixed"))
    held = linear_map(estimator, X, y, groups, sample_weight, scoring)
    refuse_more_values(held)
    shuffles = Shuffles(held.labels, held.patients, count, seed)
    still = shuffles.n_patients - shuffles.n_movable
    if still:
        warnings.warn(
            f"{still} of {shuffles.n_patients} patients keep their labels, which differ within "
            "patients: no other patient has as many rows.",
            stacklevel=2,
        )
    scores = np.stack(list(_scores(held, shuffles)))
    if search == "repeat":
        best_of(scores[:, 0])  # refuses what overflows
        found = scores.max(axis=0)
    else:
        found = scores[best_of(scores[:, 0])]
    best_of(found)
    above = int((found[1:] >= found[0] - _TIE * abs(found[0])).sum())
    return PermutationTest(
        float(found[0]),
        (1 + above) / (1 + count),
        found[1:],
        shuffles.n_patients,
        shuffles.n_movable,
    )


def _scores(held: LinearMap, shuffles: Shuffles) -> Iterator[np.ndarray[Any, Any]]:
    """Yield, for each candidate, the scores of all permutations (1 + permutations,)."""
    n, count = len(held.labels), len(shuffles.order)
    k = max(1, held.n_classes if held.n_classes > 2 else 1)
    if shuffles.constant and shuffles.n_patients <= count * k:
        members = (held.patients[:, None] == np.arange(shuffles.n_patients)).astype(np.float64)
        scores = PatientScores(held, shuffles, members)
        for moved in held.held_out(members):
            yield scores.of(moved)
        return
    step = max(1, _WIDEST // (n * k))
    parts = [
        list(row_scores(held, shuffles.labels(slice(start, start + step))))
        for start in range(0, count, step)
    ]
    for same in zip(*parts, strict=True):
        yield np.concatenate(same)
