"""Recursive feature machines: gradients by finite differences, subspaces that are known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import (
    FeatureMachineClassifier,
    FeatureMachineRegressor,
    KernelRidge,
    load_model,
    save_model,
)
from fastmm._space import Space
from fastmm.solve.kernel.feature_matrix import Metric, stages

CPU = Space("cpu")


def signal(n=200, d=12, seed=0):
    """Numbers that depend on one direction of many, and not linearly."""
    rng = np.random.default_rng(seed)
    direction = np.random.default_rng(99).normal(size=d)
    direction /= np.linalg.norm(direction)
    X = rng.normal(size=(n, d))
    t = X @ direction
    return X, np.tanh(2 * t) + t**2 / 2 + 0.05 * rng.normal(size=n), direction


def start(kernel, d, diagonal=False, gamma=0.3):
    return Metric(kernel, gamma, np.ones(d) if diagonal else np.eye(d), 0.0)


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kernel", ["laplace", "rbf"])
def test_the_feature_matrix_holds_products_of_gradients(kernel, weighted, targets):
    X, y, _ = signal(30, 4)
    y = np.stack([y, np.sin(X[:, 1])], axis=1)[:, :targets]
    weight = np.random.default_rng(1).uniform(0.2, 2, 30) if weighted else None
    share = np.full(30, 1 / 30) if weight is None else weight / weight.sum()
    first, second, third = stages(X, y, weight, start(kernel, 4), 0.1, 2, CPU)
    for stage, learned in ((first, second), (second, third)):
        step, expected = 1e-4, np.zeros((4, 4))
        steps = step * np.eye(4)
        for i in range(30):
            # One-sided slopes of |x - x_i| cancel in the middle; all else is smooth.
            up, down = stage.predict(X[i] + steps, np), stage.predict(X[i] - steps, np)
            gradient = (up - down) / (2 * step)
            expected += share[i] * gradient @ gradient.T
        centred = X - share @ X
        covariance = (centred * share[:, None]).T @ centred
        size = np.sum(stage.metric.matrix * covariance) / np.sum(expected * covariance)
        atol = 1e-5 * abs(expected * size).max()
        np.testing.assert_allclose(learned.metric.matrix, expected * size, rtol=1e-4, atol=atol)


def test_a_diagonal_matrix_is_the_diagonal_where_it_began():
    X, y, _ = signal(40, 5)
    _, full = stages(X, y[:, None], None, start("rbf", 5), 0.1, 1, CPU)
    _, thin = stages(X, y[:, None], None, start("rbf", 5, True), 0.1, 1, CPU)
    covariance = np.cov(X.T, bias=True)
    diagonal = np.diag(full.metric.matrix)
    scale = np.trace(covariance) / (diagonal * np.diag(covariance)).sum()
    np.testing.assert_allclose(thin.metric.matrix, diagonal * scale, rtol=1e-10)


@pytest.mark.parametrize("kernel", ["laplace", "rbf"])
def test_the_metric_is_what_it_says(kernel):
    rng = np.random.default_rng(5)
    factor = rng.normal(size=(4, 3))
    X, Z = rng.normal(size=(6, 4)) + 50, rng.normal(size=(5, 4)) + 50
    metric = Metric(kernel, 0.7, factor @ factor.T, X.mean(0))
    squares = metric.squares(*(metric.features(rows, metric.root(np)) for rows in (X, Z)), np)
    difference = X[:, None] - Z
    expected = np.einsum("ijk,kl,ijl->ij", difference, metric.matrix, difference)
    np.testing.assert_allclose(squares, expected, atol=1e-10)
    far = np.sqrt(expected) if kernel == "laplace" else expected
    np.testing.assert_allclose(metric.kernel(squares, np), np.exp(-0.7 * far), atol=1e-10)


def test_without_iterations_it_is_kernel_ridge_regression():
    X, y, _ = signal(60, 5)
    model = FeatureMachineRegressor(0.1, kernel="rbf", gamma=0.2, iterations=0).fit(X, y)
    plain = KernelRidge(0.1, kernel="rbf", gamma=0.2, fit_intercept=True).fit(X, y)
    new = signal(20, 5, 1)[0]
    np.testing.assert_allclose(model.predict(new), plain.predict(new), atol=1e-9)
    np.testing.assert_array_equal(model.feature_matrix_, np.eye(5))


@pytest.mark.parametrize("kernel", ["laplace", "rbf"])
def test_finds_the_subspace_and_beats_the_plain_kernel(kernel):
    X, y, direction = signal()
    new, truth, _ = signal(1000, seed=7)
    model = FeatureMachineRegressor(1e-2, kernel=kernel, iterations=4).fit(X, y)
    plain = FeatureMachineRegressor(1e-2, kernel=kernel, iterations=0).fit(X, y)
    assert model.iteration_ > 0
    assert abs(np.linalg.eigh(model.feature_matrix_)[1][:, -1] @ direction) > 0.99
    errors = [np.mean((m.predict(new) - truth) ** 2) for m in (model, plain)]
    assert errors[0] < errors[1] / 3


def test_classes_beyond_two():
    X, _, direction = signal(240)
    names = np.array(["low", "mid", "high"])[np.digitize(X @ direction, [-0.4, 0.4])]
    model = FeatureMachineClassifier(1e-2, iterations=3, scoring="accuracy").fit(X, names)
    new = signal(400, seed=3)[0]
    truth = np.array(["low", "mid", "high"])[np.digitize(new @ direction, [-0.4, 0.4])]
    assert np.mean(model.predict(new) == truth) > 0.9
    assert model.decision_function(new).shape == (400, 3)
    assert model.cv_decision_.shape == (240, 3)
    assert np.mean(model.cv_predictions_ == names) == pytest.approx(model.best_score_, abs=0.02)


def test_held_out_predictions_never_saw_their_group():
    """As they are by fits to the other folds, of which the matrix is learned anew."""
    X, y, _ = signal(60, 5)
    groups = np.arange(60) // 4
    model = FeatureMachineRegressor((0.01, 0.1), iterations=2, cv=3).fit(X, y, groups=groups)
    from fastmm.solve.grouped import make_folds

    codes = make_folds(60, groups, 3).codes
    metric = Metric("laplace", model.gamma_, np.eye(5), 0.0)
    for fold in range(3):
        train, test = codes != fold, codes == fold
        runs = stages(X[train], y[train, None], None, metric, model.alpha_, model.iteration_, CPU)
        expected = list(runs)[-1].predict(X[test], np)[:, 0]
        np.testing.assert_allclose(model.cv_predictions_[test], expected, rtol=1e-10)
    shuffled = np.random.default_rng(0).permutation(y)
    noise = FeatureMachineRegressor((0.01, 0.1), iterations=3, scoring="r2").fit(X, shuffled)
    assert noise.best_score_ < 0.1


def test_scores_and_the_choice():
    X, y, _ = signal(120, 6)
    labels = y > np.median(y)
    model = FeatureMachineClassifier((0.01, 1.0), iterations=2).fit(X, labels)
    assert model.cv_scores_.shape == (2, 3)
    assert model.best_score_ == model.cv_scores_.max()
    place = np.argwhere(model.cv_scores_ == model.best_score_)[0]
    assert (model.alpha_, model.iteration_) == ((0.01, 1.0)[place[0]], place[1])
    assert roc_auc_score(labels, model.cv_decision_) == pytest.approx(model.best_score_, abs=0.02)
    with pytest.raises(ValueError, match="`scoring` must be one of"):
        FeatureMachineClassifier(scoring="r2").fit(X, labels)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("diagonal", [False, True])
def test_any_array_library(xp_any, diagonal, dtype):
    X, y, _ = signal(40, 5)
    X, y = X.astype(dtype), y.astype(dtype)
    options = {"iterations": 2, "diagonal": diagonal, "cv": 3}
    expected = FeatureMachineRegressor(0.1, **options).fit(X, y)
    model = FeatureMachineRegressor(0.1, **options).fit(xp_any.asarray(X), xp_any.asarray(y))
    got = xp_any.asnumpy(model.predict(xp_any.asarray(X)))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected.predict(X), rtol=1e-5, atol=1e-5)
    names = np.where(y > 0, "a", "b")
    labelled = FeatureMachineClassifier(0.1, **options).fit(xp_any.asarray(X), names)
    assert labelled.predict(xp_any.asarray(X)).dtype == names.dtype
    assert labelled.decision_function(xp_any.asarray(X)).dtype == dtype


def test_weights_of_zero_and_two():
    X, y, _ = signal(40, 5)
    weight = np.ones(40)
    weight[:5], weight[5:10] = 0, 2
    folds = [(np.arange(20, 40), np.arange(20)), (np.arange(20), np.arange(20, 40))]
    model = FeatureMachineRegressor(0.1, iterations=2, gamma=0.3, cv=folds)
    model.fit(X, y, sample_weight=weight)
    kept = np.r_[5:40, 5:10]
    where = [np.flatnonzero(np.isin(kept, test)) for _, test in folds]
    doubled = FeatureMachineRegressor(0.1, iterations=2, gamma=0.3, cv=[where[::-1], where])
    doubled.fit(X[kept], y[kept])
    new = signal(10, 5, 2)[0]
    np.testing.assert_allclose(model.predict(new), doubled.predict(new), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(model.feature_matrix_, doubled.feature_matrix_, rtol=1e-7)


def test_constant_targets_and_features_learn_nothing():
    X, _, _ = signal(30, 4)
    model = FeatureMachineRegressor(0.1, iterations=2).fit(X, np.full(30, 3.0))
    np.testing.assert_allclose(model.predict(X), 3.0)
    X[:, 2] = 5.0
    model = FeatureMachineRegressor(0.1, iterations=2).fit(X, X[:, 0])
    assert np.isfinite(model.predict(X)).all()
    model = FeatureMachineRegressor(0.1, iterations=1).fit(np.ones((30, 2)), np.arange(30.0))
    assert np.isfinite(model.predict(np.ones((3, 2)))).all()


def test_files(tmp_path):
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    X, y, _ = signal(50, 5)
    for model in (FeatureMachineRegressor(0.1).fit(X, y), FeatureMachineClassifier().fit(X, y > 0)):
        again = load_model(save_model(model, tmp_path / "model.fastmm"))
        np.testing.assert_array_equal(again.predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alphas": 0}, "`alphas"),
        ({"alphas": ()}, "`alphas` must hold at least one value"),
        ({"iterations": -1}, "`iterations` must be an integer of at least 0"),
        ({"kernel": "linear"}, "`kernel` must be one of"),
        ({"gamma": -1}, "`gamma` must be"),
        ({"cv": 50}, "`cv` must be at most"),
    ],
)
def test_bad_parameters(arguments, message):
    X, y, _ = signal(30, 4)
    for model in (FeatureMachineRegressor(**arguments), FeatureMachineClassifier(**arguments)):
        with pytest.raises(ValueError, match=message):
            model.fit(X, y > 0)


@parametrize_with_checks(
    [
        FeatureMachineRegressor(0.1, iterations=1, cv=2),
        FeatureMachineClassifier(0.1, iterations=1, cv=2),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
