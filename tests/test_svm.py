from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn import svm
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import laplacian_kernel, linear_kernel, polynomial_kernel, rbf_kernel
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import SVC
from fastmm.solve.svm import conjugate as svm_conjugate
from fastmm.solve.svm import growth as svm_growth
from fastmm.solve.svm import kernel as svm_kernel
from fastmm.solve.svm import newton as svm_newton
from fastmm.solve.svm import system as svm_system
from fastmm.solve.svm.solution import solve_svm

CS = (0.1, 1.0, 10.0, 100.0)
KERNELS = {
    "linear": linear_kernel,
    "poly": lambda X, Y: polynomial_kernel(X, Y, gamma=0.2, degree=2, coef0=1.0),
    "rbf": lambda X, Y: rbf_kernel(X, Y, gamma=0.2),
    "laplacian": lambda X, Y: laplacian_kernel(X, Y, gamma=0.2),
}


def oracle(K, y, C, weight=None):
    """Solve by scikit-learn's hinge loss on the kernel that makes it the squared one."""
    used = np.arange(len(y)) if weight is None else np.flatnonzero(weight)
    w = np.ones(len(used)) if weight is None else weight[used]
    if np.unique(y[used]).size == 1:
        return np.full(len(y), y[used][0]), np.zeros(len(y))
    shifted = K[np.ix_(used, used)] + np.diag(1 / (2 * C * w))
    scale = np.abs(shifted).mean()  # its tolerance is absolute
    model = svm.SVC(kernel="precomputed", C=1e8, tol=1e-10).fit(shifted / scale, y[used])
    # It keeps kernels in float32. Its support vectors, and those alone, give the solution in
    # float64, which must fulfil the conditions of optimality and be the one that it found.
    active = np.isin(np.arange(len(used)), model.support_)
    for _ in range(20):
        at = np.flatnonzero(active)
        system = np.ones((len(at) + 1,) * 2)
        system[0, 0] = 0
        system[1:, 1:] = K[np.ix_(used[at], used[at])] + np.diag(1 / (2 * C * w[at]))
        solution = np.linalg.solve(system, np.append(0, y[used[at]]))
        dual = np.zeros(len(y))
        dual[used[at]] = solution[1:]
        scores = K @ dual + solution[0]
        if ((y * scores)[used] < 1)[~active].any() or (dual * y < -1e-12).any():
            active = (y * scores)[used] < 1
        else:
            break
    else:
        raise AssertionError("the oracle has no solution")
    seen = K[:, used[model.support_]] @ model.dual_coef_[0] / scale + model.intercept_[0]
    assert error(seen, scores) < 2e-3
    return scores, dual


