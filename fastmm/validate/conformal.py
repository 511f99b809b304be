"""Prediction intervals that hold for new patients, whatever the model."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmm._check import one_of
from fastmm.solve._inputs import host
from fastmm.validate.conformal_units import PIECE, ROUNDING, calibration_units, patient_codes
from fastmm.validate.left_out_models import left_out_models
from fastmm.validate.resampling import coverage

__all__ = ["ConformalIntervals", "conformal_intervals"]


@dataclass(frozen=True)
class ConformalIntervals:
    """Prediction intervals.

    Attributes
    ----------
    prediction : array of shape (m,)
        Predictions by the model of all rows.
    low, high : arrays of shape (m,)
        Ends of the intervals; infinite where there are too few patients.
    """

    prediction: np.ndarray[Any, Any]
    low: np.ndarray[Any, Any]
    high: np.ndarray[Any, Any]


def conformal_intervals(
    estimator: Any,
    X: Any,
    y: Any,
    X_new: Any,
    groups: Any = None,
    *,
    confidence: float = 0.9,
    cv: Any = None,
    cover: str = "row",
) -> ConformalIntervals:
    r"""Predict intervals for rows of new patients, by jackknife+ or CV+ over patients.

    With :math:`\mu_{-g}` the model without the fold of patient g, and its held-out residual
    :math:`R_{gi} = |y_{gi} - \mu_{-g}(x_{gi})|`, the ends are weighted quantiles of

    .. math:: \mu_{-g}(x) \mp R_{gi},

    where each of the G patients has the share 1 / (G + 1), divided among its rows, and what
    is left of 1 lies at infinity.

    Parameters
    ----------
    estimator : regressor
        Its models without each fold come in closed form for Ridge, RidgeCV, KernelRidge and
        KernelRidgeCV; any other is refitted for each fold.
    X : array of shape (n, d)
        Training rows.
    y : array of shape (n,)
        Targets.
    X_new : array of shape (m, d)
        Rows of new patients, where `X` lives.
    groups : array of shape (n,), optional
        Patient of each training row. Default: every row its own.
    confidence : float, default 0.9
        Coverage aimed at, 1 - alpha, between 0 and 1.
    cv : None, int, splitter or iterable of (train, test), optional
        None leaves one patient out at a time: jackknife+. An int makes so many folds of
        whole patients: CV+, with models of fewer rows, but fewer of them.
    cover : {"row", "patient"}, default "row"
        "row": intervals that hold for a row taken at random from a new patient.
        "patient": for all rows of a new patient at once; a patient's residual is then the
        largest of its rows.

    Returns
    -------
    ConformalIntervals
        Predictions and ends, on the host.

    Raises
    ------
    ValueError
        If the data are not valid or the rows cannot be split as asked.

    Warns
    -----
    UserWarning
        If there are so few patients that intervals are infinite.

    Notes
    -----
    What is guaranteed: if the patients, new ones among them, are exchangeable, and so are
    the rows within each, an interval misses with a probability of at most 2 (1 - confidence),
    whatever the model and the distribution; for CV+ with k folds, G / k patients in each, of at
    most that plus (1 - k / G) / (G / k + 1). Usually it misses with about 1 - confidence. It
    is an average over patients, training data included: not for each kind of
    patient, nor for another hospital. It is not guaranteed for searches in closed form,
    whose penalty was chosen with all rows; give `Ridge` a penalty, or accept the small
    optimism.

    Cost in closed form: one fit with a right-hand side for each fold, and m G predictions.

    References
    ----------
    .. [1] Barber, R. F., Candes, E. J., Ramdas, A., & Tibshirani, R. J. (2021). Predictive
       inference with the jackknife+. Annals of Statistics, 49(1), 486-507.
       https://doi.org/10.1214/20-AOS1965
    .. [2] Lee, Y., Barber, R. F., & Willett, R. (2023). Distribution-free inference with
       hierarchical data. https://doi.org/10.48550/arXiv.2306.06342

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import Ridge
    >>> from fastmm.validate.conformal import conformal_intervals
    >>> rng = np.random.default_rng(0)
    >>> patient, X = np.repeat(np.arange(40), 2), rng.normal(size=(80, 3))
    >>> y = X.sum(axis=1) + rng.normal(size=80)
    >>> found = conformal_intervals(Ridge(), X, y, np.zeros((1, 3)), patient)
    >>> bool(found.low[0] < -1), bool(found.high[0] > 1)
    (True, True)
    """
    alpha = 1 - coverage(confidence)
    one_of(cover, "cover", ("row", "patient"))
    labels = host(y, "y")
    if labels.ndim != 1 or labels.dtype.kind not in "biuf":
        raise ValueError(
            f"`y` must hold numbers, of shape (n,), got {labels.dtype} {labels.shape}."
        )
    models = left_out_models(estimator, X, y, groups, cv)
    patients = patient_codes(groups, labels.size)
    residual = abs(labels - models.held_out[:, 0])
    fold, residual, share = calibration_units(models, patients, residual, cover)
    count = int(patients.max()) + 1
    if count < (1 - alpha) * (count + 1) - ROUNDING:
        warnings.warn(
            f"Intervals of confidence {1 - alpha:g} from {count} patients are infinite: at least "
            f"{int(np.ceil((1 - alpha) / alpha - ROUNDING))} are needed.",
            stacklevel=2,
        )
    new = models.predict(X_new)[:, :, 0]
    low, high = np.empty(len(new)), np.empty(len(new))
    step = max(1, PIECE // fold.size)
    for start in range(0, len(new), step):
        centre = new[start : start + step][:, fold]
        limit = (1 - alpha) * (count + 1)
        high[start : start + step] = _highest(centre + residual, share, limit)
        low[start : start + step] = -_highest(residual - centre, share, limit)
    prediction = host(models.model.predict(X_new), "prediction")
    return ConformalIntervals(prediction, low, high)


def _highest(values: Any, share: Any, limit: float) -> Any:
    """Return the largest of each line's values (m, units) with less than `limit` below it."""
    order = np.argsort(values, axis=1, kind="stable")
    through = np.cumsum(share[order], axis=1)
    enough = through >= limit - ROUNDING
    place = np.take_along_axis(order, enough.argmax(axis=1)[:, None], axis=1)
    found = np.take_along_axis(values, place, axis=1)[:, 0]
    return np.where(enough.any(axis=1), found, np.inf)
