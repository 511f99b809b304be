"""LSSVC with kernels of every kind: widths, units, precomputed and indefinite ones."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import weights
from lssvm_by_definition import CS, KERNELS, cohort, naive_held_out, naive_machine, signs_of
from sklearn.metrics.pairwise import (
    rbf_kernel,
)
from sklearn.svm import SVC

from fastmm import LSSVC, LSSVCCV
from fastmm.solve.ridge import design


def test_precomputed_equals_its_kernel():
    X, y, groups = cohort()
    new = cohort(seed=1)[0]
    K = rbf_kernel(X, X, gamma=0.3)
    model = LSSVCCV(CS, kernel="precomputed").fit(K, y, groups=groups)
    expected = LSSVCCV(CS, gamma=0.3).fit(X, y, groups=groups)
    np.testing.assert_allclose(model.cv_decision_, expected.cv_decision_, atol=1e-10)
    np.testing.assert_array_equal(
        model.predict(rbf_kernel(new, X, gamma=0.3)), expected.predict(new)
    )
    assert model.X_fit_ is None
    assert model.__sklearn_tags__().input_tags.pairwise


@pytest.mark.parametrize("kernel", ["poly", "rbf", "laplacian"])
def test_a_search_over_widths_is_that_of_each_width(xp_any, kernel):
    X, y, groups = cohort(60, classes=3)
    gammas = (0.02, "scale", 0.5, "auto")
    model = LSSVCCV(CS, kernel=kernel, gamma=gammas, cv=5)
    model.fit(xp_any.asarray(X), y, groups=groups)
    singles = [
        LSSVCCV(CS, kernel=kernel, gamma=gamma, cv=5).fit(xp_any.asarray(X), y, groups=groups)
        for gamma in gammas
    ]
    scores = np.stack([single.cv_scores_ for single in singles])
    np.testing.assert_allclose(model.cv_scores_, scores, rtol=1e-12)
    place = int(np.argmax(scores.max(axis=1)))
    best = singles[place]
    assert model.best_score_ == pytest.approx(scores.max(), rel=1e-12)
    assert (model.gamma_, model.C_) == (best.gamma_, best.C_)
    for name in ("cv_decision_", "dual_coef_", "intercept_"):
        found, expected = (xp_any.asnumpy(getattr(m, name)) for m in (model, best))
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)
    found, expected = (m.decision_function(xp_any.asarray(X[:7])) for m in (model, best))
    np.testing.assert_allclose(xp_any.asnumpy(found), xp_any.asnumpy(expected), atol=1e-8)


def test_scale_of_the_laplacian_kernel_does_not_change_with_the_unit():
    X, y, groups = cohort()
    model = LSSVCCV(CS, kernel="laplacian").fit(X, y, groups=groups)
    other = LSSVCCV(CS, kernel="laplacian").fit(1e3 * X, y, groups=groups)
    assert model.gamma_ == pytest.approx(1 / (5 * X.std()), rel=1e-12)
    np.testing.assert_allclose(model.cv_decision_, other.cv_decision_, atol=1e-9)


def test_gamma():
    X, y, _ = cohort()
    assert LSSVC().fit(X, y).gamma_ == pytest.approx(SVC().fit(X, y)._gamma, rel=1e-12)
    assert LSSVC(gamma="auto").fit(X, y).gamma_ == 0.2
    times = np.random.default_rng(0).integers(0, 3, len(X))
    repeated = LSSVC().fit(X.repeat(times, 0), y.repeat(times))
    assert LSSVC().fit(X, y, times).gamma_ == pytest.approx(repeated.gamma_, rel=1e-12)
    assert LSSVC().fit(np.ones_like(X), y).gamma_ == 1.0
    assert LSSVC(kernel="linear").fit(X, y).gamma_ is None


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_float32_with_a_large_mean(xp_any, kernel):
    rng = np.random.default_rng(2)
    X = (rng.normal(size=(80, 30)) + 1e4).astype(np.float32)
    y = (X @ rng.normal(size=30).astype(np.float32) > np.median(X @ np.ones(30))).astype(np.int8)
    y[:2] = 0, 1
    wide = X.astype(np.float64)
    wide = wide - wide.mean(0)
    K = KERNELS["linear"](wide, wide) if kernel == "linear" else rbf_kernel(wide, gamma=0.02)
    dual, intercept = naive_machine(K, signs_of(y), 10.0)
    model = LSSVC(10.0, kernel=kernel, gamma=0.02).fit(xp_any.asarray(X), y)
    found = xp_any.asnumpy(model.decision_function(xp_any.asarray(X)))
    assert found.dtype == np.float32
    assert np.abs(found - (K @ dual + intercept)[:, 0]).max() < 1e-6


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("n", [20, 21, 30])
def test_constant_features_decide_for_the_mean_of_the_others(n, weighting, kernel):
    y, groups, weight = np.arange(n) % 3 == 0, np.arange(n) // 2, weights(weighting, n)
    for constant in (1.0, 0.1, 1e5 / 3):
        X = np.full((n, 40), constant)
        model = LSSVCCV((0.1, 1, 10, 100, 1000), kernel=kernel, scoring="accuracy")
        model.fit(X, y, weight, groups)
        expected = naive_held_out(np.zeros((n, n)), signs_of(y), groups, model.C_, weight)
        np.testing.assert_allclose(model.cv_decision_, expected[:, 0], atol=1e-9)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float32"])
def test_a_precomputed_kernel_of_small_integers_does_not_overflow(dtype):
    rng = np.random.default_rng(4)
    K = rng.integers(0, 4, (30, 5))
    K = np.minimum(K @ K.T, 120) + 7 * np.eye(30, dtype=int)
    y, groups = np.arange(30) % 2, np.arange(30) // 3
    model = LSSVC(kernel="precomputed").fit(K.astype(dtype), y, groups=groups)
    expected = naive_held_out(K.astype(float), signs_of(y), groups, 1.0)
    np.testing.assert_allclose(model.cv_decision_, expected[:, 0], atol=1e-9)


@pytest.mark.parametrize("C", [0.5, 2.0])
def test_an_indefinite_kernel_is_solved_as_it_is(C):
    rng = np.random.default_rng(3)
    K = rng.normal(size=(40, 40))
    K = K + K.T
    y, groups = np.arange(40) % 2, np.arange(40) // 4
    model = LSSVC(C, kernel="precomputed").fit(K, y, groups=groups)
    dual, intercept = naive_machine(K, signs_of(y), C)
    np.testing.assert_allclose(model.dual_coef_, dual[:, 0], atol=1e-8)
    np.testing.assert_allclose(model.intercept_, intercept, atol=1e-8)
    expected = naive_held_out(K, signs_of(y), groups, C)
    np.testing.assert_allclose(model.cv_decision_, expected[:, 0], atol=1e-7)


def test_a_singular_indefinite_system_is_refused():
    K = np.diag([1.0, -1.0, -1.0, 1.0])
    with pytest.raises(ValueError, match="not positive semidefinite"):
        LSSVC(1.0, kernel="precomputed").fit(K, [0, 1, 0, 1])


def test_blocks_of_rows_do_not_change_decisions(monkeypatch):
    X, y, _ = cohort(classes=3)
    for kernel in KERNELS:
        model = LSSVC(kernel=KERNELS.get(kernel) if kernel == "callable" else kernel).fit(X, y)
        whole = model.decision_function(X)
        with monkeypatch.context() as patch:
            patch.setattr(design, "_PIECE", 200)
            np.testing.assert_allclose(model.decision_function(X), whole, atol=1e-12)
