"""Scores of held-out predictions, against scikit-learn's metrics and its searches."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    mean_squared_error,
    r2_score,
    roc_auc_score,
)

from fastmm import (
    LSSVCCV,
    DensePatchRidge,
    FeatureMachineClassifier,
    FeatureMachineRegressor,
    KernelRidgeCV,
    RidgeClassifierCV,
    RidgeCV,
)
from fastmm.solve.accuracies import balanced_accuracy, class_shares
from fastmm.solve.areas import roc_auc
from fastmm.solve.grouped import make_folds, training_means
from fastmm.solve.scoring import (
    CLASS_SCORINGS,
    REGRESSION_SCORINGS,
    best_of,
    score_classes,
    score_regression,
)

N = 80


def data(weighted, two_values=True, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(N, 3)).round(1)
    if two_values:
        y = np.where(y > 0.3, 7.0, 4.0)
    held_out = (y + 3 * rng.normal(size=(5, N, 3))).round(1)
    folds = make_folds(N, rng.integers(0, 9, N))
    weight = rng.integers(0, 4, N) * rng.random(N) if weighted else None
    return y, held_out, folds, weight


def mean_of_folds(metric, truth, found, folds, weight):
    """Average a metric over the folds, as GridSearchCV does; folds without weight are left."""
    values = []
    for fold in range(folds.n_folds):
        rows = folds.codes == fold
        part = None if weight is None else weight[rows]
        if part is None or part.sum() > 0:
            values.append(metric(truth[rows], found[rows], sample_weight=part))
    return np.mean(values)


def expected(name, truth, found, folds, weight):
    """Score one column of predictions with scikit-learn."""
    labels = truth > 5.5
    if name == "neg_mean_squared_error":
        return -mean_of_folds(mean_squared_error, truth, found, folds, weight)
    if name == "r2":
        return r2_score(truth, found, sample_weight=weight)
    if name == "roc_auc":
        return roc_auc_score(labels, found, sample_weight=weight)
    if name == "accuracy":
        return mean_of_folds(accuracy_score, labels, found > 5.5, folds, weight)
    return balanced_accuracy_score(labels, found > 5.5, sample_weight=weight)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", REGRESSION_SCORINGS)
def test_regression(name, weighted):
    y, held_out, folds, weight = data(weighted)
    oracle = np.array(
        [
            [expected(name, y[:, t], each[:, t], folds, weight) for t in range(3)]
            for each in held_out
        ]
    )
    found = score_regression(name, y, held_out, folds, weight, per_target=True)
    np.testing.assert_allclose(found, oracle, rtol=1e-12)
    np.testing.assert_allclose(
        score_regression(name, y, held_out, folds, weight), oracle.mean(axis=1), rtol=1e-12
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", CLASS_SCORINGS)
@pytest.mark.parametrize("classes", [2, 3])
def test_classes(classes, name, weighted):
    rng = np.random.default_rng(classes)
    codes = np.concatenate([np.arange(classes), rng.integers(0, classes, N - classes)])
    k = 1 if classes == 2 else classes
    signs = np.where(codes[:, None] == (np.arange(1, 2) if k == 1 else np.arange(k)), 1.0, -1.0)
    decisions = (signs + 2 * rng.normal(size=(4, N, k))).round(1)
    folds = make_folds(N, rng.integers(0, 9, N))
    weight = rng.integers(0, 4, N) * rng.random(N) if weighted else None
    found = score_classes(name, codes, decisions, folds, weight)
    for score, each in zip(found, decisions, strict=True):
        winners = each.argmax(axis=1) if k > 1 else (each[:, 0] > 0).astype(int)
        if name == "roc_auc":
            areas = [
                roc_auc_score(signs[:, i] > 0, each[:, i], sample_weight=weight) for i in range(k)
            ]
            oracle = np.mean(areas)
        elif name == "accuracy":
            oracle = mean_of_folds(accuracy_score, codes, winners, folds, weight)
        else:
            oracle = balanced_accuracy_score(codes, winners, sample_weight=weight)
        assert score == pytest.approx(oracle, rel=1e-12)


def test_a_class_without_weight_does_not_count():
    codes = np.array([0, 0, 1, 1, 2])
    decisions = np.random.default_rng(0).normal(size=(2, 5, 3))
    weight = np.array([1.0, 2.0, 1.0, 1.0, 0.0])
    found = score_classes("roc_auc", codes, decisions, make_folds(5), weight)
    oracle = [
        np.mean([roc_auc_score(codes == c, d[:, c], sample_weight=weight) for c in range(2)])
        for d in decisions
    ]
    np.testing.assert_allclose(found, oracle)
    assert class_shares(codes, weight)[4] == 0
    only = score_classes("roc_auc", codes, decisions, make_folds(5), weight * (codes == 0))
    assert np.isnan(only).all()


@pytest.mark.parametrize("name", CLASS_SCORINGS)
def test_scores_of_classes_need_two_values(name):
    y, held_out, folds, _ = data(False, two_values=False)
    with pytest.raises(ValueError, match=f'`scoring="{name}"` needs a `y` of two values'):
        score_regression(name, y, held_out, folds)
    y, held_out, folds, _ = data(False)
    with pytest.raises(ValueError, match="both with weight"):
        score_regression(name, y, held_out, folds, (y[:, 0] > 5) * 1.0)
    with pytest.raises(ValueError, match="two values"):
        score_regression(name, np.ones((N, 1)), held_out[:, :, :1], folds)


@pytest.mark.parametrize("decimals", [0, 2, 16])
@pytest.mark.parametrize("length", [2, 3, 50, 3000])
def test_areas_without_weights_are_those_of_equal_weights(length, decimals):
    rng = np.random.default_rng(length)
    positive = rng.random((40, length)) < 0.4
    scores = (rng.normal(size=(40, length)) * 10.0 ** rng.integers(-9, 9, (40, 1))).round(decimals)
    scores[0] = 1.0
    scores[1, 0] = np.inf
    scores[2, 1] = np.nan
    scores[3] = 1e300 * rng.normal(size=length)
    scores[4] = 1.0 + 1e-15 * rng.integers(0, 3, length)
    found = roc_auc(positive, scores)
    np.testing.assert_array_equal(found, roc_auc(positive, scores, np.ones(length, np.int64)))
    assert np.isnan(found[2])


def test_areas_of_one_row_and_of_integers():
    assert np.isnan(roc_auc(np.ones((3, 1), bool), np.zeros((3, 1)))).all()
    positive = np.array([[True, False, True, False]])
    for dtype in ("?", "u1", "i8", "f4"):
        scores = np.array([[1, 0, 0, 1]]).astype(dtype)
        assert roc_auc(positive, scores)[0] == 0.5


def test_balanced_accuracy_of_many_predictions():
    rng = np.random.default_rng(0)
    codes, predicted = rng.integers(0, 3, 50), rng.integers(0, 3, (4, 50))
    oracle = [balanced_accuracy_score(codes, each) for each in predicted]
    np.testing.assert_allclose(balanced_accuracy(codes, predicted), oracle)


@pytest.mark.parametrize("weighted", [False, True])
def test_training_means(weighted):
    y, _, folds, weight = data(weighted)
    found = training_means(folds, y, weight)
    for row in range(N):
        train = folds.codes != folds.codes[row]
        part = None if weight is None else weight[train]
        np.testing.assert_allclose(found[row], np.average(y[train], axis=0, weights=part))


def test_the_mean_of_the_training_rows_is_all_that_pulls_noise_below_one_half():
    rng = np.random.default_rng(0)
    folds, plain, corrected = make_folds(40), [], []
    for _ in range(100):
        y = rng.permutation(np.arange(40) % 4 == 0).astype(float)[:, None]
        means = training_means(folds, y)
        # A model of much penalty: the mean of what it saw, and a little noise.
        held_out = (means + 1e-3 * rng.normal(size=(40, 1)))[None]
        plain.append(score_regression("roc_auc", y, held_out, folds)[0])
        corrected.append(score_regression("roc_auc", y, held_out - means, folds)[0])
    assert np.mean(plain) < 0.01
    assert abs(np.mean(corrected) - 0.5) < 0.03


def test_best_of_each_target():
    scores = np.array([[0.5, 0.1], [0.9, 0.3], [0.9, 0.1 + 0.2]])
    np.testing.assert_array_equal(best_of(scores), [1, 1])
    with pytest.raises(ValueError, match="overflow float64"):
        best_of(np.array([[0.5, np.inf]]))


def test_overflow_is_refused_rather_than_warned_of():
    y = np.array([[0.0], [1.0], [2.0]])
    for name in ("neg_mean_squared_error", "r2"):
        scores = score_regression(name, y, np.full((2, 3, 1), 1e200), make_folds(3))
        with pytest.raises(ValueError, match="overflow float64"):
            best_of(scores)


@pytest.mark.parametrize("flip", [False, True])
def test_two_groups_of_one_class_each_tell_nothing(flip):
    # Each model sees one class: what it predicts otherwise is rounding, which follows the labels.
    rng = np.random.default_rng(0)
    groups = np.arange(20) % 2
    y = groups == (0 if flip else 1)
    for model in (
        RidgeClassifierCV((1.0, 1e-3, 1e-6)),
        RidgeCV((1.0, 1e-3, 1e-6), scoring="roc_auc"),
        LSSVCCV((1.0, 1e3, 1e6), kernel="linear"),
        KernelRidgeCV((1.0, 1e-3, 1e-6), fit_intercept=True, scoring="roc_auc"),
    ):
        for _ in range(5):
            X = rng.normal(size=(20, 30))
            scores = model.fit(X, y if "Classifier" in repr(model) else y * 1.0, groups=groups)
            np.testing.assert_array_equal(scores.cv_scores_, 0.5)


def test_two_groups_of_one_class_each_tell_nothing_to_models_of_patches_and_directions():
    rng = np.random.default_rng(0)
    groups = np.arange(20) % 2
    machines = (
        FeatureMachineClassifier(scoring="roc_auc", cv=2),
        FeatureMachineRegressor(scoring="roc_auc", cv=2),
    )
    for _ in range(3):
        X = rng.normal(size=(20, 4))
        for model in machines:
            assert model.fit(X, groups, groups=groups).best_score_ == 0.5
        patches = DensePatchRidge((3, 3), alphas=(1.0, 1e-6), scoring="roc_auc")
        patches.fit(rng.normal(size=(20, 6, 6)), groups * 1.0, groups=groups)
        np.testing.assert_array_equal(patches.cv_scores_, 0.5)
