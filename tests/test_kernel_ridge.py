from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge as Peer
from sklearn.metrics.pairwise import laplacian_kernel, linear_kernel, polynomial_kernel, rbf_kernel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import KernelRidge, load_model, save_model
from fastmm.solve.kernel import kernel_ridge_fit
from fastmm.solve.kernel import products as kernel_products

KERNELS = ("linear", "poly", "rbf", "laplacian")
ALPHAS = np.array([0.3, 5.0])
EXACT = {"direct": {}, "cg": {"tol": 1e-12, "n_components": 15}}


def gram(kernel, X, Y):
    return {
        "linear": linear_kernel,
        "poly": lambda A, B: polynomial_kernel(A, B, gamma=0.2),
        "rbf": lambda A, B: rbf_kernel(A, B, gamma=0.2),
        "laplacian": lambda A, B: laplacian_kernel(A, B, gamma=0.2),
    }[kernel](X, Y)


def naive_fit(K, y, alphas, intercept, weight=None):
    """Solve the system as it is written, on the rows that have weight."""
    weight = np.ones(len(y)) if weight is None else weight
    used = np.flatnonzero(weight)
    dual, b = np.zeros(y.shape), np.zeros(y.shape[1])
    for j, alpha in enumerate(np.broadcast_to(alphas, y.shape[1])):
        system = np.zeros((used.size + 1, used.size + 1))
        system[1:, 1:] = K[np.ix_(used, used)] + np.diag(alpha / weight[used])
        system[0, 0] = not intercept
        system[0, 1:] = system[1:, 0] = intercept
        solution = np.linalg.solve(system, np.concatenate([[0.0], y[used, j]]))
        b[j], dual[used, j] = solution[0], solution[1:]
    return dual, b


def naive_held_out(K, y, groups, alphas, intercept, weight=None):
    found = np.empty(y.shape)
    for name in np.unique(groups):
        test, train = groups == name, groups != name
        part = None if weight is None else weight[train]
        dual, b = naive_fit(K[np.ix_(train, train)], y[train], alphas, intercept, part)
        found[test] = K[np.ix_(test, train)] @ dual + b
    return found


