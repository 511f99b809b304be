"""Folds of whole groups: what is left out together in cross-validation."""

from __future__ import annotations

import warnings
from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import integer
from fastmm.solve._inputs import host
from fastmm.solve.group_names import encode_groups

__all__ = [
    "Folds",
    "batches_of",
    "encode_groups",
    "fold_shares",
    "less_training_means",
    "make_folds",
    "training_means",
]

_TIE = 12  # decimals, relative to the targets, beyond which predictions differ by rounding


class Folds(NamedTuple):
    """A partition of the rows into folds.

    Parameters
    ----------
    codes : array of shape (n,), intp, on the host
        Fold of each row, 0 to `n_folds` - 1.
    n_folds : int
        Number of folds.
    batches : tuple of arrays of shape (folds, size), intp, on the host
        Rows of the folds, those of equal size together, so that one batched solve
        serves them all.
    """

    codes: np.ndarray[Any, Any]
    n_folds: int
    batches: tuple[np.ndarray[Any, Any], ...]


def make_folds(
    n: int,
    groups: Any = None,
    cv: Any = None,
    y: Any = None,
    weight: np.ndarray[Any, Any] | None = None,
) -> Folds:
    """Partition `n` rows into folds that never split a group.

    Parameters
    ----------
    n : int
        Number of rows.
    groups : array of shape (n,), optional
        Group of each row, of any dtype. Default: every row is a group.
    cv : None, int, splitter or iterable of (train, test), optional
        None leaves one group out at a time. An int k makes k folds of whole groups: the
        groups, largest first (ties in order of appearance), go each to the fold with the
        fewest rows so far (ties to the first). A scikit-learn splitter, or its splits,
        must test each row once and train on all others.
    y : array of shape (n,), optional
        Labels, for splitters that stratify.
    weight : array of shape (n,), optional, on the host
        Weight of each row.

    Returns
    -------
    Folds
        The partition.

    Raises
    ------
    ValueError
        If `groups` has another length, an empty or missing name or only one group, if
        there are fewer groups than folds, if the splits of `cv` overlap, leave rows out
        or split a group, or if all weight lies in one fold.
    TypeError
        If `cv` is of another type.

    Examples
    --------
    >>> make_folds(5, groups=["b", "a", "b", "c", "a"]).codes
    array([0, 1, 0, 2, 1])
    >>> make_folds(5, groups=["b", "a", "b", "c", "a"], cv=2).codes
    array([0, 1, 0, 0, 1])
    """
    codes = np.arange(n) if groups is None else encode_groups(groups, n)
    count = int(codes.max()) + 1
    if count < 2:
        what = "samples" if groups is None else "groups"
        raise ValueError(f"Cross-validation needs at least 2 {what}, got n_{what} = {count}.")
    if cv is not None:
        if not isinstance(cv, (str, bytes)) and (hasattr(cv, "split") or hasattr(cv, "__iter__")):
            codes = _codes_of_splits(cv, n, y, groups, codes)
        else:
            codes = _balance(codes, count, integer(cv, "cv", minimum=2))[codes]
        count = int(codes.max()) + 1
    if weight is not None and np.count_nonzero(np.bincount(codes, weights=weight)) < 2:
        raise ValueError(
            "`sample_weight` must be positive in at least 2 folds, else nothing is left to "
            "train on."
        )
    return Folds(codes, count, batches_of(codes, count))


def batches_of(codes: np.ndarray[Any, Any], count: int) -> tuple[np.ndarray[Any, Any], ...]:
    """Return the rows of folds 0 to `count` - 1, none of them empty, as in `Folds`.

    Parameters
    ----------
    codes : array of shape (n,), intp, on the host
        Fold of each row.
    count : int
        Number of folds.

    Returns
    -------
    tuple of arrays of shape (folds, size), intp, on the host
        Rows of the folds, those of equal size together.

    Examples
    --------
    >>> batches_of(np.array([0, 1, 0]), 2)
    (array([[1]]), array([[0, 2]]))
    """
    order = np.argsort(codes, kind="stable")
    size = np.bincount(codes, minlength=count)
    start = np.concatenate([[0], np.cumsum(size)[:-1]])
    return tuple(order[start[size == m][:, None] + np.arange(m)] for m in np.unique(size))


def fold_shares(folds: Folds, weight: np.ndarray[Any, Any] | None = None) -> np.ndarray[Any, Any]:
    """Compute the share of each row in a mean over folds of means over rows.

    Parameters
    ----------
    folds : Folds
        The partition.
    weight : array of shape (n,), optional
        Weight of each row within its fold; a fold without weight does not count.

    Returns
    -------
    array of shape (n,), float64
        Shares, which sum to 1.

    Examples
    --------
    >>> fold_shares(make_folds(3, ["a", "b", "b"]))
    array([0.5 , 0.25, 0.25])
    """
    weight = np.ones(folds.codes.size) if weight is None else weight
    total = np.bincount(folds.codes, weights=weight, minlength=folds.n_folds)
    per_row = total[folds.codes]
    share = np.divide(weight, per_row, out=np.zeros(per_row.size), where=per_row > 0)
    mean: np.ndarray[Any, Any] = share / np.count_nonzero(total)
    return mean


