from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.metrics.pairwise import (
    laplacian_kernel,
    linear_kernel,
    polynomial_kernel,
    rbf_kernel,
)
from sklearn.model_selection import GroupKFold
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import LSSVC, LSSVCCV
from fastmm._space import Space
from fastmm.solve.fold_order import order_by_fold, runs
from fastmm.solve.grouped import make_folds, training_means
from fastmm.solve.kernel.bordered import BorderedSystem, solve_lssvm
from fastmm.solve.kernel.bordered_inverse import inverse_factor, solve_blocks, solve_definite
from fastmm.solve.ridge import design

CS = (0.05, 1.0, 30.0)
KERNELS = {
    "linear": linear_kernel,
    "poly": lambda X, Y: polynomial_kernel(X, Y, degree=3, gamma=0.2, coef0=1.0),
    "rbf": lambda X, Y: rbf_kernel(X, Y, gamma=0.2),
    "laplacian": lambda X, Y: laplacian_kernel(X, Y, gamma=0.2),
    "callable": lambda X, Y: polynomial_kernel(X, Y, degree=2),
}


def naive_machine(K, y, C, weight=None):
    """Solve the bordered system as it is written, on the rows that have weight."""
    weight = np.ones(len(y)) if weight is None else weight
    used = np.flatnonzero(weight)
    system = np.zeros((used.size + 1, used.size + 1))
    system[0, 1:] = system[1:, 0] = 1
    system[1:, 1:] = K[np.ix_(used, used)] + np.diag(1 / (C * weight[used]))
    solution = np.linalg.solve(system, np.vstack([np.zeros(y.shape[1]), y[used]]))
    dual = np.zeros(y.shape)
    dual[used] = solution[1:]
    return dual, solution[0]


def naive_held_out(K, y, groups, C, weight=None):
    decision = np.empty(y.shape)
    for name in np.unique(groups):
        test, train = groups == name, groups != name
        part = None if weight is None else weight[train]
        dual, intercept = naive_machine(K[np.ix_(train, train)], y[train], C, part)
        decision[test] = K[np.ix_(test, train)] @ dual + intercept
    return decision


