r"""The models that were fitted without each fold, all of them at once.

A fit by least squares with a quadratic penalty stays as it is when a row is added that it
predicts exactly. The model without fold g is therefore the model of all rows whose labels
in g are replaced by what the model without g predicts for them, and those predictions are
known in closed form:

.. math:: \mu_{-g} = \mathrm{fit}(X, y + E_g (\hat y_{-g} - y))

One factorisation with as many right-hand sides as there are folds gives all models, for
new rows, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastmm.solve._inputs import host
from fastmm.solve.grouped import Folds, make_folds
from fastmm.validate.linear_maps import linear_map
from fastmm.validate.refits import is_pairwise, refit, scores_of, take_rows

__all__ = ["LeftOutModels", "left_out_models"]


class LeftOutModels(NamedTuple):
    """Models without each fold.

    Parameters
    ----------
    folds : Folds
        The partition.
    held_out : array of shape (n, k), float64, on the host
        What each row's own fold's model predicts for it: numbers, or decisions.
    predict : callable
        Maps new rows to the predictions of all models, (m, folds, k) on the host.
    model : estimator
        The model of all rows.
    """

    folds: Folds
    held_out: np.ndarray[Any, Any]
    predict: Callable[[Any], np.ndarray[Any, Any]]
    model: Any


def left_out_models(estimator: Any, X: Any, y: Any, groups: Any, cv: Any) -> LeftOutModels:
    """Fit without each fold: in closed form where there is one, else again and again.

    Parameters
    ----------
    estimator : scikit-learn estimator
        In closed form: Ridge, RidgeCV, RidgeClassifier, RidgeClassifierCV, KernelRidge,
        KernelRidgeCV, LSSVC and LSSVCCV, without class weights; of searches, at what they
        chose for all rows, and "scale" is the width of all rows. Others are refitted,
        their searches included.
    X : array of shape (n, d)
        Rows of features.
    y : array of shape (n,)
        Targets or labels.
    groups : array of shape (n,), or None
        Patient of each row.
    cv : None, int, splitter or iterable
        As for `RidgeCV`.

    Returns
    -------
    LeftOutModels
        Held-out predictions, and a function for those of new rows.
    """
    from sklearn.base import clone

    labels = host(y, "y")
    folds = make_folds(labels.shape[0], groups, cv, labels if labels.ndim == 1 else None)
    names = None if groups is None else host(groups, "groups")
    model = refit(estimator, X, y, names, np.arange(labels.shape[0]))
    single = _single(model)
    if single is None:
        return _by_refits(estimator, model, X, y, names, folds)
    splits = [(folds.codes != fold, folds.codes == fold) for fold in range(folds.n_folds)]
    held = linear_map(clone(single), X, y, names, None, None, cv=splits)
    if not held.n_classes:
        targets = labels.astype(np.float64)[:, None]
    else:
        named = np.arange(1, 2) if held.n_classes == 2 else np.arange(held.n_classes)
        targets = np.where(held.labels[:, None] == named, 1.0, -1.0)
    held_out = next(iter(held.held_out(targets)))
    # One column for each decision of each model; digits are lost where a mean is large.
    centre = targets.mean(axis=0) if held.centred else np.zeros(targets.shape[1])
    own = folds.codes[:, None] == np.arange(folds.n_folds)
    replaced = np.where(own[:, :, None], held_out[:, None], targets[:, None]) - centre
    regressor = _regressor(single)
    regressor.fit(X, _beside(replaced.reshape(labels.shape[0], -1), X))

    def predict(rows: Any) -> np.ndarray[Any, Any]:
        found = host(regressor.predict(rows), "prediction").astype(np.float64)
        return found.reshape(len(found), folds.n_folds, -1) + centre

    return LeftOutModels(folds, held_out, predict, model)


def _single(model: Any) -> Any:
    """Return the model of one candidate that a fitted model is, or None."""
    from fastmm.solve.kernel.kernel_ridge import KernelRidge
    from fastmm.solve.kernel.lssvm import LSSVC
    from fastmm.solve.ridge.classifier import RidgeClassifier
    from fastmm.solve.ridge.ridge import Ridge

    kinds = {
        **dict.fromkeys(("Ridge", "RidgeCV"), Ridge),
        **dict.fromkeys(("RidgeClassifier", "RidgeClassifierCV"), RidgeClassifier),
        **dict.fromkeys(("KernelRidge", "KernelRidgeCV"), KernelRidge),
        **dict.fromkeys(("LSSVC", "LSSVCCV"), LSSVC),
    }
    parameters = model.get_params(deep=False)
    kind = kinds.get(type(model).__name__) if type(model).__module__.startswith("fastmm.") else None
    if kind is None or parameters.get("class_weight") is not None:
        return None
    if parameters.get("solver") == "nystrom":
        return None
    names = kind().get_params(deep=False)
    chosen = {name: value for name, value in parameters.items() if name in names}
    for name in ("alpha", "C", "gamma"):
        if name in names and getattr(model, f"{name}_", None) is not None:
            chosen[name] = getattr(model, f"{name}_")
    return kind(**chosen)


def _regressor(single: Any) -> Any:
    """Return the regressor, of many targets, that makes a classifier's decisions."""
    from sklearn.base import clone

    from fastmm.solve.kernel.kernel_ridge import KernelRidge
    from fastmm.solve.ridge.ridge import Ridge

    parameters = single.get_params(deep=False)
    if type(single).__name__ == "LSSVC":
        given = {
            name: parameters[name] for name in KernelRidge().get_params() if name in parameters
        }
        return KernelRidge(alpha=1 / single.C, fit_intercept=True, **given)
    if type(single).__name__ == "RidgeClassifier":
        given = {name: parameters[name] for name in Ridge().get_params() if name in parameters}
        return Ridge(**given)
    return clone(single)