def cohort(n=80, d=5, classes=2, shift=1.0, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % classes
    X = rng.normal(size=(n, d)) + shift * codes[:, None] * rng.normal(size=d)
    return X, np.array(["benign", "grade 1", "grade 2"])[codes], rng.integers(0, n // 4, n)


def signs_of(y, positive="grade 1"):
    return np.where(y == positive, 1.0, -1.0)


def weights(kind, n):
    rng = np.random.default_rng(9)
    weight = rng.uniform(0.2, 3, n)
    if kind == "zeros":
        weight[rng.random(n) < 0.25] = 0
    return None if kind == "none" else weight


def error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("shift", [0.0, 3.0], ids=["overlapping", "easy"])
@pytest.mark.parametrize("kernel", list(KERNELS))
def test_equals_the_hinge_loss_of_the_shifted_kernel(xp_any, kernel, shift, weighting):
    X, y, _ = cohort(shift=shift)
    K, weight = KERNELS[kernel](X, X), weights(weighting, len(X))
    there = None if weight is None else xp_any.asarray(weight)
    for C in CS:
        expected, dual = oracle(K, signs_of(y), C, weight)
        model = SVC(C, kernel=kernel, gamma=0.2, degree=2, coef0=1.0)
        model.fit(xp_any.asarray(X), y, there)
        found = xp_any.asnumpy(model.decision_function(xp_any.asarray(X)))
        assert error(found, expected) < 1e-5
        mine = np.zeros(len(y))
        mine[xp_any.asnumpy(model.support_)] = xp_any.asnumpy(model.dual_coef_)
        assert error(mine, dual) < 1e-5
        assert model.residual_ < 1e-6
        assert model.n_support_.sum() == len(model.support_)


@pytest.mark.parametrize("way", ["plain", "nystrom", "rounded", "direct"])
@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("C", CS)
def test_every_way_of_solving_finds_the_same(monkeypatch, way, dense, C):
    monkeypatch.setattr(svm_growth, "_FIRST", 30)
    monkeypatch.setattr(svm_growth, "_DENSE", 0.0 if dense else 2.0)
    monkeypatch.setattr(svm_kernel, "_SMALL", 0)
    if way != "direct":
        monkeypatch.setattr(svm_system, "_DIRECT", 0)
        trials = {name: 500 * (name == way) for name in svm_conjugate.WAYS}
        monkeypatch.setattr(svm_conjugate, "_TRIALS", trials)
    X, y, _ = cohort(400, shift=0.5)
    weight = weights("zeros", 400)
    expected, _ = oracle(rbf_kernel(X, gamma=0.2), signs_of(y), C, weight)
    model = SVC(C, gamma=0.2, tol=1e-9).fit(X, y, weight)
    assert error(model.decision_function(X), expected) < 1e-6


def test_slow_conjugate_gradients_end_in_a_factorisation(monkeypatch):
    monkeypatch.setattr(svm_system, "_DIRECT", 0)
    trials = {"plain": 2, "nystrom": 2, "rounded": 0}
    monkeypatch.setattr(svm_conjugate, "_TRIALS", trials)
    X, y, _ = cohort(200, shift=0.5)
    expected, _ = oracle(rbf_kernel(X, gamma=0.2), signs_of(y), 10.0)
    found = SVC(10.0, gamma=0.2).fit(X, y).decision_function(X)
    assert error(found, expected) < 1e-5


@pytest.mark.parametrize("weighting", ["none", "zeros"])
@pytest.mark.parametrize("classes", [2, 3])
def test_leaving_groups_out_equals_cold_refits(xp_any, classes, weighting):
    X, y, groups = cohort(classes=classes, shift=2.0)
    weight = weights(weighting, len(X))
    there = None if weight is None else xp_any.asarray(weight)
    model = SVC(5.0, gamma=0.2, tol=1e-9).fit(xp_any.asarray(X), y, there, groups)
    found = xp_any.asnumpy(model.cv_decision_).reshape(len(X), -1)
    names = np.unique(y)[1:] if classes == 2 else np.unique(y)
    for group in np.unique(groups):
        part = (groups != group) * (np.ones(len(X)) if weight is None else weight)
        for column, name in zip(found.T, names, strict=True):
            expected, _ = oracle(rbf_kernel(X, gamma=0.2), signs_of(y, name), 5.0, part)
            np.testing.assert_allclose(
                column[groups == group], expected[groups == group], atol=1e-5
            )
    plain = SVC(5.0, gamma=0.2, tol=1e-9).fit(xp_any.asarray(X), y, there)
    np.testing.assert_array_equal(
        xp_any.asnumpy(plain.dual_coef_), xp_any.asnumpy(model.dual_coef_)
    )
    assert not hasattr(plain, "cv_decision_")
    assert not hasattr(model.fit(xp_any.asarray(X), y), "cv_decision_")


def test_a_group_without_support_vectors_is_not_solved(monkeypatch):
    X, y, _ = cohort(shift=4.0)
    model = SVC(5.0).fit(X, y)
    groups = np.where(np.isin(np.arange(len(X)), model.support_), np.arange(len(X)), -1)
    asked = []
    refit = svm_growth.GrowingMachine.refit
    monkeypatch.setattr(
        svm_growth.GrowingMachine,
        "refit",
        lambda self, *given: asked.append(1) or refit(self, *given),
    )
    again = SVC(5.0).fit(X, y, groups=groups)
    assert len(asked) == len(model.support_) < len(X)
    idle = groups < 0
    np.testing.assert_allclose(
        again.cv_decision_[idle], model.decision_function(X)[idle], atol=1e-9
    )


def test_a_group_that_holds_all_of_a_class():
    X, y, _ = cohort(20)
    groups = np.where(y == "benign", 0, np.arange(20))
    model = SVC().fit(X, y, groups=groups)
    np.testing.assert_array_equal(model.cv_decision_[groups == 0], 1.0)


def test_three_classes_are_each_against_the_rest(xp_any):
    X, y, _ = cohort(90, classes=3, shift=2.0)
    K = rbf_kernel(X, gamma=0.2)
    model = SVC(3.0, gamma=0.2).fit(xp_any.asarray(X), y)
    found = xp_any.asnumpy(model.decision_function(xp_any.asarray(X)))
    for column, name in zip(found.T, model.classes_, strict=True):
        assert error(column, oracle(K, signs_of(y, name), 3.0)[0]) < 1e-5
    np.testing.assert_array_equal(model.predict(xp_any.asarray(X)), model.classes_[found.argmax(1)])
    assert model.dual_coef_.shape == (len(model.support_), 3)
    counts = [(y[xp_any.asnumpy(model.support_)] == name).sum() for name in model.classes_]
    np.testing.assert_array_equal(model.n_support_, counts)


def test_rows_that_are_no_support_vectors_may_be_taken_away():
    X, y, _ = cohort(200, shift=3.0)
    model = SVC(10.0, gamma=0.2, tol=1e-9).fit(X, y)
    assert len(model.support_) < 150
    part = SVC(10.0, gamma=0.2, tol=1e-9).fit(X[model.support_], y[model.support_])
    np.testing.assert_allclose(part.decision_function(X), model.decision_function(X), atol=1e-8)
    np.testing.assert_array_equal(model.support_vectors_, X[model.support_])
    margin = signs_of(y) * model.decision_function(X)
    np.testing.assert_array_equal(np.flatnonzero(margin < 1 - 1e-9), model.support_)


def test_weights_are_counts_and_class_weights_are_weights():
    X, y, _ = cohort()
    times = np.random.default_rng(0).integers(0, 3, len(X))
    model = SVC(2.0, tol=1e-9).fit(X, y, times)
    repeated = SVC(2.0, tol=1e-9).fit(X.repeat(times, 0), y.repeat(times))
    assert model.gamma_ == pytest.approx(repeated.gamma_, rel=1e-12)
    np.testing.assert_allclose(repeated.decision_function(X), model.decision_function(X), atol=1e-7)
    model = SVC(gamma=0.2, class_weight={"benign": 3.0}, tol=1e-9).fit(X, y)
    same = SVC(gamma=0.2, tol=1e-9).fit(X, y, np.where(y == "benign", 3.0, 1.0))
    np.testing.assert_allclose(same.decision_function(X), model.decision_function(X), atol=1e-9)


def test_small_c_makes_all_rows_active_as_in_the_least_squares_machine():
    from fastmm.solve.kernel.bordered import solve_lssvm

    X, y, _ = cohort(shift=0.2)
    K, signs = rbf_kernel(X, gamma=0.2), signs_of(y)
    model = SVC(1e-4, gamma=0.2, tol=1e-10).fit(X, y)
    dual, _ = solve_lssvm(K, signs, 2e-4)
    np.testing.assert_array_equal(model.support_, np.arange(len(X)))
    np.testing.assert_allclose(model.dual_coef_, dual, rtol=1e-6, atol=1e-12)


def test_precomputed_and_callable_equal_their_kernel():
    X, y, _ = cohort()
    new = cohort(seed=1)[0]
    expected = SVC(2.0, gamma=0.3, tol=1e-9).fit(X, y).decision_function(new)
    model = SVC(2.0, kernel="precomputed", tol=1e-9).fit(rbf_kernel(X, gamma=0.3), y)
    np.testing.assert_allclose(
        model.decision_function(rbf_kernel(new, X, gamma=0.3)), expected, atol=1e-8
    )
    assert model.X_fit_ is None
    assert model.__sklearn_tags__().input_tags.pairwise
    model = SVC(2.0, kernel=lambda A, B: rbf_kernel(A, B, gamma=0.3), tol=1e-9).fit(X, y)
    np.testing.assert_allclose(model.decision_function(new), expected, atol=1e-8)


@pytest.mark.parametrize("C", [1.0, 1e4, 1e8])
def test_separable_classes_reach_the_hard_margin(C):
    X = np.array([[-2.0], [-1.0], [1.0], [3.0]])
    model = SVC(C, kernel="linear").fit(X, [0, 0, 1, 1])
    expected, _ = oracle(X @ X.T, np.array([-1.0, -1, 1, 1]), C)
    assert error(model.decision_function(X), expected) < 1e-5
    if C > 1:
        np.testing.assert_array_equal(model.support_, [1, 2])
        np.testing.assert_allclose(model.decision_function([[-1.0], [1.0]]), [-1, 1], rtol=1e-3)


def test_duplicated_rows_with_either_label():
    X = np.repeat(cohort(20)[0], 4, axis=0)
    y = np.arange(80) % 2
    y[:40] = np.repeat(np.arange(10) % 2, 4)
    for kernel in ("rbf", "linear"):
        K = rbf_kernel(X, gamma=0.2) if kernel == "rbf" else X @ X.T
        for C in CS:
            expected, _ = oracle(K, 2.0 * y - 1, C)
            found = SVC(C, kernel=kernel, gamma=0.2).fit(X, y).decision_function(X)
            assert error(found, expected) < 1e-5


@pytest.mark.parametrize("kernel", ["rbf", "linear", "laplacian"])
def test_constant_features_decide_for_one_value(kernel):
    y = np.arange(30) % 3 == 0
    model = SVC(kernel=kernel).fit(np.full((30, 4), 0.1), y)
    np.testing.assert_allclose(model.decision_function(np.full((2, 4), 0.1)), -1 / 3, atol=1e-9)


def test_two_rows_and_a_rare_class():
    assert SVC().fit([[0.0], [1.0]], [0, 1]).predict([[0.1], [0.9]]).tolist() == [0, 1]
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 3))
    y = np.zeros(2000, int)
    y[:4] = 1
    X[:4] += 2
    expected, _ = oracle(rbf_kernel(X, gamma=0.2), 2.0 * y - 1, 10.0)
    assert error(SVC(10.0, gamma=0.2).fit(X, y).decision_function(X), expected) < 1e-5


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_float32_with_a_large_mean(xp_any, kernel):
    rng = np.random.default_rng(2)
    X = (rng.normal(size=(80, 10)) + 1e4).astype(np.float32)
    wide = X.astype(np.float64) - X.astype(np.float64).mean(0)
    y = (wide[:, 0] + rng.normal(size=80) > 0).astype(np.int8)
    K = wide @ wide.T if kernel == "linear" else rbf_kernel(wide, gamma=0.02)
    model = SVC(kernel=kernel, gamma=0.02).fit(xp_any.asarray(X), y)
    found = xp_any.asnumpy(model.decision_function(xp_any.asarray(X)))
    assert found.dtype == np.float32
    assert error(found, oracle(K, 2.0 * y - 1, 1.0)[0]) < 1e-5
    assert xp_any.asnumpy(model.predict(xp_any.asarray(X))).dtype == np.int8


