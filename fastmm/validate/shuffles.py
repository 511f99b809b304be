"""Permutations of labels that keep the rows of a patient together."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Shuffles"]

_DRAWN = 1 << 20  # patients of permutations that are drawn together


class Shuffles:
    """Permutations that hand whole patients' labels on, the first of them none at all.

    Where the labels are constant within patients, they go from any patient to any other.
    Else the labels of a patient go as a block, in the order of the rows, and only between
    patients with as many rows.

    Parameters
    ----------
    labels : array of shape (n,), on the host
        Labels.
    codes : array of shape (n,), intp
        Number of the patient of each row, from 0.
    count : int
        Number of permutations.
    seed : int
        Seed of the draws.

    Attributes
    ----------
    constant : bool
        Whether labels are constant within patients.
    n_patients, n_movable : int
        How many there are, and how many of them may exchange their labels.

    Raises
    ------
    ValueError
        If no permutation would change the labels.

    Examples
    --------
    >>> shuffles = Shuffles(np.array([1, 1, 0, 0]), np.array([0, 0, 1, 2]), 3, 0)
    >>> shuffles.constant, shuffles.labels(slice(0, 1))
    (True, array([[1, 1, 0, 0]]))
    """

    def __init__(
        self, labels: np.ndarray[Any, Any], codes: np.ndarray[Any, Any], count: int, seed: int
    ) -> None:
        size = np.bincount(codes)
        self._given, self._codes = labels, codes
        self._rows = np.argsort(codes, kind="stable")  # those of patient 0, then 1, ...
        self._start = np.concatenate([[0], np.cumsum(size)[:-1]])
        self._place = np.empty_like(codes)
        self._place[self._rows] = np.arange(codes.size) - self._start[codes[self._rows]]
        first = labels[self._rows[self._start]]
        self.constant = bool((labels == first[codes]).all())
        self.n_patients = size.size
        alike = [np.arange(size.size)]
        if not self.constant:
            alike = [np.flatnonzero(size == rows) for rows in np.unique(size)]
        alike = [patients for patients in alike if patients.size > 1]
        self.n_movable = sum(patients.size for patients in alike)
        self._refuse_stillness(alike)
        rng = np.random.default_rng(seed)
        # The largest array of a test: numbers of 32 bits, drawn some permutations at a time.
        self.order = np.empty((count + 1, size.size), np.int32)
        self.order[:] = np.arange(size.size)
        for patients in alike:
            step = max(1, _DRAWN // patients.size)
            for start in range(1, count + 1, step):
                some = slice(start, min(start + step, count + 1))
                rows = np.tile(patients, (some.stop - start, 1))
                self.order[some, patients] = rng.permuted(rows, axis=1)

    def labels(self, some: slice) -> np.ndarray[Any, Any]:
        """Return the labels of some permutations, (permutations, n)."""
        sources = self._start[self.order[some]][:, self._codes]
        permuted: np.ndarray[Any, Any] = self._given[
            self._rows[sources if self.constant else sources + self._place]
        ]
        return permuted

    def patients(self, values: np.ndarray[Any, Any], some: slice) -> np.ndarray[Any, Any]:
        """Return the values (n,) of patients, constant within them, (permutations, patients)."""
        permuted: np.ndarray[Any, Any] = values[self._rows[self._start]][self.order[some]]
        return permuted

    def _refuse_stillness(self, alike: list[np.ndarray[Any, Any]]) -> None:
        for patients in alike:
            rows = self._rows[self._start[patients][:, None]]
            if not self.constant:
                last = np.bincount(self._codes)[patients[0]]
                rows = self._rows[self._start[patients][:, None] + np.arange(last)]
            if (self._given[rows] != self._given[rows[:1]]).any():
                return
        raise ValueError(
            "No permutation of whole patients changes the labels: "
            + (
                "all patients have the same label."
                if self.constant
                else "labels differ within patients, and no two patients with as many rows "
                "have different ones."
            )
        )
