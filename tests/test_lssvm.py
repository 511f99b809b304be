"""LSSVC as an estimator: weights, labels, files, arguments, the contract of scikit-learn."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from drawing import two_labels, weights
from lssvm_by_definition import cohort, naive_held_out, naive_machine, signs_of
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import (
    rbf_kernel,
)
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import LSSVC, LSSVCCV
from fastmm.solve.grouped import make_folds, training_means


@pytest.mark.parametrize(
    "class_weight", ["balanced", {"benign": 0.25}, {"grade 1": 3, "benign": 2}]
)
@pytest.mark.parametrize("weighting", ["none", "positive"])
def test_class_weights_are_weights_of_the_fit(xp_any, class_weight, weighting):
    X, y, groups = cohort(60)
    keep = (y == "benign") | (np.arange(60) % 3 == 0)
    X, y, groups = X[keep], y[keep], groups[keep]
    weight = weights(weighting, len(y))
    given = None if weight is None else xp_any.asarray(weight)
    fit = np.ones(len(y)) if weight is None else weight
    if class_weight == "balanced":  # a row of weight 2 counts twice
        per_class = {name: fit.sum() / (2 * fit[y == name].sum()) for name in np.unique(y)}
        fit = fit * [per_class[name] for name in y]
    else:
        fit = fit * compute_sample_weight(class_weight, y)
    if class_weight == "balanced" and weight is None:
        np.testing.assert_allclose(fit, compute_sample_weight("balanced", y))
    K, signs = rbf_kernel(X, gamma=0.3), signs_of(y)
    for estimator in (LSSVC(2.0), LSSVCCV((2.0,))):
        model = estimator.set_params(gamma=0.3, class_weight=class_weight)
        model.fit(xp_any.asarray(X), y, given, groups)
        dual, intercept = naive_machine(K, signs, 2.0, fit)
        np.testing.assert_allclose(xp_any.asnumpy(model.dual_coef_), dual[:, 0], atol=1e-9)
        np.testing.assert_allclose(xp_any.asnumpy(model.intercept_), intercept, atol=1e-9)
        held_out = naive_held_out(K, signs, groups, 2.0, fit)[:, 0]
        np.testing.assert_allclose(xp_any.asnumpy(model.cv_decision_), held_out, atol=1e-9)
    lean = training_means(make_folds(len(y), groups), signs, fit)[:, 0]
    area = roc_auc_score(y, held_out - lean, sample_weight=weight)
    assert model.best_score_ == pytest.approx(area, rel=1e-12)


@two_labels
def test_labels_keep_their_dtype(xp_any, labels):
    X, y, groups = cohort()
    y = labels[(y != "benign").astype(int)]
    model = LSSVCCV().fit(xp_any.asarray(X), y, groups=groups)
    found = model.predict(xp_any.asarray(X))
    found = found if labels.dtype.kind in "UO" else xp_any.asnumpy(found)
    assert found.dtype == labels.dtype == model.classes_.dtype == model.cv_predictions_.dtype
    assert (found == y).mean() > 0.7


def test_pickle_and_later_changes_of_the_data():
    X, y, _ = cohort()
    new = cohort(seed=1)[0]
    model = LSSVC().fit(X, y)
    expected = model.decision_function(new)
    X[:] = 0
    np.testing.assert_array_equal(model.decision_function(new), expected)
    again = pickle.loads(pickle.dumps(model)).decision_function(new)
    np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (LSSVC(0.0), ValueError, "`C` must be a finite number greater than 0, got 0.0"),
        (LSSVC(-1.0), ValueError, "`C`"),
        (LSSVC(np.nan), ValueError, "`C`"),
        (LSSVCCV((1.0, 0.0)), ValueError, r"`Cs\[1\]`"),
        (LSSVCCV(()), ValueError, "`Cs` must hold at least one value"),
        (LSSVC(kernel="gauss"), ValueError, '`kernel` must be one of "linear"'),
        (LSSVC(kernel=3), TypeError, "`kernel`"),
        (LSSVC(gamma="wide"), ValueError, "`gamma`"),
        (LSSVC(gamma=0.0), ValueError, "`gamma`"),
        (LSSVC(gamma=None), TypeError, "`gamma`"),
        (LSSVCCV(gamma=()), ValueError, "`gamma` must hold at least one value"),
        (LSSVCCV(gamma=(1.0, -1.0)), ValueError, "`gamma`"),
        (LSSVC(kernel="poly", degree=0), ValueError, "`degree` must be a positive integer"),
        (LSSVC(kernel="poly", coef0=np.nan), ValueError, "`coef0` must be a finite number"),
        (LSSVC(class_weight="even"), ValueError, '`class_weight` must be None, "balanced" or'),
        (LSSVC(class_weight={2: 1.0}), ValueError, "names 2, which is no class"),
        (LSSVCCV(class_weight={1: -1.0}), ValueError, r"`class_weight\[1\]` must be"),
        (LSSVC(class_weight={1: 0}), ValueError, "only one class, 0"),
        (LSSVCCV(scoring="f1"), ValueError, "`scoring`"),
        (LSSVC(kernel="precomputed"), ValueError, r"must have shape \(4, 4\), got \(4, 2\)"),
        (LSSVC(kernel=lambda X, Y: X), ValueError, r"must have shape \(4, 4\), got \(4, 2\)"),
        (LSSVC(kernel=lambda X, Y: X @ Y.T * np.nan), ValueError, "`K` contains NaN"),
        (LSSVC(kernel=lambda X, Y: np.tri(4)), ValueError, "must be symmetric"),
    ],
)
def test_bad_parameters(model, error, message):
    with pytest.raises(error, match=message):
        model.fit([[0.0, 1.0], [1.0, 0.0], [3.0, 1.0], [2.0, 2.0]], [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": ["ill"] * 4}, "only one class, ill"),
        ({"y": [0, 1, 1, 1], "sample_weight": [0, 1, 1, 1]}, "only one class, 1"),
        ({"y": [0.5, 0.25, 0.1, 0.9]}, "continuous"),
        ({"y": [0, 1, 1]}, r"inconsistent numbers of samples: \[4, 3\]"),
        ({"y": [0, 1, np.nan, 1]}, "1 of 4 values, the first at index 2"),
        ({"y": None}, "requires y to be passed"),
        ({"groups": [1, 1, 1, 1]}, "at least 2 groups"),
        ({"groups": [1, 1, 2, 2], "sample_weight": [1, 1, 0, 0]}, "at least 2 folds"),
    ],
)
def test_bad_arguments(arguments, message):
    given = {"y": [0, 1, 0, 1], **arguments}
    with pytest.raises(ValueError, match=message):
        LSSVC().fit([[0.0], [1.0], [3.0], [2.0]], **given)


@pytest.mark.parametrize(
    "y",
    [
        [0, "ill", 0, "ill"],
        np.array([0, "ill", 0, "ill"], object),
        np.array(["ill", 1.5, "ill", 0], object),
    ],
)
def test_labels_of_several_types_are_refused(y):
    with pytest.raises(TypeError, match="`y` must hold labels of one type, got a mix of"):
        LSSVC().fit([[0.0], [1.0], [3.0], [2.0]], y)


def test_predict_with_other_features(xp_any):
    X, y, _ = cohort(d=3)
    model = LSSVC().fit(xp_any.asarray(X), y)
    with pytest.raises(ValueError, match="X has 2 features, but LSSVC is expecting 3 features"):
        model.predict(xp_any.asarray(X[:, :2]))


@pytest.mark.filterwarnings("ignore:The kernel matrix is so ill-conditioned")
@parametrize_with_checks(
    [
        LSSVC(),
        LSSVCCV(),
        LSSVC(kernel="linear"),
        LSSVC(kernel="laplacian", class_weight="balanced"),
        LSSVCCV(kernel="poly", gamma=(0.1, "scale")),
        LSSVC(kernel="precomputed"),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
