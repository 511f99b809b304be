"""What Ridge and RidgeCV refuse, and what scikit-learn asks of them."""

from __future__ import annotations

import numpy as np
import pytest
from ridge_by_definition import cohort
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import Ridge, RidgeCV


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((0, 2)), r"0 sample\(s\)"),
        (np.zeros((3, 0)), r"0 feature\(s\)"),
        (np.zeros(3), "Expected 2D array"),
        (np.zeros((3, 2), complex), "Complex data not supported"),
        ([["a", "b"]] * 3, "could not convert|dtype='numeric'"),
        ([[1, np.nan], [2, 3], [np.inf, 4]], r"2 of 6 values, the first at index \(0, 1\)"),
        (np.ma.array(np.ones((3, 2))), "masked"),
    ],
)
def test_bad_designs(xp_any, X, message):
    if isinstance(X, np.ndarray) and not isinstance(X, np.ma.MaskedArray):
        X = xp_any.asarray(X)
    with pytest.raises((ValueError, TypeError), match=message):
        Ridge().fit(X, xp_any.asarray(np.arange(3.0)) if not isinstance(X, list) else [1, 2, 3])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"y": [1.0, np.nan, 2.0]}, ValueError, "1 of 3 values, the first at index 1"),
        ({"y": [1.0, 2.0]}, ValueError, r"inconsistent numbers of samples: \[3, 2\]"),
        ({"y": None}, ValueError, "requires y to be passed"),
        ({"y": np.zeros((3, 1, 1))}, ValueError, "`y`|dim 3"),
        ({"sample_weight": [1.0, -1.0, 1.0]}, ValueError, "must not be negative, got 1"),
        ({"sample_weight": [0.0, 0.0, 0.0]}, ValueError, "zero for every sample"),
        ({"sample_weight": [1.0, 1.0]}, ValueError, r"of shape \(3,\)"),
        ({"sample_weight": [1.0, np.inf, 1.0]}, ValueError, "`sample_weight` contains"),
        ({"sample_weight": ["1", "1", "1"]}, ValueError, "must hold numbers"),
        ({"sample_weight": [1.0, 0.0, 0.0], "groups": [1, 2, 3]}, ValueError, "at least 2 folds"),
        ({"groups": [1, 1, 1]}, ValueError, "at least 2 groups"),
        ({"groups": [1, 2]}, ValueError, "each of the 3 samples"),
    ],
)
def test_bad_arguments(arguments, error, message):
    given = {"y": [1.0, 2.0, 4.0], **arguments}
    with pytest.raises(error, match=message):
        Ridge().fit([[0.0], [1.0], [3.0]], **given)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (Ridge(-1.0), ValueError, "`alpha` must be a finite number of at least 0, got -1"),
        (Ridge(np.nan), ValueError, "`alpha`"),
        (Ridge("1"), TypeError, "`alpha`"),
        (RidgeCV((1.0, -1.0)), ValueError, r"`alphas\[1\]`"),
        (RidgeCV(()), ValueError, "`alphas` must hold at least one value"),
        (RidgeCV(scoring="mse"), ValueError, '`scoring` must be one of "neg_mean'),
        (RidgeCV(scoring="roc_auc"), ValueError, "two values"),
        (RidgeCV(cv=4), ValueError, "at most the number of groups, 3"),
    ],
)
def test_bad_parameters(model, error, message):
    with pytest.raises(error, match=message):
        model.fit([[0.0], [1.0], [3.0]], [1.0, 2.0, 4.0])


def test_predict_with_other_features_or_values(xp_any):
    X, y, _ = cohort(30, 3)
    model = Ridge().fit(xp_any.asarray(X), xp_any.asarray(y))
    with pytest.raises(ValueError, match="X has 2 features, but Ridge is expecting 3 features"):
        model.predict(xp_any.asarray(X[:, :2]))
    X[4, 1] = np.nan
    with pytest.raises(ValueError, match=r"1 of 90 values, the first at index \(4, 1\)"):
        model.predict(xp_any.asarray(X))


def test_overflow_and_classes_without_weight_are_refused():
    X, y, groups = cohort(30, 6)
    with pytest.raises(ValueError, match="overflow float64"), np.errstate(over="ignore"):
        RidgeCV().fit(X, y * 1e200, groups=groups)
    sick = np.arange(30) % 2
    with pytest.raises(ValueError, match="both with weight"):
        RidgeCV(scoring="roc_auc").fit(X, sick, sample_weight=sick)


def expected_failures(estimator):
    if type(estimator) is not Ridge:
        return {}
    why = "partial_fit after fit is refused: fit keeps no sums, and its rows would be forgotten"
    return {"check_fit_score_takes_y": why}


@parametrize_with_checks([Ridge(), RidgeCV()], expected_failed_checks=expected_failures)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
