"""SVC with the squared hinge loss, against the hinge loss of a shifted kernel."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import weights
from sklearn import svm
from sklearn.metrics.pairwise import laplacian_kernel, linear_kernel, polynomial_kernel, rbf_kernel
from svm_by_hinge import cohort, error, oracle, signs_of

from fastmm import SVC
from fastmm.solve.svm import conjugate as svm_conjugate
from fastmm.solve.svm import growth as svm_growth
from fastmm.solve.svm import kernel as svm_kernel
from fastmm.solve.svm import system as svm_system

CS = (0.1, 1.0, 10.0, 100.0)
KERNELS = {
    "linear": linear_kernel,
    "poly": lambda X, Y: polynomial_kernel(X, Y, gamma=0.2, degree=2, coef0=1.0),
    "rbf": lambda X, Y: rbf_kernel(X, Y, gamma=0.2),
    "laplacian": lambda X, Y: laplacian_kernel(X, Y, gamma=0.2),
}


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
