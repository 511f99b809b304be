"""KernelRidgeCV against grid searches and refits without each group."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import weights
from kernel_ridge_by_definition import cohort, gram, naive_held_out
from sklearn.kernel_ridge import KernelRidge as Peer
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, balanced_accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, GroupKFold, LeaveOneGroupOut
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import KernelRidge, KernelRidgeCV, load_model, save_model
from fastmm._space import enter
from fastmm.solve.grouped import make_folds
from fastmm.solve.kernel.bandwidths import kernel_grams
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.solve.ridge import design

ALPHAS = {"inverses": (0.1, 2.0), "spectrum": np.logspace(-2, 2, 7)}
GAMMAS = (0.05, 0.2, 0.6)


@pytest.mark.parametrize("way", list(ALPHAS))
@pytest.mark.parametrize("kernel", ["linear", "poly", "rbf", "laplacian"])
def test_search_equals_the_grid_search_of_scikit_learn(kernel, way):
    X, y, groups = cohort(60)
    new = cohort(seed=1)[0]
    grid = {"gamma": GAMMAS, "alpha": ALPHAS[way]}
    peer = GridSearchCV(
        Peer(kernel=kernel), grid, scoring="neg_mean_squared_error", cv=LeaveOneGroupOut()
    ).fit(X, y, groups=groups)
    model = KernelRidgeCV(ALPHAS[way], kernel=kernel, gamma=GAMMAS).fit(X, y, groups=groups)
    scores = np.reshape(peer.cv_results_["mean_test_score"], (len(ALPHAS[way]), 3)).T
    np.testing.assert_allclose(model.cv_scores_, scores, rtol=1e-8)
    assert model.best_score_ == pytest.approx(peer.best_score_, rel=1e-8)
    assert model.alpha_ == peer.best_params_["alpha"]
    assert kernel == "linear" or model.gamma_ == peer.best_params_["gamma"]
    np.testing.assert_allclose(model.predict(new), peer.predict(new), atol=1e-9)


@pytest.mark.parametrize("way", list(ALPHAS))
@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("kernel", ["linear", "poly", "rbf"])
def test_predictions_are_those_of_refits(xp_any, kernel, intercept, weighting, way):
    X, y, groups = cohort()
    weight = weights(weighting, len(X))
    there = None if weight is None else xp_any.asarray(weight)
    model = KernelRidgeCV(ALPHAS[way], kernel=kernel, gamma=0.2, fit_intercept=intercept)
    model.fit(xp_any.asarray(X), xp_any.asarray(y), there, groups)
    K = gram(kernel, X, X)
    expected = naive_held_out(K, y, groups, model.alpha_, intercept, weight)
    np.testing.assert_allclose(xp_any.asnumpy(model.cv_predictions_), expected, atol=1e-8)
    single = KernelRidge(model.alpha_, kernel=kernel, gamma=0.2, fit_intercept=intercept)
    single.fit(xp_any.asarray(X), xp_any.asarray(y), there)
    found = xp_any.asnumpy(model.predict(xp_any.asarray(X)))
    expected = xp_any.asnumpy(single.predict(xp_any.asarray(X)))
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("way", list(ALPHAS))
def test_an_alpha_for_each_target(way):
    X, y, groups = cohort(60)
    rng = np.random.default_rng(0)
    y = np.column_stack([y, rng.normal(size=(60, 2))])
    given = {"kernel": "rbf", "gamma": (0.1, 0.3), "fit_intercept": True}
    model = KernelRidgeCV(ALPHAS[way], alpha_per_target=True, **given).fit(X, y, groups=groups)
    place = (0.1, 0.3).index(model.gamma_)
    assert model.cv_scores_.shape == (2, len(ALPHAS[way]), 4)
    assert model.alpha_.shape == (4,)
    assert np.unique(model.alpha_).size > 1
    for j in range(4):
        one = KernelRidgeCV(ALPHAS[way], **{**given, "gamma": model.gamma_})
        one.fit(X, y[:, j], groups=groups)
        np.testing.assert_allclose(model.cv_scores_[place, :, j], one.cv_scores_, rtol=1e-9)
        assert model.alpha_[j] == one.alpha_
        assert model.best_score_[j] == pytest.approx(one.best_score_, rel=1e-9)
        np.testing.assert_allclose(model.cv_predictions_[:, j], one.cv_predictions_, atol=1e-9)
        np.testing.assert_allclose(model.predict(X)[:, j], one.predict(X), atol=1e-9)


@pytest.mark.parametrize("cv", [None, 3, GroupKFold(4)])
def test_folds(cv):
    X, y, groups = cohort()
    given = None if cv is None else groups
    model = KernelRidgeCV((0.3, 2.0), kernel="rbf", cv=cv).fit(X, y[:, 0], groups=given)
    codes = make_folds(len(X), given, cv).codes
    expected = np.empty(len(X))
    for fold in np.unique(codes):
        test = codes == fold
        peer = Peer(model.alpha_, kernel="rbf").fit(X[~test], y[~test, 0])
        expected[test] = peer.predict(X[test])
    np.testing.assert_allclose(model.cv_predictions_, expected, atol=1e-10)


def test_scores():
    X, y, groups = cohort(60)
    weight = weights("zeros", 60)
    y = np.where(y[:, 0] > np.median(y[:, 0]), 3.0, -1.0)
    K = gram("rbf", X, X)
    held_out = naive_held_out(K, y[:, None], groups, 0.5, True, weight)[:, 0]
    means = np.empty(60)
    for name in np.unique(groups):
        means[groups == name] = np.average(y[groups != name], weights=weight[groups != name])
    shares = [weight * (groups == name) for name in np.unique(groups)]

    def by_fold(score):
        return np.mean([score(share) for share in shares if share.sum() > 0])

    expected = {
        "neg_mean_squared_error": by_fold(lambda w: -np.average((held_out - y) ** 2, weights=w)),
        "r2": r2_score(y, held_out, sample_weight=weight),
        "roc_auc": roc_auc_score(y > 0, held_out - means, sample_weight=weight),
        "accuracy": by_fold(lambda w: accuracy_score(y > 0, held_out > 1, sample_weight=w)),
        "balanced_accuracy": balanced_accuracy_score(y > 0, held_out > 1, sample_weight=weight),
    }
    for name, value in expected.items():
        model = KernelRidgeCV((0.5,), kernel="rbf", fit_intercept=True, scoring=name)
        model.fit(X, y, weight, groups)
        assert model.best_score_ == pytest.approx(value, rel=1e-10), name


def test_no_signal_scores_half():
    # A label left out moves the mean of the others against it: pooled areas must not see it.
    rng = np.random.default_rng(0)
    found = []
    for _ in range(100):
        X, y = rng.normal(size=(40, 20)), (np.arange(40) < 14).astype(float)
        model = KernelRidgeCV((1e6,), kernel="rbf", fit_intercept=True, scoring="roc_auc")
        found.append(model.fit(X, y).best_score_)
    assert abs(np.mean(found) - 0.5) < 0.04


@pytest.mark.parametrize("intercept", [False, True])
def test_no_penalty_on_a_singular_kernel_equals_refits(intercept):
    rng = np.random.default_rng(5)
    X, y, groups = rng.normal(size=(30, 4)), rng.normal(size=30), np.arange(30) // 3
    for alphas in ((0.0,), (0.0, 1e-3, 1e-2, 0.1, 1.0, 10.0)):
        model = KernelRidgeCV(alphas, fit_intercept=intercept).fit(X, y, groups=groups)
        score = []
        for name in np.unique(groups):
            test = groups == name
            peer = Ridge(0.0, fit_intercept=intercept, solver="svd").fit(X[~test], y[~test])
            score.append(-np.mean((peer.predict(X[test]) - y[test]) ** 2))
        assert model.cv_scores_[0] == pytest.approx(np.mean(score), rel=1e-9)
        assert np.isfinite(model.dual_coef_).all()


def test_pieces_do_not_change_scores(monkeypatch):
    X, y, groups = cohort()
    given = {"alphas": ALPHAS["spectrum"], "kernel": "rbf", "fit_intercept": True}
    whole = KernelRidgeCV(**given).fit(X, y, groups=groups)
    monkeypatch.setattr(design, "_PIECE", 300)
    model = KernelRidgeCV(**given).fit(X, y, groups=groups)
    np.testing.assert_allclose(model.cv_scores_, whole.cv_scores_, rtol=1e-12)
    np.testing.assert_allclose(model.cv_predictions_, whole.cv_predictions_, atol=1e-12)


@pytest.mark.parametrize("kernel", ["linear", "poly", "rbf", "laplacian"])
def test_widths_share_distances(xp_any, kernel):
    X = cohort(40)[0] + 100
    functions = [KernelFunction(kernel, gamma, 2, 1.0) for gamma in (0.4, 0.05, 3.0)]
    there = xp_any.asarray(X)
    space = enter(X=there)[0]
    for function, found in zip(functions, kernel_grams(functions, there, space), strict=True):
        expected = xp_any.asnumpy(function.training(there, space.xp))
        np.testing.assert_allclose(xp_any.asnumpy(found), expected, rtol=1e-12, atol=1e-13)
        found *= 0  # each is the caller's own


@pytest.mark.parametrize("solver", ["inverses", "spectrum"])
def test_precomputed_equals_its_kernel(solver, tmp_path):
    X, y, groups = cohort()
    new = cohort(seed=1)[0]
    given = {"alphas": ALPHAS[solver], "fit_intercept": True}
    model = KernelRidgeCV(kernel="precomputed", **given).fit(gram("rbf", X, X), y, groups=groups)
    expected = KernelRidgeCV(kernel="rbf", gamma=0.2, **given).fit(X, y, groups=groups)
    np.testing.assert_allclose(model.cv_predictions_, expected.cv_predictions_, atol=1e-10)
    np.testing.assert_allclose(model.predict(gram("rbf", new, X)), expected.predict(new), atol=1e-9)
    loaded = load_model(save_model(expected, tmp_path / "model.fastmm"))
    np.testing.assert_array_equal(loaded.predict(new), expected.predict(new))


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (KernelRidgeCV(()), ValueError, "`alphas` must hold at least one value"),
        (KernelRidgeCV((1.0, -1.0)), ValueError, r"`alphas\[1\]`"),
        (KernelRidgeCV(scoring="f1"), ValueError, "`scoring` must be one of"),
        (KernelRidgeCV(kernel="rbf", gamma=()), ValueError, "`gamma` must hold at least one"),
        (KernelRidgeCV(kernel="rbf", gamma=(1.0, 0.0)), ValueError, "`gamma`"),
        (KernelRidgeCV(kernel="gauss"), ValueError, "`kernel`"),
        (KernelRidgeCV(cv=9), ValueError, "`cv` must be at most the number of groups"),
        (KernelRidgeCV(scoring="roc_auc"), ValueError, "needs a `y` of two values"),
    ],
)
def test_bad_parameters(model, error, message):
    with pytest.raises(error, match=message):
        model.fit([[0.0, 1.0], [1.0, 0.0], [3.0, 1.0], [2.0, 2.0]], [0.0, 1.0, 2.0, 3.0])


@parametrize_with_checks(
    [
        KernelRidgeCV(),
        KernelRidgeCV(kernel="rbf", gamma=(0.1, 1.0), fit_intercept=True),
        KernelRidgeCV(kernel="precomputed"),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_an_outlier_costs_the_other_rows_nothing():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    y = X[:, 0].copy()
    X[7] += 1e9
    model = KernelRidgeCV(alphas=[0.1], kernel="rbf", gamma=[0.5, 0.6]).fit(X, y)
    apart = X[:, None] - X
    K = np.exp(-model.gamma_ * (apart**2).sum(-1))
    for i in (0, 39):
        left = np.arange(40) != i
        a = np.linalg.solve(K[np.ix_(left, left)] + 0.1 * np.eye(39), y[left])
        np.testing.assert_allclose(model.cv_predictions_[i], K[i, left] @ a, rtol=0, atol=1e-9)
