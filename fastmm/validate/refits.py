"""Refits on some of the rows, for models without a closed form."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import enter
from fastmm.solve._inputs import host

__all__ = ["is_pairwise", "refit", "scores_of", "take_rows"]


def take_rows(X: Any, rows: np.ndarray[Any, Any], *, columns: Any = None) -> Any:
    """Return some rows of an array, a data frame or a sparse matrix, where it lives.

    Parameters
    ----------
    X : array, data frame or sparse matrix of shape (n, ...)
        Rows.
    rows : array of shape (r,), intp, on the host
        Which.
    columns : array of shape (c,), intp, optional
        Which columns, for kernel matrices. Default: all.

    Returns
    -------
    array, data frame or sparse matrix of shape (r, ...)
        The rows.

    Examples
    --------
    >>> take_rows(np.eye(3), np.array([1, 2]), columns=np.array([0, 1]))
    array([[0., 1.],
           [0., 0.]])
    """
    if hasattr(X, "iloc"):
        return X.iloc[rows] if columns is None else X.iloc[rows, columns]
    if not hasattr(X, "shape"):
        X = np.asarray(X)
    if type(X).__module__.startswith("cupy"):
        space, _, _ = enter(X=X)
        rows = space.asarray(rows)
        columns = None if columns is None else space.asarray(columns)
    return X[rows] if columns is None else X[rows][:, columns]


def is_pairwise(estimator: Any) -> bool:
    """Say whether the estimator takes kernel or distance matrices in place of rows.

    Parameters
    ----------
    estimator : scikit-learn estimator
        Its parameters decide.

    Returns
    -------
    bool
        Whether X is (n, n).
    """
    from sklearn.utils import get_tags

    return bool(get_tags(estimator).input_tags.pairwise)


def refit(
    estimator: Any, X: Any, y: Any, groups: Any, rows: np.ndarray[Any, Any], weight: Any = None
) -> Any:
    """Return a clone fitted to some rows; what it searches, it searches within them.

    Parameters
    ----------
    estimator : scikit-learn estimator
        It stays as it is.
    X : array of shape (n, d)
        Rows of features.
    y : array of shape (n, ...)
        Labels or targets.
    groups : array of shape (n,), or None
        Given on to estimators, and last steps of pipelines, whose ``fit`` takes `groups`.
    rows : array of shape (r,), intp
        Which rows.
    weight : array of shape (n,), optional
        Given on as ``sample_weight``.

    Returns
    -------
    estimator
        The fitted clone.
    """
    from sklearn.base import clone

    model = clone(estimator)
    columns = rows if is_pairwise(model) else None
    given = {
        name: take_rows(value, rows)
        for name, value in (("groups", groups), ("sample_weight", weight))
        if value is not None and (name == "sample_weight" or _takes_groups(model))
    }
    if hasattr(model, "steps"):
        given = {f"{model.steps[-1][0]}__{name}": value for name, value in given.items()}
    return model.fit(take_rows(X, rows, columns=columns), take_rows(y, rows), **given)


def scores_of(model: Any, X: Any) -> np.ndarray[Any, Any] | None:
    """Return what a classifier ranks by, on the host: decisions, else probabilities.

    Parameters
    ----------
    model : fitted scikit-learn estimator
        The model.
    X : array of shape (m, d)
        Rows.

    Returns
    -------
    array of shape (m,) or (m, classes), or None
        Decision values or probabilities; of two classes, those of the second one. None
        if the model has neither.
    """
    if hasattr(model, "decision_function"):
        return host(model.decision_function(X), "decision")
    if not hasattr(model, "predict_proba"):
        return None
    probability = host(model.predict_proba(X), "probability")
    return probability[:, 1] if probability.shape[1] == 2 else probability


def _takes_groups(model: Any) -> bool:
    from sklearn.utils.validation import has_fit_parameter

    last = model.steps[-1][1] if hasattr(model, "steps") else model
    # scikit-learn's searches hand groups to their splitter, though not by name.
    searches = hasattr(last, "cv") and hasattr(last, "refit") and hasattr(last, "estimator")
    return bool(has_fit_parameter(last, "groups") or searches)
