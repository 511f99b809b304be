"""Folds left out by a factor in float32 and corrections, against refits in float64."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import linear_kernel, rbf_kernel

from fastmm import LSSVC, LSSVCCV
from fastmm._space import Space
from fastmm.solve.fold_order import order_by_fold
from fastmm.solve.grouped import make_folds
from fastmm.solve.kernel import cross_validated as candidates
from fastmm.solve.kernel import rounded_folds
from fastmm.solve.kernel.bordered import BorderedSystem
from fastmm.solve.kernel.rounded_folds import RoundedFolds, pays


def refits(K, signs, groups, C, weight=None):
    """Return the decisions of the bordered systems as they are written, and the last one."""
    weight = np.ones(len(K)) if weight is None else weight
    decisions = np.empty(signs.shape)
    for name in [*np.unique(groups), None]:
        train = groups != name
        n = int(train.sum())
        system = np.ones((n + 1, n + 1))
        system[0, 0] = 0
        system[1:, 1:] = K[np.ix_(train, train)] + np.diag(1 / (C * weight[train]))
        found = np.linalg.solve(system, np.vstack([0 * signs[:1], signs[train]]))
        if name is not None:
            decisions[~train] = K[np.ix_(~train, train)] @ found[1:] + found[0]
    return decisions, found


def cohort(n=90, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % classes
    X = rng.normal(size=(n, 4)) + codes[:, None] * rng.normal(size=4)
    return X, codes, rng.integers(0, 7, n)


def signs_of(codes):
    positive = codes[:, None] == (np.array([1]) if codes.max() == 1 else np.unique(codes))
    return np.where(positive, 1.0, -1.0)


@pytest.fixture
def rounds(monkeypatch):
    """Let systems of any size be rounded, and count those that were, and were not, solved so."""
    solved, solve = [], RoundedFolds.solve

    def counted(self, alpha):
        found = solve(self, alpha)
        solved.append(found is not None)
        return found

    monkeypatch.setattr(rounded_folds, "_LEAST", 1)
    monkeypatch.setattr(rounded_folds, "_SHARE", 0)
    monkeypatch.setattr(RoundedFolds, "solve", counted)
    return solved


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_rounding_is_corrected(rounds, kernel, classes, weighted):
    X, y, groups = cohort(classes=classes)
    weight = np.random.default_rng(1).uniform(0.1, 5, len(y)) if weighted else None
    K = rbf_kernel(X, gamma=0.3) if kernel == "rbf" else linear_kernel(X)
    for C in (0.01, 1.0, 100.0):
        model = LSSVCCV((C,), kernel=kernel, gamma=0.3).fit(X, y, weight, groups)
        expected, (intercept, *dual) = refits(K, signs_of(y), groups, C, weight)
        found = model.cv_decision_.reshape(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(model.intercept_, intercept, atol=1e-9)
        decisions = model.decision_function(X).reshape(expected.shape)
        np.testing.assert_allclose(decisions, K @ np.array(dual) + intercept, atol=1e-9)
        assert model.residual_ < 1e-16 * C * len(y) * 10 + 1e-14
    assert rounds == [True] * 3


@pytest.mark.parametrize("size", [1e-200, 1e-30, 1e30, 1e200])
def test_the_size_of_the_kernel_does_not_matter(rounds, size):
    X, y, groups = cohort()
    K = rbf_kernel(X, gamma=0.3)
    expected, _ = refits(K, signs_of(y), groups, 2.0)
    model = LSSVC(2.0 / size, kernel="precomputed").fit(size * K, y, groups=groups)
    np.testing.assert_allclose(model.cv_decision_, expected[:, 0], rtol=1e-9, atol=1e-9)
    assert rounds == [True]


def test_what_float32_cannot_hold_is_solved_in_float64(rounds):
    X, y, groups = cohort()
    K, Cs = linear_kernel(X), (1.0, 1e8)
    model = LSSVCCV(Cs, kernel="linear").fit(X, y, groups=groups)
    assert rounds == [True, False]
    for C, found in zip(Cs, model.cv_scores_, strict=True):
        alone = LSSVCCV((C,), kernel="linear")
        assert alone.fit(X, y, groups=groups).cv_scores_[0] == found
        expected, _ = refits(K, signs_of(y), groups, C)
        np.testing.assert_allclose(alone.cv_decision_, expected[:, 0], atol=1e-5)


def test_an_indefinite_kernel_is_solved_as_it_is(rounds):
    K = np.random.default_rng(3).normal(size=(40, 40))
    K = K + K.T
    y, groups = np.arange(40) % 2, np.arange(40) // 4
    model = LSSVC(2.0, kernel="precomputed").fit(K, y, groups=groups)
    expected, _ = refits(K, signs_of(y), groups, 2.0)
    np.testing.assert_allclose(model.cv_decision_, expected[:, 0], atol=1e-7)
    assert rounds == [False]


def test_rows_without_weight_are_left_to_float64(rounds):
    X, y, groups = cohort()
    weight = (np.arange(len(y)) % 5 > 0).astype(float)
    model = LSSVC(2.0, gamma=0.3).fit(X, y, weight, groups)
    assert rounds == []
    part = weight > 0
    expected, _ = refits(rbf_kernel(X[part], gamma=0.3), signs_of(y[part]), groups[part], 2.0)
    np.testing.assert_allclose(model.cv_decision_[part], expected[:, 0], atol=1e-9)


def test_where_it_pays():
    folds = make_folds(1200, np.arange(1200) % 10)
    order, runs = order_by_fold(folds)
    K, signs = np.eye(1200), signs_of(np.arange(1200) % 2)
    system = BorderedSystem.of(K, signs, None, order, Space("cpu"))
    assert pays(system, runs)
    assert not pays(system, make_folds(1200, np.arange(1200) % 20))  # too many corrections
    few = BorderedSystem(np.eye(900), signs[:900], None, Space("cpu"))
    assert not pays(few, make_folds(900, np.arange(900) % 10))


def test_ten_searches_give_the_same_bits(rounds):
    X, y, groups = cohort(200)
    seen = {
        LSSVCCV((1.0,), cv=5).fit(X, y, groups=groups).cv_decision_.tobytes() for _ in range(10)
    }
    assert len(seen) == 1
    assert rounds == [True] * 10


def test_many_candidates_share_a_decomposition(monkeypatch):
    calls = []
    monkeypatch.setattr(
        candidates, "RoundedFolds", lambda *_: calls.append(1) or pytest.fail("rounded")
    )
    monkeypatch.setattr(rounded_folds, "_LEAST", 1)
    monkeypatch.setattr(rounded_folds, "_SHARE", 0)
    X, y, groups = cohort()
    assert LSSVCCV(np.logspace(-2, 2, 7)).fit(X, y, groups=groups).cv_scores_.shape == (7,)
    assert not calls