def test_an_indefinite_kernel_is_refused_where_it_has_no_minimum():
    rng = np.random.default_rng(3)
    K = rng.normal(size=(40, 40))
    K = K + K.T
    y = np.arange(40) % 2
    with pytest.raises(ValueError, match="not positive semidefinite"):
        SVC(10.0, kernel="precomputed").fit(K, y)
    expected, _ = oracle(K, 2.0 * y - 1, 0.01)  # K + 50 I is definite
    assert error(SVC(0.01, kernel="precomputed").fit(K, y).decision_function(K), expected) < 1e-5


def test_a_limit_of_steps_warns():
    X, y, _ = cohort(shift=0.3)
    with pytest.warns(ConvergenceWarning, match="did not converge in 1 steps"):
        model = SVC(10.0, max_iter=1).fit(X, y)
    assert model.residual_ > 1e-6


def test_the_same_bits_again_and_after_pickling():
    X, y, _ = cohort()
    new = cohort(seed=1)[0]
    model = SVC().fit(X, y)
    expected = model.decision_function(new)
    np.testing.assert_array_equal(SVC().fit(X.copy(), y).decision_function(new), expected)
    X[:] = 0
    np.testing.assert_array_equal(model.decision_function(new), expected)
    again = pickle.loads(pickle.dumps(model)).decision_function(new)
    np.testing.assert_array_equal(again, expected)


