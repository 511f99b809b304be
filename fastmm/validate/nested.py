"""Nested validation: every step that learns is fitted without the patients it is tested on.

The scores of left-out rows are pooled before they are ranked. There lies a trap: a model
without any signal predicts the mean of the labels it was trained on, and that mean is
lower where a positive row was left out. Pooled leave-one-out scores of noise thus have an
area under the ROC curve far below 0.5. Remedies, in this order: a model whose intercept
does not follow the class frequencies (``class_weight="balanced"``), scores less the mean
label of their training rows (`fastmm.solve.grouped.training_means`; the searches of
fastmm do so), or fewer and larger folds (``cv=5``), in which the means hardly differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmm.solve._inputs import host
from fastmm.solve.grouped import make_folds
from fastmm.validate.refits import is_pairwise, refit, scores_of, take_rows

__all__ = ["NestedPredictions", "nested_predictions"]


@dataclass(frozen=True)
class NestedPredictions:
    """Predictions of each row by a model that was chosen and fitted without its group.

    Attributes
    ----------
    prediction : array of shape (n,) or (n, targets)
        Labels or numbers, on the host.
    decision : array of shape (n,) or (n, classes), or None
        Scores of classifiers: decision values, or else probabilities.
    fold : array of shape (n,), intp
        The fold in which each row was left out.
    models : tuple of estimators
        The model of each fold, with what it chose (``alpha_``, ``best_params_``, ...).
    """

    prediction: np.ndarray[Any, Any]
    decision: np.ndarray[Any, Any] | None
    fold: np.ndarray[Any, Any]
    models: tuple[Any, ...]


def nested_predictions(
    estimator: Any,
    X: Any,
    y: Any,
    groups: Any = None,
    *,
    cv: Any = None,
    sample_weight: Any = None,
) -> NestedPredictions:
    """Predict each row by a model chosen and fitted without its group.

    A search chooses what does best on the rows it validates, so that its `best_score_`
    leans to the hopeful side. Here the search is repeated within the training rows of each
    outer fold, and scores of the outer predictions are free of that.

    Parameters
    ----------
    estimator : scikit-learn estimator
        Usually a search, such as `RidgeCV`, or a pipeline that ends in one; it stays as it
        is. If its ``fit`` takes `groups`, it gets those of the training rows, so that the
        inner search keeps patients whole, too.
    X : array of shape (n, d), data frame or sparse matrix
        Rows of features, where the estimator takes them.
    y : array of shape (n,) or (n, targets)
        Labels or targets.
    groups : array of shape (n,), optional
        Patient of each row; never split. Default: every row its own.
    cv : None, int, splitter or iterable of (train, test), optional
        The outer folds: None leaves one group out at a time, an int makes so many folds of
        whole groups; as for `RidgeCV`. The inner ones are the estimator's matter.
    sample_weight : array of shape (n,), optional
        Weights, for ``fit``.

    Returns
    -------
    NestedPredictions
        Predictions, scores, folds and models.

    Raises
    ------
    ValueError
        If the rows cannot be split as asked, or a class would be missing from training.

    Notes
    -----
    One fit for each fold. Ranking scores of leave-one-out models of little signal leans
    to areas below 0.5; see the head of this module, and prefer ``cv=5`` or 10 for them.

    References
    ----------
    .. [1] Varma, S., & Simon, R. (2006). Bias in error estimation when using
       cross-validation for model selection. BMC Bioinformatics, 7, 91.
       https://doi.org/10.1186/1471-2105-7-91

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import RidgeCV
    >>> from fastmm.validate.nested import nested_predictions
    >>> X, patient = np.arange(24.0).reshape(8, 3) ** 2, [0, 0, 1, 1, 2, 2, 3, 3]
    >>> found = nested_predictions(RidgeCV(), X, X @ [1, -2, 1], patient)
    >>> len(found.models), bool(abs(found.prediction - X @ [1, -2, 1]).max() < 1)
    (4, True)
    """
    from sklearn.base import is_classifier

    labels = host(y, "y")
    n = labels.shape[0]
    folds = make_folds(n, groups, cv, labels if labels.ndim == 1 else None)
    names = None if groups is None else host(groups, "groups")
    classes = np.unique(labels) if is_classifier(estimator) else None
    models, predictions, decisions = [], [], []
    order = np.argsort(folds.codes, kind="stable")
    for fold in range(folds.n_folds):
        train, test = (np.flatnonzero(folds.codes != fold), np.flatnonzero(folds.codes == fold))
        if classes is not None and np.unique(labels[train]).size < classes.size:
            raise ValueError(
                "Each class must keep at least one group when others are left out; a class has "
                "all its rows in one fold."
            )
        model = refit(estimator, X, y, names, train, sample_weight)
        rows = take_rows(X, test, columns=train if is_pairwise(estimator) else None)
        models.append(model)
        predictions.append(host(model.predict(rows), "prediction"))
        decisions.append(None if classes is None else scores_of(model, rows))
    back = np.empty(n, np.intp)
    back[order] = np.arange(n)
    scores = None
    if all(decision is not None for decision in decisions):
        scores = np.concatenate([d for d in decisions if d is not None])[back]
    return NestedPredictions(np.concatenate(predictions)[back], scores, folds.codes, tuple(models))