def _beside(targets: np.ndarray[Any, Any], X: Any) -> Any:
    if not type(X).__module__.startswith("cupy"):
        return targets
    from fastmm._space import enter

    return enter(X=X)[0].asarray(targets)


def _by_refits(
    estimator: Any, model: Any, X: Any, y: Any, groups: Any, folds: Folds
) -> LeftOutModels:
    from sklearn.base import is_classifier

    labels, pairwise = host(y, "y"), is_pairwise(estimator)
    rows = [np.flatnonzero(folds.codes != fold) for fold in range(folds.n_folds)]
    if is_classifier(estimator) and any(
        np.unique(labels[train]).size < np.unique(labels).size for train in rows
    ):
        raise ValueError(
            "Each class must keep at least one group when others are left out; a class has all "
            "its rows in one fold."
        )
    models = [refit(estimator, X, y, groups, train) for train in rows]

    def outputs(one: Any, new: Any) -> np.ndarray[Any, Any]:
        found = scores_of(one, new) if is_classifier(estimator) else host(one.predict(new), "y")
        if found is None:
            raise TypeError("`estimator` must have `decision_function` or `predict_proba`.")
        return found.astype(np.float64).reshape(len(found), -1)

    def predict(new: Any) -> np.ndarray[Any, Any]:
        columns = rows if pairwise else [None] * len(rows)
        every = np.arange(new.shape[0])
        found = [
            outputs(one, new if at is None else take_rows(new, every, columns=at))
            for one, at in zip(models, columns, strict=True)
        ]
        return np.stack(found, axis=1)

    held_out: Any = None
    for fold, one in enumerate(models):
        test = np.flatnonzero(folds.codes == fold)
        part = outputs(one, take_rows(X, test, columns=rows[fold] if pairwise else None))
        held_out = np.empty((len(labels), part.shape[1])) if held_out is None else held_out
        held_out[test] = part
    return LeftOutModels(folds, held_out, predict, model)