def cohort(n=50, d=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    y = np.stack([np.sin(X[:, 0]) + X[:, 1], X[:, 2] ** 2], axis=1) + 0.1 * rng.normal(size=(n, 2))
    groups = np.array([f"p{g}" for g in rng.integers(0, n // 4, n)], dtype="U9")
    groups[:3] = "big"
    return X, y, groups


def weights(kind, n):
    rng = np.random.default_rng(9)
    weight = rng.uniform(0.2, 3, n)
    if kind == "zeros":
        weight[rng.random(n) < 0.25] = 0
    return None if kind == "none" else weight


@pytest.mark.parametrize("solver", list(EXACT))
@pytest.mark.parametrize("kernel", KERNELS)
def test_equals_scikit_learn(kernel, solver):
    X, y, _ = cohort()
    new = cohort(seed=1)[0]
    for weight in (None, weights("positive", len(X))):
        peer = Peer(ALPHAS, kernel=kernel).fit(X, y, weight)
        model = KernelRidge(ALPHAS, kernel=kernel, solver=solver, **EXACT[solver])
        model.fit(X, y, weight)
        np.testing.assert_allclose(model.dual_coef_, peer.dual_coef_, atol=1e-10, rtol=1e-9)
        np.testing.assert_allclose(model.predict(new), peer.predict(new), atol=1e-10)
        assert model.intercept_ == 0.0
        assert model.solver_ == solver
        assert 0 <= model.residual_ < 1e-11
        assert model.gamma_ == (None if kernel == "linear" else 0.2)
    single = KernelRidge(0.5, kernel=kernel).fit(X, y[:, 0])
    expected = Peer(0.5, kernel=kernel).fit(X, y[:, 0])
    assert single.dual_coef_.shape == (len(X),)
    np.testing.assert_allclose(single.predict(new), expected.predict(new), atol=1e-11)


@pytest.mark.parametrize("solver", list(EXACT))
@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
def test_equals_the_system_as_written(xp_any, kernel, intercept, weighting, solver):
    X, y, _ = cohort()
    new, weight = cohort(seed=1)[0], weights(weighting, len(X))
    dual, b = naive_fit(gram(kernel, X, X), y, ALPHAS, intercept, weight)
    model = KernelRidge(
        ALPHAS, kernel=kernel, fit_intercept=intercept, solver=solver, **EXACT[solver]
    )
    model.fit(
        xp_any.asarray(X), xp_any.asarray(y), None if weight is None else xp_any.asarray(weight)
    )
    found = xp_any.asnumpy(model.dual_coef_)
    np.testing.assert_allclose(found, dual, atol=1e-9, rtol=1e-8)
    expected = gram(kernel, new, X) @ dual + b
    found = xp_any.asnumpy(model.predict(xp_any.asarray(new)))
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
def test_leaving_groups_out_equals_refits(xp_any, kernel, intercept, weighting):
    X, y, groups = cohort()
    weight = weights(weighting, len(X))
    there = None if weight is None else xp_any.asarray(weight)
    model = KernelRidge(ALPHAS, kernel=kernel, fit_intercept=intercept)
    model.fit(xp_any.asarray(X), xp_any.asarray(y), there, groups)
    expected = naive_held_out(gram(kernel, X, X), y, groups, ALPHAS, intercept, weight)
    found = xp_any.asnumpy(model.cv_predictions_)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    plain = model.fit(xp_any.asarray(X), xp_any.asarray(y[:, :2]))
    assert not hasattr(plain, "cv_predictions_")


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
def test_all_rows_as_centres_give_the_exact_solution(xp_any, kernel, intercept):
    X, y, groups = cohort()
    new = cohort(seed=1)[0]
    given = xp_any.asarray(X), xp_any.asarray(y)
    exact = KernelRidge(ALPHAS, kernel=kernel, fit_intercept=intercept).fit(*given, groups=groups)
    model = clone(exact).set_params(solver="nystrom", n_components=99).fit(*given, groups=groups)
    expected = xp_any.asnumpy(exact.predict(xp_any.asarray(new)))
    found = xp_any.asnumpy(model.predict(xp_any.asarray(new)))
    np.testing.assert_allclose(found, expected, atol=2e-7)
    held_out = xp_any.asnumpy(model.cv_predictions_)
    np.testing.assert_allclose(held_out, xp_any.asnumpy(exact.cv_predictions_), atol=2e-7)
    assert model.solver_ == "nystrom"
    np.testing.assert_array_equal(model.component_indices_, np.arange(len(X)))


@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("intercept", [False, True])
def test_centres_solve_their_least_squares_problem(intercept, weighting):
    X, y, groups = cohort(80)
    weight = weights(weighting, len(X))
    model = KernelRidge(
        0.7, kernel="rbf", gamma=0.2, solver="nystrom", n_components=12,
        fit_intercept=intercept, tol=1e-12,
    ).fit(X, y, weight, groups)  # fmt: skip
    Z = X[model.component_indices_]
    if weight is not None:
        assert (weight[model.component_indices_] > 0).all()
    weight = np.ones(len(X)) if weight is None else weight

    def solve(train):
        """Solve the penalised normal equations of the centres, with an unpenalised column."""
        design = np.column_stack([rbf_kernel(X[train], Z, gamma=0.2), np.ones(train.sum())])
        penalty = np.zeros((13, 13))
        penalty[:12, :12] = 0.7 * rbf_kernel(Z, gamma=0.2)
        if not intercept:
            design[:, 12], penalty[12, 12] = 0, 1
        scaled = design * weight[train, None]
        return np.linalg.solve(design.T @ scaled + penalty, scaled.T @ y[train])

    solution = solve(np.ones(len(X), bool))
    np.testing.assert_allclose(model.dual_coef_, solution[:12], atol=1e-7)
    np.testing.assert_allclose(model.intercept_, solution[12], atol=1e-8)
    for name in np.unique(groups):
        test = groups == name
        part = solve(~test)
        expected = rbf_kernel(X[test], Z, gamma=0.2) @ part[:12] + part[12]
        np.testing.assert_allclose(model.cv_predictions_[test], expected, atol=1e-8)


def test_centres_come_close_to_the_exact_error():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (4000, 2))
    truth = np.sin(2 * X[:, 0]) * np.cos(X[:, 1])
    y = truth[:3000] + 0.3 * rng.normal(size=3000)
    given = {"alpha": 0.1, "kernel": "rbf", "gamma": 1.0}
    errors = {}
    for solver in ("direct", "nystrom"):
        model = KernelRidge(**given, solver=solver, n_components=200).fit(X[:3000], y)
        errors[solver] = np.mean((model.predict(X[3000:]) - truth[3000:]) ** 2)
    assert model.dual_coef_.shape == (200,)
    assert errors["nystrom"] < 1.01 * errors["direct"]


def test_cg_equals_direct_with_and_without_kept_tiles(monkeypatch):
    X, y, _ = cohort(300)
    weight = weights("zeros", 300)
    given = {"alpha": [1e-3, 1.0], "kernel": "rbf", "fit_intercept": True}
    exact = KernelRidge(**given, solver="direct").fit(X, y, weight)
    monkeypatch.setitem(kernel_products._TILE, "cpu", 1000)
    for limit in (0, 1 << 30):
        monkeypatch.setattr(kernel_ridge_fit, "memory_limit", lambda _, limit=limit: limit)
        model = KernelRidge(**given, tol=1e-10, n_components=150, solver="cg").fit(X, y, weight)
        np.testing.assert_allclose(model.predict(X), exact.predict(X), atol=1e-8)
        scale = np.abs(exact.dual_coef_).max()
        np.testing.assert_allclose(model.dual_coef_, exact.dual_coef_, atol=1e-8 * scale)
        assert 1 < model.n_iter_ < 200
        assert model.residual_ <= 1e-10


@pytest.mark.parametrize("solver", ["auto", "nystrom"])
def test_memory_does_not_grow_with_the_kernel_matrix(solver, monkeypatch):
    rng = np.random.default_rng(0)
    n = 3000
    X, y = rng.normal(size=(n, 4)), rng.normal(size=n)
    monkeypatch.setitem(kernel_products._TILE, "cpu", 1 << 16)
    monkeypatch.setattr(kernel_ridge_fit, "memory_limit", lambda _: 1 << 20)
    model = KernelRidge(10.0, kernel="rbf", solver=solver, n_components=60, tol=1e-4)
    model.fit(X[:64], y[:64]).predict(X[:64])  # compiles
    tracemalloc.start()
    try:
        model.fit(X, y).predict(X)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 8 * n * n / 6
    assert model.solver_ == ("cg" if solver == "auto" else "nystrom")


@pytest.mark.parametrize("solver", ["direct", "cg", "nystrom"])
def test_precomputed_and_callable_equal_their_kernel(solver):
    X, y, groups = cohort()
    new = cohort(seed=1)[0]
    given = {"fit_intercept": True, "solver": solver, "n_components": 20}
    groups = None if solver == "cg" else groups
    expected = KernelRidge(0.5, kernel="rbf", gamma=0.2, **given).fit(X, y, groups=groups)
    model = KernelRidge(0.5, kernel="precomputed", **given)
    model.fit(gram("rbf", X, X), y, groups=groups)
    found = model.predict(gram("rbf", new, X))
    np.testing.assert_allclose(found, expected.predict(new), atol=1e-7)
    assert model.X_fit_ is None
    assert model.__sklearn_tags__().input_tags.pairwise
    named = KernelRidge(0.5, kernel=lambda A, B: gram("rbf", A, B), **given)
    named.fit(X, y, groups=groups)
    np.testing.assert_allclose(named.predict(new), expected.predict(new), atol=1e-7)
    if groups is not None:
        for other in (model, named):
            np.testing.assert_allclose(other.cv_predictions_, expected.cv_predictions_, atol=1e-7)


def test_gamma():
    X, y, _ = cohort()
    assert KernelRidge(kernel="rbf").fit(X, y).gamma_ == 0.2
    assert KernelRidge(kernel="rbf", gamma="auto").fit(X, y).gamma_ == 0.2
    scale = KernelRidge(kernel="rbf", gamma="scale").fit(X, y).gamma_
    assert scale == pytest.approx(1 / (5 * X.var()), rel=1e-12)
    assert KernelRidge(gamma="scale").fit(X, y).gamma_ is None


@pytest.mark.parametrize("solver", ["direct", "cg", "nystrom"])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_float32_with_a_large_mean(xp_any, kernel, solver):
    rng = np.random.default_rng(2)
    X = (rng.normal(size=(80, 6)) + 1e4).astype(np.float32)
    y = rng.normal(size=(80, 2)).astype(np.float32)
    wide = X.astype(np.float64) - X.mean(0, dtype=np.float64)
    K = gram(kernel, wide, wide)
    dual, b = naive_fit(K, y.astype(np.float64), 2.0, True)
    model = KernelRidge(
        2.0, kernel=kernel, gamma=0.2, fit_intercept=True, solver=solver, n_components=80
    )
    model.fit(xp_any.asarray(X), xp_any.asarray(y))
    found = xp_any.asnumpy(model.predict(xp_any.asarray(X)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, K @ dual + b, atol=2e-6)


@pytest.mark.parametrize("intercept", [False, True])
def test_no_penalty_on_a_singular_kernel_gives_the_least_norm(intercept):
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    model = KernelRidge(0.0, fit_intercept=intercept)
    with pytest.warns(LinAlgWarning, match="rank 4 and alpha is 0"):
        model.fit(X, y)
    left = np.column_stack([X, np.ones(30)]) if intercept else X
    coef = np.linalg.lstsq(left, y, rcond=None)[0]
    np.testing.assert_allclose(model.predict(X), left @ coef, atol=1e-10)
    assert np.abs(model.dual_coef_).max() < 10
    groups = np.arange(30) // 2
    with pytest.warns(LinAlgWarning):
        model.fit(X, y, groups=groups)
    for name in (0, 7):
        train = groups != name
        coef = np.linalg.lstsq(left[train], y[train], rcond=None)[0]
        np.testing.assert_allclose(model.cv_predictions_[~train], left[~train] @ coef, atol=1e-10)


def test_a_kernel_beyond_float64_is_said():
    X, y, _ = cohort()
    with pytest.warns(LinAlgWarning, match="ill-conditioned"):
        KernelRidge(kernel="poly", fit_intercept=True).fit(X + 1e4, y)


def test_an_indefinite_kernel_is_solved_directly_and_refused_by_iteration():
    rng = np.random.default_rng(3)
    K = rng.normal(size=(40, 40))
    K, y, groups = K + K.T, rng.normal(size=(40, 1)), np.arange(40) // 4
    for intercept in (False, True):
        model = KernelRidge(1.5, kernel="precomputed", fit_intercept=intercept)
        model.fit(K, y, groups=groups)
        dual, b = naive_fit(K, y, 1.5, intercept)
        np.testing.assert_allclose(model.predict(K), K @ dual + b, atol=1e-9)
        expected = naive_held_out(K, y, groups, 1.5, intercept)
        np.testing.assert_allclose(model.cv_predictions_, expected, atol=1e-8)
    for solver in ("cg", "nystrom"):
        model = KernelRidge(kernel="precomputed", solver=solver)
        with pytest.raises(ValueError, match="not positive semidefinite"):
            model.fit(K, y)
    with pytest.raises(ValueError, match="singular"):
        KernelRidge(1.0, kernel="precomputed").fit(np.diag([1.0, -1.0, 2.0]), [1.0, 2, 3])


def test_constant_features_and_one_row():
    y = np.arange(12.0)
    for solver in ("direct", "cg", "nystrom"):
        for kernel in ("linear", "rbf"):
            model = KernelRidge(kernel=kernel, fit_intercept=True, solver=solver)
            model.fit(np.full((12, 3), 0.1), y)
            np.testing.assert_allclose(model.predict(np.ones((2, 3)) / 10), 5.5, atol=1e-9)
            model.fit([[1.0, 2.0]], [3.0])
            np.testing.assert_allclose(model.predict([[1.0, 2.0]]), 3.0, atol=1e-9)


def test_iterations_that_do_not_do_are_said():
    X, y, _ = cohort(200)
    for solver in ("cg", "nystrom"):
        model = KernelRidge(1e-6, kernel="rbf", solver=solver, max_iter=1, n_components=5)
        with pytest.warns(ConvergenceWarning, match="After 1 iterations"):
            model.fit(X, y)
        assert model.residual_ > model.tol


def test_the_same_seed_gives_the_same_bits():
    X, y, _ = cohort(200)
    for solver in ("cg", "nystrom"):
        one, two = (
            KernelRidge(kernel="rbf", solver=solver, n_components=20, seed=4).fit(X, y)
            for _ in range(2)
        )
        np.testing.assert_array_equal(one.dual_coef_, two.dual_coef_)


def test_pipelines_files_and_later_changes_of_the_data(tmp_path):
    X, y, _ = cohort()
    new = cohort(seed=1)[0]
    model = KernelRidge(0.5, kernel="rbf").fit(X, y)
    expected = model.predict(new)
    piped = make_pipeline(StandardScaler(), KernelRidge(0.5, kernel="rbf")).fit(X, y)
    assert np.isfinite(piped.predict(new)).all()
    for solver in ("direct", "nystrom"):
        model = KernelRidge(0.5, kernel="rbf", solver=solver, n_components=9).fit(X, y)
        expected = model.predict(new)
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.predict(new), expected)
        loaded = load_model(save_model(model, tmp_path / "model.fastmm"))
        np.testing.assert_array_equal(loaded.predict(new), expected)
    model = KernelRidge(0.5, kernel="rbf").fit(X, y)
    expected = model.predict(new)
    X[:] = 0
    np.testing.assert_array_equal(model.predict(new), expected)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (KernelRidge(-1.0), ValueError, "`alpha` must be a finite number of at least 0, got -1.0"),
        (KernelRidge(np.nan), ValueError, "`alpha`"),
        (KernelRidge([1.0, 2.0]), ValueError, "one for each of the 1 targets, got 2"),
        (KernelRidge(0.0, solver="cg"), ValueError, 'greater than 0 for `solver="cg"`, got 0'),
        (KernelRidge(0.0, solver="nystrom"), ValueError, "`alpha` must be greater than 0"),
        (KernelRidge(kernel="gauss"), ValueError, '`kernel` must be one of "linear"'),
        (KernelRidge(kernel="rbf", gamma=0.0), ValueError, "`gamma`"),
        (KernelRidge(kernel="rbf", gamma="wide"), ValueError, "`gamma`"),
        (KernelRidge(kernel="poly", degree=0), ValueError, "`degree`"),
        (KernelRidge(solver="svd"), ValueError, '`solver` must be one of "auto", "direct"'),
        (KernelRidge(n_components=0, solver="cg"), ValueError, "`n_components`"),
        (KernelRidge(tol=0, solver="cg"), ValueError, "`tol`"),
        (KernelRidge(max_iter=0, solver="cg"), ValueError, "`max_iter`"),
        (KernelRidge(seed=-1, solver="cg"), ValueError, "`seed`"),
        (KernelRidge(kernel="precomputed"), ValueError, r"must have shape \(4, 4\), got \(4, 2\)"),
        (
            KernelRidge(kernel="precomputed", solver="cg"),
            ValueError,
            r"must have shape \(4, 4\), got \(4, 2\)",
        ),
        (
            KernelRidge(kernel="precomputed", solver="nystrom"),
            ValueError,
            r"must have shape \(4, 4\), got \(4, 2\)",
        ),
    ],
)
def test_bad_parameters(model, error, message):
    with pytest.raises(error, match=message):
        model.fit([[0.0, 1.0], [1.0, 0.0], [3.0, 1.0], [2.0, 2.0]], [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": [0.0, np.nan, 1, 2]}, "1 of 4 values, the first at index 1"),
        ({"y": [0.0, 1.0]}, r"inconsistent numbers of samples: \[4, 2\]"),
        ({"y": None}, "requires y to be passed"),
        ({"groups": [1, 1, 1, 1]}, "at least 2 groups"),
        ({"sample_weight": [1, -1, 1, 1]}, "`sample_weight` must not be negative"),
    ],
)
def test_bad_arguments(arguments, message):
    given = {"y": [0.0, 1, 0, 1], **arguments}
    with pytest.raises(ValueError, match=message):
        KernelRidge().fit([[0.0], [1.0], [3.0], [2.0]], **given)


def test_an_asymmetric_kernel_is_refused():
    for solver in ("direct", "cg"):
        with pytest.raises(ValueError, match="must be symmetric"):
            KernelRidge(kernel="precomputed", solver=solver).fit(np.tri(4), np.arange(4.0))


def test_groups_need_a_solver_that_can_leave_them_out():
    X, y, groups = cohort()
    with pytest.raises(ValueError, match='take `solver="nystrom"`'):
        KernelRidge(solver="cg").fit(X, y, groups=groups)


@parametrize_with_checks(
    [
        KernelRidge(),
        KernelRidge(kernel="rbf", fit_intercept=True),
        KernelRidge(kernel="precomputed"),
        KernelRidge(kernel="rbf", solver="cg"),
        KernelRidge(kernel="rbf", solver="nystrom", fit_intercept=True),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