def cohort(n=48, d=5, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % classes
    X = rng.normal(size=(n, d)) + codes[:, None] * rng.normal(size=d)
    groups = np.array([f"p{g}" for g in rng.integers(0, n // 4, n)], dtype="U9")
    groups[:3] = "big"
    return X, np.array(["benign", "grade 1", "grade 2"])[codes], groups


def signs_of(y):
    names = np.unique(y)
    return np.where(y[:, None] == (names[1:] if names.size == 2 else names), 1.0, -1.0)


def weights(kind, n):
    rng = np.random.default_rng(9)
    weight = rng.uniform(0.2, 3, n)
    if kind == "zeros":
        weight[rng.random(n) < 0.25] = 0
    return None if kind == "none" else weight


def as_parameter(xp_any, kernel):
    if kernel != "callable":
        return kernel
    if xp_any.name == "cupy":
        return lambda X, Y: (X @ Y.T / X.shape[1] + 1) ** 2
    return KERNELS["callable"]


@pytest.mark.parametrize("way", ["direct", "spectral"])
@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kernel", list(KERNELS))
def test_leaving_groups_out_equals_refits(xp_any, kernel, classes, weighting, way, monkeypatch):
    if way == "spectral":
        monkeypatch.setattr(BorderedSystem, "_direct", None)
        monkeypatch.setattr(BorderedSystem, "inverses", lambda self, count: self.spectral())
    X, y, groups = cohort(classes=classes)
    K, signs, weight = KERNELS[kernel](X, X), signs_of(y), weights(weighting, len(X))
    there = None if weight is None else xp_any.asarray(weight)
    for C in CS:
        model = LSSVCCV((C,), kernel=as_parameter(xp_any, kernel), gamma=0.2)
        model.fit(xp_any.asarray(X), y, there, groups)
        expected = naive_held_out(K, signs, groups, C, weight)
        found = xp_any.asnumpy(model.cv_decision_).reshape(signs.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
        dual, intercept = naive_machine(K, signs, C, weight)
        found = xp_any.asnumpy(model.dual_coef_).reshape(signs.shape)
        np.testing.assert_allclose(found, dual, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(xp_any.asnumpy(model.intercept_), intercept, atol=1e-9)
        decision = xp_any.asnumpy(model.decision_function(xp_any.asarray(X)))
        expected = (K @ dual + intercept).reshape(decision.shape)
        np.testing.assert_allclose(decision, expected, atol=1e-9)
        single = LSSVC(C, kernel=as_parameter(xp_any, kernel), gamma=0.2)
        single.fit(xp_any.asarray(X), y, there)
        found = xp_any.asnumpy(single.dual_coef_).reshape(signs.shape)
        np.testing.assert_allclose(found, dual, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_search_scores_are_those_of_refits(count):
    X, y, groups = cohort(60)
    Cs, signs = np.logspace(-2, 2, count), signs_of(y)
    K = rbf_kernel(X, X, gamma=1 / (5 * X.var()))
    held_out = [naive_held_out(K, signs, groups, C)[:, 0] for C in Cs]
    model = LSSVCCV(Cs).fit(X, y, groups=groups)
    lean = training_means(make_folds(60, groups), signs)[:, 0]
    expected = [roc_auc_score(y, decision - lean) for decision in held_out]
    np.testing.assert_allclose(model.cv_scores_, expected, rtol=1e-12)
    best = int(np.argmax(expected))
    assert Cs[best] == model.C_
    assert model.best_score_ == model.cv_scores_[best]
    np.testing.assert_allclose(model.cv_decision_, held_out[best], atol=1e-9)
    names = np.where(held_out[best] > 0, "grade 1", "benign")
    np.testing.assert_array_equal(model.cv_predictions_, names)
    found = LSSVCCV(Cs, scoring="accuracy").fit(X, y, groups=groups)
    right = [(np.where(decision > 0, "grade 1", "benign") == y) for decision in held_out]
    expected = [np.mean([r[groups == name].mean() for name in np.unique(groups)]) for r in right]
    np.testing.assert_allclose(found.cv_scores_, expected, rtol=1e-12)


def test_scores_of_three_classes():
    X, y, groups = cohort(60, classes=3)
    weight = weights("zeros", 60)
    held_out = naive_held_out(linear_kernel(X, X), signs_of(y), groups, 1.0, weight)
    ranked = held_out - training_means(make_folds(60, groups), signs_of(y), weight)
    areas = [
        roc_auc_score(y == name, column, sample_weight=weight)
        for name, column in zip(np.unique(y), ranked.T, strict=True)
    ]
    model = LSSVCCV((1.0,), kernel="linear").fit(X, y, weight, groups)
    assert model.best_score_ == pytest.approx(np.mean(areas), rel=1e-12)
    model = LSSVCCV((1.0,), kernel="linear", scoring="balanced_accuracy")
    found = np.unique(y)[held_out.argmax(1)]
    expected = balanced_accuracy_score(y, found, sample_weight=weight)
    assert model.fit(X, y, weight, groups).best_score_ == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("cv", [None, 3, GroupKFold(4)])
def test_folds(cv):
    X, y, groups = cohort()
    given = None if cv is None else groups
    model = LSSVCCV((2.0,), kernel="linear", cv=cv).fit(X, y, groups=given)
    codes = make_folds(len(X), given, cv).codes
    expected = naive_held_out(linear_kernel(X, X), signs_of(y), codes, 2.0)
    np.testing.assert_allclose(model.cv_decision_, expected[:, 0], atol=1e-10)


def test_lssvc_with_groups_decides_out_of_fold():
    X, y, groups = cohort()
    model, plain = LSSVC(2.0).fit(X, y, groups=groups), LSSVC(2.0).fit(X, y)
    K = rbf_kernel(X, X, gamma=model.gamma_)
    expected = naive_held_out(K, signs_of(y), groups, 2.0)
    np.testing.assert_allclose(model.cv_decision_, expected[:, 0], atol=1e-10)
    np.testing.assert_allclose(model.dual_coef_, plain.dual_coef_, atol=1e-10)
    assert not hasattr(plain, "cv_decision_")


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


@pytest.mark.parametrize("share", [0.5, 0.2])
@pytest.mark.parametrize("cv", [None, 5])
def test_pure_noise_scores_half_however_strongly_it_is_shrunk(share, cv):
    rng = np.random.default_rng(int(100 * share))
    found, pooled = [], []
    for _ in range(200):
        X, y = rng.normal(size=(100, 20)), rng.permutation(np.arange(100) < 100 * share)
        model = LSSVCCV((1e-6,), cv=cv).fit(X, y)
        found.append(model.best_score_)
        pooled.append(roc_auc_score(y, model.cv_decision_))
    assert abs(np.mean(found) - 0.5) < 0.02
    assert np.mean(pooled) < 0.45  # what it would be without the correction


def test_the_residual_is_reported():
    X, y, groups = cohort(200)
    for C, most in ((1e-3, 1e-15), (1.0, 1e-14), (1e6, 1e-8)):
        for model in (LSSVC(C), LSSVCCV((C,)), LSSVC(C, class_weight="balanced")):
            assert model.fit(X, y, groups=groups).residual_ < most
    system = BorderedSystem(rbf_kernel(X), signs_of(y), None, Space("cpu"))
    weighted = system.solve(0.1)
    assert system.residual(weighted, 0.1) < 1e-14
    dense = np.zeros((201, 201))
    dense[0, 1:] = dense[1:, 0] = 1
    dense[1:, 1:] = rbf_kernel(X) + 0.1 * np.eye(200)
    expected = np.linalg.solve(dense, np.concatenate([[0], signs_of(y)[:, 0]]))
    np.testing.assert_allclose(weighted[:, 0], expected[1:], rtol=1e-9, atol=1e-12)
    worse = weighted + 1e-3 * np.abs(weighted).max() * np.eye(200)[:, :1]
    assert system.residual(worse, 0.1) > 1e-4


def test_folds_side_by_side():
    folds = make_folds(9, groups=["b", "a", "b", "c", "a", "d", "d", "d", "e"])
    order, sorted_folds = order_by_fold(folds)
    assert sorted(order) == list(range(9))
    np.testing.assert_array_equal(sorted_folds.codes, folds.codes[order])
    assert runs(sorted_folds) == [(0, 2, 1), (2, 2, 2), (6, 1, 3)]
    for batch, sorted_batch in zip(folds.batches, sorted_folds.batches, strict=True):
        np.testing.assert_array_equal(order[sorted_batch], batch)


@pytest.mark.parametrize("size", [1, 5, 64, 65, 150])
def test_blocks_are_solved(size):
    rng = np.random.default_rng(size)
    root = rng.normal(size=(3, size, size + 5))
    blocks, right = root @ root.swapaxes(1, 2), rng.normal(size=(3, size, 2))
    expected = np.linalg.solve(blocks, right)
    for found in (solve_definite(blocks, right, np), solve_blocks(blocks, right, Space("cpu"))):
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)
    blocks[1] *= -1  # of an indefinite kernel
    expected = np.linalg.solve(blocks, right)
    found = solve_blocks(blocks, right, Space("cpu"))
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


def test_the_factor_of_an_inverse():
    root = np.random.default_rng(0).normal(size=(40, 50))
    matrix = root @ root.T
    upper = inverse_factor(matrix.copy(), Space("cpu"))
    np.testing.assert_array_equal(np.tril(upper, -1), 0)
    np.testing.assert_allclose(upper @ upper.T, np.linalg.inv(matrix), rtol=1e-9, atol=1e-12)
    assert inverse_factor(np.ones((3, 3)), Space("cpu")) is None
    assert inverse_factor(-matrix, Space("cpu")) is None


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


def test_a_class_without_weight_has_no_part_in_the_score():
    X, y, groups = cohort(60, classes=3)
    weight = (y != "grade 2").astype(float)
    K, part = linear_kernel(X, X), weight > 0
    held_out = naive_held_out(K, signs_of(y), groups, 1.0, weight)
    held_out -= training_means(make_folds(60, groups), signs_of(y), weight)
    areas = [roc_auc_score(y[part] == np.unique(y)[i], held_out[part, i]) for i in range(2)]
    model = LSSVCCV((1.0,), kernel="linear").fit(X, y, weight, groups)
    assert model.best_score_ == pytest.approx(np.mean(areas), rel=1e-12)


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


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["benign", "malignant"]),
        np.array(["benign", "malignant"], object),
        np.array([False, True]),
        np.array([-3, 5], np.int8),
        np.array([0.0, 1.0], np.float32),
    ],
    ids=["text", "object", "bool", "int8", "float32"],
)
def test_labels_keep_their_dtype(xp_any, labels):
    X, y, groups = cohort()
    y = labels[(y != "benign").astype(int)]
    model = LSSVCCV().fit(xp_any.asarray(X), y, groups=groups)
    found = model.predict(xp_any.asarray(X))
    found = found if labels.dtype.kind in "UO" else xp_any.asnumpy(found)
    assert found.dtype == labels.dtype == model.classes_.dtype == model.cv_predictions_.dtype
    assert (found == y).mean() > 0.7


def test_blocks_of_rows_do_not_change_decisions(monkeypatch):
    X, y, _ = cohort(classes=3)
    for kernel in KERNELS:
        model = LSSVC(kernel=KERNELS.get(kernel) if kernel == "callable" else kernel).fit(X, y)
        whole = model.decision_function(X)
        with monkeypatch.context() as patch:
            patch.setattr(design, "_PIECE", 200)
            np.testing.assert_allclose(model.decision_function(X), whole, atol=1e-12)


def test_pickle_and_later_changes_of_the_data():
    X, y, _ = cohort()
    new = cohort(seed=1)[0]
    model = LSSVC().fit(X, y)
    expected = model.decision_function(new)
    X[:] = 0
    np.testing.assert_array_equal(model.decision_function(new), expected)
    again = pickle.loads(pickle.dumps(model)).decision_function(new)
    np.testing.assert_array_equal(again, expected)


def test_solve_lssvm_is_usable_alone(xp_any):
    X, y, _ = cohort()
    K, signs, weight = linear_kernel(X, X), signs_of(y), weights("zeros", len(X))
    dual, intercept = solve_lssvm(
        xp_any.asarray(K), xp_any.asarray(signs[:, 0]), 3.0, sample_weight=xp_any.asarray(weight)
    )
    expected = naive_machine(K, signs, 3.0, weight)
    np.testing.assert_allclose(xp_any.asnumpy(dual), expected[0][:, 0], atol=1e-9)
    np.testing.assert_allclose(xp_any.asnumpy(intercept), expected[1], atol=1e-9)
    with pytest.raises(ValueError, match="`C`"):
        solve_lssvm(K, signs, 0.0)


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


@pytest.mark.parametrize("weighted", [False, True])
def test_a_loose_machine_decides_as_its_system_solved_by_elimination(weighted):
    # Nearly constant kernels: what coefficients lack of a sum of 0 all decisions get.
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(500, 3)), rng.integers(0, 2, 500)
    weight = rng.uniform(0.1, 2, 500) if weighted else np.ones(500)
    K = np.exp(-0.003 * ((X[:, None] - X) ** 2).sum(-1))
    model = LSSVC(1e4, kernel="precomputed").fit(K, y, sample_weight=weight)
    system = np.ones((501, 501))
    system[0, 0], system[1:, 1:] = 0, K + np.diag(1e-4 / weight)
    b, *a = np.linalg.solve(system, np.r_[0, 2 * y - 1])
    np.testing.assert_allclose(model.decision_function(K), K @ a + b, rtol=0, atol=3e-9)
    assert abs(model.dual_coef_.sum()) < 1e-12 * abs(model.dual_coef_).sum()
