"""Which patients a training run keeps aside, to see when it should stop."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.solve.grouped import encode_groups

__all__ = ["split_rows"]


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
    counts = np.zeros((names.max() + 1, codes.max() + 1))
    np.add.at(counts, (names, codes), 1)
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
