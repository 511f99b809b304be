"""Prediction sets of labels that hold for new patients, whatever the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmm._check import one_of
from fastmm.solve._inputs import host
from fastmm.validate.conformal_units import PIECE, ROUNDING, calibration_units, patient_codes
from fastmm.validate.left_out_models import left_out_models
from fastmm.validate.resampling import coverage

__all__ = ["ConformalSets", "conformal_sets", "leads"]


@dataclass(frozen=True)
class ConformalSets:
    """Prediction sets.

    Attributes
    ----------
    classes : array of shape (classes,)
        Labels, sorted.
    sets : array of shape (m, classes), bool
        Which labels are in the set of each row.
    pvalues : array of shape (m, classes)
        How well each label would fit the row: those above 1 - confidence are in the set.
    """

    classes: np.ndarray[Any, Any]
    sets: np.ndarray[Any, Any]
    pvalues: np.ndarray[Any, Any]


def conformal_sets(
    estimator: Any,
    X: Any,
    y: Any,
    X_new: Any,
    groups: Any = None,
    *,
    confidence: float = 0.9,
    cv: Any = None,
    cover: str = "row",
) -> ConformalSets:
    r"""Predict sets of labels for rows of new patients, by jackknife+ or CV+ over patients.

    How badly a label c fits a row is measured by the lead of the best other class,
    :math:`s(x, c) = \max_{c' \ne c} f_{c'}(x) - f_c(x)`. With f without the fold of patient
    g, and its rows i in equal shares,

    .. math:: p(x, c) = \frac{1 + \sum_g \frac{1}{n_g} \sum_i
        [s_{-g}(x_{gi}, y_{gi}) \ge s_{-g}(x, c)]}{G + 1},
        \qquad C(x) = \{c : p(x, c) > 1 - \mathrm{confidence}\}

    Parameters
    ----------
    estimator : classifier
        Its models without each fold come in closed form for RidgeClassifier, LSSVC and
        their searches, without class weights; any other is refitted for each fold.
    X : array of shape (n, d)
        Training rows.
    y : array of shape (n,)
        Labels, of any dtype.
    X_new : array of shape (m, d)
        Rows of new patients, where `X` lives.
    groups : array of shape (n,), optional
        Patient of each training row. Default: every row its own.
    confidence : float, default 0.9
        Coverage aimed at, 1 - alpha, between 0 and 1.
    cv : None, int, splitter or iterable of (train, test), optional
        As for `conformal_intervals`.
    cover : {"row", "patient"}, default "row"
        As for `conformal_intervals`: a row at random of a new patient, or all of them.

    Returns
    -------
    ConformalSets
        Labels, sets and p-values, on the host. A set may be empty, where no label fits,
        or hold several.

    Raises
    ------
    ValueError
        If the data are not valid or the rows cannot be split as asked.
    TypeError
        If the estimator has neither decisions nor probabilities.

    Notes
    -----
    What is guaranteed is what `conformal_intervals` guarantees: the label is in the set with
    a probability of at least 1 - 2 (1 - confidence), usually about `confidence`, on average over
    patients and classes. A rare class may be missed more often.

    References
    ----------
    .. [1] Romano, Y., Sesia, M., & Candes, E. J. (2020). Classification with valid and
       adaptive coverage. NeurIPS, 33. https://doi.org/10.48550/arXiv.2006.02544
    .. [2] Vovk, V. (2015). Cross-conformal predictors. Annals of Mathematics and Artificial
       Intelligence, 74, 9-28. https://doi.org/10.1007/s10472-013-9368-4

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import LSSVC
    >>> from fastmm.validate.conformal_sets import conformal_sets
    >>> rng = np.random.default_rng(0)
    >>> patient, y = np.repeat(np.arange(40), 2), np.repeat(np.arange(40) % 2, 2)
    >>> X = rng.normal(size=(80, 3)) + 2 * y[:, None]
    >>> conformal_sets(LSSVC(), X, y, np.array([[-1.0] * 3, [3.0] * 3]), patient).sets
    array([[ True, False],
           [False,  True]])
    """
    alpha = 1 - coverage(confidence)
    one_of(cover, "cover", ("row", "patient"))
    labels = host(y, "y")
    classes, codes = np.unique(labels, return_inverse=True)
    models = left_out_models(estimator, X, y, groups, cv)
    patients = patient_codes(groups, labels.size)
    lead = leads(models.held_out)[np.arange(labels.size), codes]
    fold, lead, share = calibration_units(models, patients, lead, cover)
    new = leads(models.predict(X_new))  # (m, folds, classes)
    pvalues = np.empty((len(new), classes.size))
    step = max(1, PIECE // fold.size)
    for start in range(0, len(new), step):
        for number in range(classes.size):
            worse = lead >= new[start : start + step, fold, number]
            pvalues[start : start + step, number] = worse @ share
    pvalues = (1 + pvalues) / (2 + patients.max())
    return ConformalSets(classes, pvalues > alpha + ROUNDING, pvalues)


def leads(decisions: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return by how much the best other class leads each class, (..., classes)."""
    if decisions.shape[-1] == 1:
        decisions = np.concatenate([-decisions, decisions], axis=-1) / 2
    ranked = np.sort(decisions, axis=-1)
    first, second = ranked[..., -1:], ranked[..., -2:-1]
    lead: np.ndarray[Any, Any] = np.where(decisions == first, second, first) - decisions
    return lead