def training_means(
    folds: Folds, y: np.ndarray[Any, Any], weight: np.ndarray[Any, Any] | None = None
) -> np.ndarray[Any, Any]:
    """Compute, for each row, the mean of the targets its fold's model was trained on.

    A model without any signal predicts it, and it leans against the fold left out: ranked
    together, predictions of pure noise seem worse than chance. Less this mean, they do not.

    Parameters
    ----------
    folds : Folds
        The partition.
    y : array of shape (n, targets), on the host
        Targets.
    weight : array of shape (n,), optional, on the host
        Weight of each row; at least 2 folds have some.

    Returns
    -------
    array of shape (n, targets), float64
        Mean over the rows of the other folds.

    Examples
    --------
    >>> training_means(make_folds(3), np.array([[1.0], [2.0], [6.0]])).ravel()
    array([4. , 3.5, 1.5])
    """
    weight = np.ones(folds.codes.size) if weight is None else weight
    weights = np.bincount(folds.codes, weights=weight, minlength=folds.n_folds)
    sums = np.zeros((folds.n_folds, y.shape[1]))
    np.add.at(sums, folds.codes, weight[:, None] * y)
    means = (sums.sum(0) - sums) / (weights.sum() - weights)[:, None]
    per_row: np.ndarray[Any, Any] = means[folds.codes]
    return per_row


def less_training_means(held_out: Any, means: Any, y: np.ndarray[Any, Any]) -> Any:
    """Take what `training_means` found off held-out predictions, relative to max |y|.

    What rounding leaves is made a tie, since it may follow the labels.

    Parameters
    ----------
    held_out : array of shape (..., n, targets), on the host
        Predictions of models with an intercept.
    means : array of shape (n, targets)
        Means of the training targets.
    y : array of shape (n, targets)
        Targets.

    Returns
    -------
    array of shape (..., n, targets), float64
        Exactly 0 where a model saw one target only, which is then all that it can predict.

    Examples
    --------
    >>> y = np.array([[0.0], [1.0]])
    >>> less_training_means(np.array([[1.0 - 1e-9], [1e-9]]), y[::-1], y).ravel()
    array([0., 0.])
    """
    size = np.abs(y).max() or 1.0
    rounding = 1e-12 * size
    one = (means > y.max(axis=0) - rounding) | (means < y.min(axis=0) + rounding)
    return np.round(np.where(one, 0.0, held_out - means) / size, _TIE)


def _balance(codes: np.ndarray[Any, Any], count: int, k: int) -> np.ndarray[Any, Any]:
    if k > count:
        raise ValueError(f"`cv` must be at most the number of groups, {count}, got {k}.")
    size = np.bincount(codes, minlength=count)
    fold, filled = np.empty(count, np.intp), [(0, i) for i in range(k)]
    for group in np.argsort(-size, kind="stable"):
        rows, fold[group] = heappop(filled)
        heappush(filled, (rows + int(size[group]), int(fold[group])))
    return fold


def _codes_of_splits(
    cv: Any, n: int, y: Any, groups: Any, group_codes: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    if hasattr(cv, "split"):
        # Some splitters warn of groups that they have no use for.
        names = {} if groups is None else {"groups": host(groups, "groups")}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The groups parameter is ignored")
            cv = list(cv.split(np.zeros((n, 1)), y, **names))
    codes, tests = np.zeros(n, np.intp), np.zeros(n, np.intp)
    for fold, (train, test) in enumerate(cv):
        trained, tested = _times(train, n), _times(test, n)
        if not (tested.any() and (trained + tested == 1).all()):
            raise ValueError(
                f"`cv` must train on all rows that it does not test; its split {fold} does not."
            )
        codes[tested == 1] = fold
        tests += tested
    if not (tests == 1).all():
        raise ValueError(
            f"`cv` must test each row once, got {int((tests != 1).sum())} of {n} rows otherwise."
        )
    if np.unique(np.stack([group_codes, codes]), axis=1).shape[1] > group_codes.max() + 1:
        raise ValueError("`cv` splits a group: the same group would be trained on and tested.")
    return codes


def _times(rows: Any, n: int) -> Any:
    rows = np.asarray(rows)
    if rows.dtype == bool and rows.shape == (n,):
        return rows.astype(np.intp)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or (rows.size and rows.min() < 0):
        raise ValueError("`cv` must give the rows of its splits as non-negative indices.")
    if rows.size and rows.max() >= n:
        raise ValueError(f"`cv` gives row {int(rows.max())}, but there are {n} samples.")
    return np.bincount(rows, minlength=n)
