r"""What makes a synthetic person ill, and how well anybody could tell.

The disease has parts: one that shows in all modalities, and one for each modality that
shows in no other. A person's severities are independent, and higher in malignant disease,

.. math:: s_p \mid y \sim N\big((y - \tfrac12)\, \delta_p,\; 1\big).

A modality shows signs, each of which follows one part,
:math:`t_j = \lambda s_{p(j)} + \sqrt{1 - \lambda^2}\, \epsilon_j`, with
:math:`\epsilon` standard normal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

__all__ = ["PARTS", "SIGNS", "draw_signs", "ideal_area"]

PARTS = {"disease": 0.8, "ct": 1.0, "mr": 1.0, "table": 1.0, "expression": 1.0}  # delta
# What CT and MR both see of a nodule, its size and its outline, is the same sign in both.
SIGNS: dict[str, dict[str, str]] = {
    "ct": {"size": "disease", "spikes": "disease", "density": "ct", "haze": "ct"},
    "mr": {"size": "disease", "spikes": "disease", "enhancement": "mr", "texture": "mr"},
    "table": {"age": "disease", "pack_years": "table"},
    "expression": {"general": "disease", "specific": "expression"},
}
_FOLLOWS = 0.9  # lambda
_SIGNS = {sign: part for own in SIGNS.values() for sign, part in own.items()}


def draw_signs(rng: np.random.Generator, malignant: int) -> dict[str, float]:
    """Draw the signs of a person with this label."""
    severity = {part: (malignant - 0.5) * shift + rng.normal() for part, shift in PARTS.items()}
    rest = math.sqrt(1 - _FOLLOWS**2)
    return {
        sign: float(_FOLLOWS * severity[part] + rest * rng.normal())
        for sign, part in _SIGNS.items()
    }


def ideal_area(modalities: Iterable[str] = SIGNS) -> float:
    r"""Compute the area under the ROC curve of the best possible score of some modalities.

    Signs are normal in both classes, with the same covariances :math:`\Sigma` and means
    :math:`\mu` apart. The best score is the linear discriminant, and

    .. math:: \mathrm{AUC} = \Phi\big(\Delta / \sqrt2\big), \qquad
              \Delta^2 = \mu^\top \Sigma^{-1} \mu .

    Parameters
    ----------
    modalities : iterable of {"ct", "mr", "table", "expression"}, default all
        Whose signs are read, each without error.

    Returns
    -------
    float
        The area: what no model exceeds on enough patients. Noise, what else varies in a
        chest, and few patients to learn from make it smaller.

    References
    ----------
    .. [1] Su, J. Q., & Liu, J. S. (1993). Linear combinations of multiple diagnostic markers.
       Journal of the American Statistical Association, 88(424), 1350-1355.
       https://doi.org/10.1080/01621459.1993.10476417

    Examples
    --------
    >>> from fastmm.phantom.disease import ideal_area
    >>> round(ideal_area(["ct"]), 2), round(ideal_area(), 2)
    (0.8, 0.92)
    """
    signs = {sign: part for name in modalities for sign, part in SIGNS[name].items()}
    follows = np.array([[_FOLLOWS * (part == own) for own in PARTS] for part in signs.values()])
    covariance = follows @ follows.T
    np.fill_diagonal(covariance, 1.0)
    apart = follows @ np.array(list(PARTS.values()))
    distance = math.sqrt(float(apart @ np.linalg.solve(covariance, apart)))
    return 0.5 * (1 + math.erf(distance / 2))
