"""Sets of labels and intervals for new patients, from the scores of left-out ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.solve.grouped import make_folds

__all__ = ["Conformity"]


class Conformity:
    r"""Keep how badly left-out rows fit their labels, and compare new rows with them.

    For classes, :math:`s(x, c) = \max_{c' \ne c} f_{c'}(x) - f_c(x)` says how badly a label
    fits; among the :math:`G_c` patients of class c, whose rows have equal shares,

    .. math:: p(x, c) = \frac{1 + \sum_g \frac{1}{n_g} \sum_i [s_{gi} \ge s(x, c)]}{G_c + 1},
              \qquad C(x) = \{c : p(x, c) > 1 - \mathrm{confidence}\},

    for each class on its own, so that a rare one is not missed more often. For numbers,
    half the width of the interval is the quantile of absolute residuals.

    Attributes
    ----------
    badness_ : list of array
        Sorted s of the left-out rows of each class, or absolute residuals.
    share_ : list of array
        Their shares; those of a patient sum to 1.
    """

    def fit(self, badness: Any, codes: Any, groups: Any) -> Conformity:
        """Keep the values of left-out rows, (n,), by class."""
        patients = make_folds(len(badness), groups).codes
        self.badness_, self.share_ = [], []
        for code in range(int(codes.max()) + 1):
            own = np.flatnonzero(codes == code)
            own = own[np.argsort(badness[own], kind="stable")]
            _, place, times = np.unique(patients[own], return_inverse=True, return_counts=True)
            self.badness_.append(np.asarray(badness[own], np.float64))
            self.share_.append(1 / times[place])
        return self

    def pvalues(self, badness: Any) -> np.ndarray[Any, Any]:
        """Return the p-value of each row and class, for the badness (n, classes) of new rows."""
        found = np.empty(badness.shape)
        for code, (known, share) in enumerate(zip(self.badness_, self.share_, strict=True)):
            below = np.append(0.0, np.cumsum(share))
            at = np.searchsorted(known, badness[:, code], side="left")
            found[:, code] = (1 + below[-1] - below[at]) / (1 + below[-1])
        return found

    def width(self, confidence: float) -> float:
        """Return half the width of intervals; infinite where there are too few patients."""
        through = np.cumsum(self.share_[0])
        enough = through >= confidence * (1 + through[-1]) - 1e-9
        return float(self.badness_[0][enough.argmax()]) if enough.any() else float("inf")