def test_a_saved_model_predicts_the_same(tmp_path):
    pytest.importorskip("safetensors", reason="model files need safetensors")
    from fastmm import load_model, save_model

    X, y, groups = cohort(classes=3)
    model = SVC().fit(X, y, groups=groups)
    loaded = load_model(save_model(model, tmp_path / "svm.fastmm"))
    np.testing.assert_array_equal(loaded.decision_function(X), model.decision_function(X))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_threads_are_as_they_were_after_fits_at_once():
    from threading import Thread

    from threadpoolctl import threadpool_info

    X, y, _ = cohort()
    before, expected = threadpool_info(), SVC().fit(X, y).dual_coef_
    models = [SVC() for _ in range(4)]
    threads = [Thread(target=model.fit, args=(X, y)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [pool["num_threads"] for pool in threadpool_info()[: len(before)]] == [
        pool["num_threads"] for pool in before
    ]
    for model in models:
        np.testing.assert_allclose(model.dual_coef_, expected, atol=1e-12)


def definite(n, seed=4):
    rng = np.random.default_rng(seed)
    K = rbf_kernel(rng.normal(size=(n, 4)), gamma=0.1)
    r = rng.uniform(0.5, 2, n)
    return K, r, rng.normal(size=n), rng


@pytest.mark.parametrize("unit", [True, False])
def test_a_rounded_factor_follows_the_active_rows(unit):
    from fastmm._space import Space
    from fastmm.solve.svm.rounded import RoundedFactor

    K, weights, slack, rng = definite(300)
    weights = np.ones(300) if unit else weights
    active = slack > -0.8
    lower = np.tril(K) + np.triu(np.full(K.shape, np.nan), 1)
    factor = RoundedFactor(lower, weights * active, slack, 0.1, Space("cpu"))
    for _ in range(6):  # rows leave, join, and return: those expected to leave, and others
        r = weights * active
        rows, right = np.flatnonzero(active), rng.normal(size=300) * active
        M = (K * r * r[:, None] + 0.1 * np.eye(300))[np.ix_(rows, rows)]
        found = factor.solver(r)(right)
        assert not found[~active].any()
        expected = np.linalg.solve(M, right[rows])
        assert error(found[rows], expected) < 1e-4
        active[rng.choice(300, 5)] ^= True
    assert factor.basis.size
    assert factor.last.size > int(0.4 * factor.count)
    assert factor.solver(weights * (slack < -0.8)) is None


def test_a_nystrom_preconditioner_serves_any_rows():
    from fastmm._space import Space
    from fastmm.solve.svm.nystrom import NystromPreconditioner

    K, weights, slack, rng = definite(400)
    lower = np.tril(K) + np.triu(np.full(K.shape, np.nan), 1)
    of = NystromPreconditioner(lower, weights * (slack > -0.5), 0.5, Space("cpu"))
    for limit in (-0.5, 0.5, -2.0):
        r = weights * (slack > limit)
        right = rng.normal(size=400) * (r > 0)
        M = K * r * r[:, None] + 0.5 * np.eye(400)
        found = of.solver(r)(right)
        assert not found[r == 0].any()
        assert error(M @ found, right) < 0.6  # 50 landmarks of a smooth kernel
        diagonal = right / M.diagonal()
        assert error(M @ diagonal, right) > 1


def test_dependent_landmarks_leave_the_diagonal():
    from fastmm._space import Space
    from fastmm.solve.svm.nystrom import NystromPreconditioner

    K = -np.ones((40, 40))
    of = NystromPreconditioner(K, np.ones(40), 2.0, Space("cpu"))
    np.testing.assert_allclose(of.solver(np.ones(40))(np.ones(40)), 1.0)


@pytest.mark.parametrize("n", [1, 127, 128, 300])
def test_substitution_in_blocks(n):
    from fastmm._space import Space
    from fastmm.solve.svm.substitution import Substitution

    rng = np.random.default_rng(n)
    A = np.cov(rng.normal(size=(n, 2 * n + 5))).reshape(n, n)
    lower = np.linalg.cholesky(A).astype(np.float32)
    lower[np.triu_indices(n, 1)] = np.nan
    right = rng.normal(size=n).astype(np.float32)
    both = Substitution(lower, Space("cpu"))
    found = both.backward(both.forward(right))
    assert found.dtype == np.float32
    assert error(A @ found, right) < 1e-4


def test_rows_across_are_taken_from_the_lower_triangle():
    from fastmm._space import Space
    from fastmm.solve.svm.algebra import cross_part

    rng = np.random.default_rng(0)
    K = rng.normal(size=(400, 400))
    K = K + K.T
    lower = np.tril(K) + np.triu(np.full(K.shape, np.nan), 1)
    for share in (0.01, 0.4, 0.9, 1.0):
        rows = np.flatnonzero(rng.random(400) < share)
        columns = np.flatnonzero(rng.random(400) < 0.6)
        found = cross_part(lower, rows, columns, Space("cpu"), np.float64)
        np.testing.assert_array_equal(found, K[np.ix_(rows, columns)])


def test_line_search_finds_the_minimum():
    from fastmm._space import Space
    from fastmm.solve.svm.system import ActiveSystem, State

    rng = np.random.default_rng(5)
    K = np.cov(rng.normal(size=(30, 60)))
    y = np.where(rng.random(30) < 0.5, 1.0, -1.0)
    system = ActiveSystem(svm_kernel.DenseKernel(K, Space("cpu")), y, 3.0, Space("cpu"))

    def loss(a, b):
        return a @ K @ a / 2 + 3 * (np.maximum(0, 1 - y * (K @ a + b)) ** 2).sum()

    a, way = np.zeros(30), y * rng.random(30) / 9
    start, end = State(a, 0.1, K @ a), State(way, 0.0, K @ way)
    t = svm_newton._line_search(system, np.ones(30), start, end)
    values = [loss(a + s * (way - a), 0.1 - 0.1 * s) for s in (0.99 * t, t, 1.01 * t)]
    assert t > 0
    assert values[1] < min(values[0], values[2])


def test_solve_svm_is_usable_alone(xp_any):
    X, y, _ = cohort()
    K, signs, weight = linear_kernel(X, X), signs_of(y), weights("zeros", len(X))
    dual, intercept = solve_svm(
        xp_any.asarray(K), xp_any.asarray(signs), 3.0, sample_weight=xp_any.asarray(weight)
    )
    expected, _ = oracle(K, signs, 3.0, weight)
    assert error(K @ xp_any.asnumpy(dual) + intercept, expected) < 1e-5
    with pytest.raises(ValueError, match="`C`"):
        solve_svm(K, signs, 0.0)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (SVC(0.0), "`C` must be a finite number greater than 0, got 0.0"),
        (SVC(np.nan), "`C`"),
        (SVC(tol=0.0), "`tol`"),
        (SVC(max_iter=0), "`max_iter`"),
        (SVC(kernel="gauss"), '`kernel` must be one of "linear"'),
        (SVC(gamma=0.0), "`gamma`"),
        (SVC(kernel="precomputed"), r"must have shape \(4, 4\), got \(4, 2\)"),
        (SVC(class_weight={"x": 1}), "`class_weight`"),
    ],
)
def test_bad_parameters(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit([[0.0, 1.0], [1.0, 0.0], [3.0, 1.0], [2.0, 2.0]], [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": ["ill"] * 4}, "only one class, ill"),
        ({"y": [0, 1, 1, 1], "sample_weight": [0, 1, 1, 1]}, "only one class, 1"),
        ({"y": [0, 1, 1]}, r"inconsistent numbers of samples: \[4, 3\]"),
        ({"groups": [1, 1, 1, 1]}, "at least 2 groups"),
    ],
)
def test_bad_arguments(arguments, message):
    given = {"y": [0, 1, 0, 1], **arguments}
    with pytest.raises(ValueError, match=message):
        SVC().fit([[0.0], [1.0], [3.0], [2.0]], **given)


def rounded(estimator):
    if estimator.kernel != "precomputed":
        return {}
    reason = "rounds the kernel matrix to integers, which are not positive semidefinite"
    return dict.fromkeys(("check_estimators_dtypes", "check_positive_only_tag_during_fit"), reason)


@parametrize_with_checks(
    [SVC(), SVC(kernel="linear"), SVC(kernel="precomputed")], expected_failed_checks=rounded
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("C", [1e2, 1e4])
def test_a_hard_margin_is_the_widest_one(C):
    # More columns than rows: many machines have no slack, of which one is right.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 200))
    y = (X[:, 0] + rng.normal(size=120) > 0).astype(int)
    groups = np.arange(120) // 2
    K = X @ X.T
    model = SVC(C, kernel="linear").fit(X, y, groups=groups)
    held_out = model.cv_decision_
    for left in (groups >= 0, groups != 0, groups != 7):
        peer = svm.SVC(C=1e12, kernel="precomputed", tol=1e-9)
        peer.fit(K[np.ix_(left, left)] + np.eye(left.sum()) / (2 * C), y[left])
        expected = peer.decision_function(K[:, left])
        found = model.decision_function(X)
        if not left.all():
            expected, found = expected[~left], held_out[~left]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
