"""What a bootstrap over few patients lacks: its intervals are too narrow for them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastmm.solve._inputs import host
from fastmm.validate.resampling import clusters, coverage

__all__ = ["expansion"]


def expansion(y: Any, groups: Any = None, confidence: float = 0.95) -> float:
    r"""Return by how much wider an interval over few groups of two classes must be.

    Resampling m values spreads by their standard deviation with divisor m, not m - 1, and
    percentiles are those of a known spread, not of one that is estimated:

    .. math:: \frac{t_{\nu}}{z} \sqrt{\frac{1/(m-1) + 1/(n-1)}{1/m + 1/n}}, \qquad
              \nu = \frac{(1/m + 1/n)^2}{\frac{1}{m^2 (m-1)} + \frac{1}{n^2 (n-1)}}

    for m and n groups with rows of each class, as in Welch's test.

    Parameters
    ----------
    y : array of shape (n,)
        Labels, of any dtype. Of more than two classes the largest of those of one class against
        the rest is returned.
    groups : array of shape (n,), optional
        Group of each row. Default: every row is one.
    confidence : float, default 0.95
        Coverage of the interval.

    Returns
    -------
    float
        At least 1; a class with one group counts as two.

    Notes
    -----
    With `training_share`, 95 % intervals of the area of ridge models, in 300 simulated cohorts
    each, held the truth in 91 to 96 % with 10 groups of a class, 89 to 90 % with 5 and 87 % with
    2; as resampled in 79 to 90, 78 to 82 and 37 %.

    References
    ----------
    .. [1] Hesterberg, T. C. (2015). What teachers should know about the bootstrap. The American
       Statistician, 69(4), 371-386. https://doi.org/10.1080/00031305.2015.1089789

    Examples
    --------
    >>> from fastmm.validate.few_groups import expansion
    >>> [round(expansion([0, 1] * n), 2) for n in (5, 10, 100)]
    [1.32, 1.13, 1.01]
    """
    from scipy.special import ndtri, stdtrit

    labels, middle = host(y, "y"), 0.5 + coverage(confidence) / 2
    codes, found = clusters(groups, labels.size), 1.0
    for name in np.unique(labels):
        own = labels == name
        m, n = (max(2, np.unique(codes[rows]).size) for rows in (own, ~own))
        of_means = 1 / m + 1 / n
        freedom = of_means**2 / (1 / (m * m * (m - 1)) + 1 / (n * n * (n - 1)))
        spread = math.sqrt((1 / (m - 1) + 1 / (n - 1)) / of_means)
        found = max(found, spread * float(stdtrit(freedom, middle) / ndtri(middle)))
    return found
