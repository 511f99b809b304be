"""Which patients are kept aside: to see when to stop, or to be predicted by turns."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.solve.grouped import encode_groups

__all__ = ["deal_rows", "split_rows"]


def split_rows(
    codes: np.ndarray[Any, Any], groups: Any, fraction: float, seed: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Split rows into those to train on and those to watch, whole groups at a time.

    Parameters
    ----------
    codes : array of shape (n,), intp
        Number of the class of each row.
    groups : array of shape (n,), optional
        Group of each row. Default: every row is one.
    fraction : float
        Share of the groups of each class to watch, a group counted where most of its rows
        are; at least one of each class.
    seed : int
        Seed of the choice.

    Returns
    -------
    train, watch : arrays of intp
        Rows in their order. Nothing is watched where a class would be missing on either side.

    Examples
    --------
    >>> train, watch = split_rows(np.array([0, 0, 0, 0, 1, 1, 1, 1]), None, 0.25, seed=0)
    >>> len(train), len(watch)
    (6, 2)
    """
    n = len(codes)
    names = np.arange(n) if groups is None else encode_groups(groups, n)
    every = np.arange(n)
    if fraction == 0:
        return every, every[:0]
    counts = _counts(codes, names)
    kind = counts.argmax(axis=1)
    rng = np.random.default_rng(seed)
    watched = np.zeros(len(counts), bool)
    for stratum in range(counts.shape[1]):
        own = rng.permutation(np.flatnonzero(kind == stratum))
        watched[own[: max(1, round(fraction * len(own)))]] = True
    aside = watched[names]
    for side in (aside, ~aside):
        if len(np.unique(codes[side])) < counts.shape[1]:
            return every, every[:0]
    return every[~aside], every[aside]


def deal_rows(
    codes: np.ndarray[Any, Any], groups: Any, n_folds: int, seed: int = 0
) -> np.ndarray[Any, Any]:
    """Deal rows into folds, whole groups at a time and those of each class in turn.

    Parameters
    ----------
    codes : array of shape (n,), intp
        Number of the class of each row.
    groups : array of shape (n,), optional
        Group of each row. Default: every row is one.
    n_folds : int
        Number of folds; as many as there are groups if those are fewer.
    seed : int, default 0
        Seed of the order among groups of one class and size, large ones first.

    Returns
    -------
    array of shape (n,), intp
        Fold of each row. Folds differ by at most one group of each class, a group counted
        where most of its rows are.

    Examples
    --------
    >>> deal_rows(np.array([0, 0, 0, 1, 1, 1]), None, 3).tolist()
    [1, 0, 2, 2, 0, 1]
    """
    n = len(codes)
    names = np.arange(n) if groups is None else encode_groups(groups, n)
    counts = _counts(codes, names)
    mixed = np.random.default_rng(seed).permutation(len(counts))
    order = np.lexsort((mixed, -counts.sum(axis=1), counts.argmax(axis=1)))
    fold = np.empty(len(counts), np.intp)
    fold[order] = np.arange(len(order)) % min(n_folds, len(order))
    dealt: np.ndarray[Any, Any] = fold[names]
    return dealt


def _counts(codes: np.ndarray[Any, Any], names: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the number of rows of each group in each class."""
    counts = np.zeros((names.max() + 1, codes.max() + 1))
    np.add.at(counts, (names, codes), 1)
    return counts
