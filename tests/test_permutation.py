"""Permutation tests, against the searches refitted to every permutation of the labels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import LeaveOneGroupOut, permutation_test_score

from fastmm import LSSVC, LSSVCCV, KernelRidge, KernelRidgeCV, Ridge, RidgeClassifierCV, RidgeCV
from fastmm.validate.permutation import permutation_test
from fastmm.validate.shuffles import Shuffles

ALPHAS = (0.3, 10.0, 300.0)


def cohort(seed=0, sizes=(1, 2, 3, 3, 4, 2, 5, 1, 2, 4, 3, 2), features=6, effect=1.0, classes=2):
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(len(sizes)), sizes)
    label = rng.permutation(np.arange(len(sizes)) % classes)[patient]
    X = rng.normal(size=(patient.size, features)) + rng.normal(size=(len(sizes), features))[patient]
    X[:, 0] += effect * label
    shuffle = rng.permutation(patient.size)
    return X[shuffle], label[shuffle], patient[shuffle]


def refitted(estimator, X, shuffles, groups, weight=None):
    """Return the best score of the search, fitted to one permutation after the other."""
    labels = shuffles.labels(slice(None))
    return np.array(
        [estimator.fit(X, y, sample_weight=weight, groups=groups).best_score_ for y in labels]
    )


def compare(estimator, X, y, groups, weight=None, count=12):
    codes = np.unique(y, return_inverse=True)[1] if y.dtype.kind in "US" else y
    shuffles = Shuffles(codes, np.unique(groups, return_inverse=True)[1], count, 3)
    found = permutation_test(
        estimator, X, y, groups, sample_weight=weight, n_permutations=count, seed=3
    )
    expected = refitted(estimator, X, shuffles, groups, weight)
    np.testing.assert_allclose(found.score, expected[0], rtol=1e-9)
    np.testing.assert_allclose(found.permuted_scores, expected[1:], rtol=1e-8, atol=1e-10)
    assert found.pvalue == (1 + (expected[1:] >= expected[0] - 1e-9).sum()) / (1 + count)


def ordered(groups):
    """Number the groups in order of appearance, as the solvers do."""
    seen = {}
    return np.array([seen.setdefault(g, len(seen)) for g in groups])


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    "scoring", ["neg_mean_squared_error", "r2", "roc_auc", "accuracy", "balanced_accuracy"]
)
def test_patients_labels_equal_refits_of_ridge(scoring, weighted):
    X, y, groups = cohort()
    groups = ordered(groups)
    weight = np.random.default_rng(1).uniform(0.5, 2, y.size) if weighted else None
    compare(RidgeCV(ALPHAS, scoring=scoring), X, y, groups, weight)


def test_continuous_targets_of_patients_with_a_large_mean():
    X, y, groups = cohort()
    groups = ordered(groups)
    y = 1e4 + np.random.default_rng(3).normal(size=12)[groups]
    for scoring in ("neg_mean_squared_error", "r2"):
        compare(RidgeCV(ALPHAS, scoring=scoring), X + 1e4, y, groups)
    compare(RidgeCV(ALPHAS, fit_intercept=False), X, y, groups)


@pytest.mark.parametrize("scoring", ["neg_mean_squared_error", "r2"])
def test_blocks_of_labels_equal_refits(scoring):
    X, y, groups = cohort(sizes=(3, 3, 2, 2, 3, 2))
    y = y + np.random.default_rng(2).normal(size=y.size)
    compare(RidgeCV(ALPHAS, scoring=scoring, cv=3), X, y, ordered(groups))


def test_blocks_of_columns():
    X, y, groups = cohort()
    blocks = {"image": slice(0, 4), "table": [4, 5]}
    compare(RidgeCV(ALPHAS, blocks=blocks, n_candidates=4), X, y, ordered(groups))


@pytest.mark.parametrize("scoring", ["roc_auc", "accuracy", "balanced_accuracy"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", [LSSVCCV, RidgeClassifierCV])
def test_classifiers_equal_refits(kind, classes, scoring):
    X, y, groups = cohort(classes=classes)
    y = np.array(["a", "b", "c"])[y]
    options = {"Cs": (0.1, 10.0)} if kind is LSSVCCV else {"alphas": ALPHAS}
    model = kind(**options, scoring=scoring)
    codes = np.unique(y, return_inverse=True)[1]
    shuffles = Shuffles(codes, ordered(groups), 8, 3)
    found = permutation_test(model, X, y, groups, n_permutations=8, seed=3)
    expected = refitted(model, X, shuffles, groups)
    np.testing.assert_allclose([found.score, *found.permuted_scores], expected, atol=1e-10)


@pytest.mark.parametrize("intercept", [False, True])
def test_kernel_ridge_equals_refits(intercept):
    X, y, groups = cohort()
    model = KernelRidgeCV(ALPHAS, kernel="rbf", gamma=[0.05, 0.5], fit_intercept=intercept)
    compare(model, X, y, ordered(groups))


def test_single_models():
    X, y, groups = cohort()
    for one, many in (
        (Ridge(10.0), RidgeCV([10.0])),
        (LSSVC(2.0), LSSVCCV([2.0])),
        (KernelRidge(3.0, kernel="rbf"), KernelRidgeCV([3.0], kernel="rbf")),
    ):
        first = permutation_test(one, X, y, groups, n_permutations=20)
        second = permutation_test(many, X, y, groups, n_permutations=20)
        assert first.score == pytest.approx(second.score)
        np.testing.assert_allclose(first.permuted_scores, second.permuted_scores)


def test_rows_without_weight_take_no_part():
    X, y, groups = cohort()
    groups = ordered(groups)
    weight = np.random.default_rng(1).uniform(0.5, 2, y.size)
    weight[(groups == 3) | (groups == 5)] = 0
    keep = weight > 0
    for model in (RidgeCV(ALPHAS), LSSVCCV((0.1, 1.0))):
        found = permutation_test(model, X, y, groups, sample_weight=weight, n_permutations=30)
        expected = permutation_test(
            model, X[keep], y[keep], groups[keep], sample_weight=weight[keep], n_permutations=30
        )
        assert found.n_patients == expected.n_patients == 10
        np.testing.assert_allclose(found.permuted_scores, expected.permuted_scores, rtol=1e-9)
        assert found.pvalue == expected.pvalue


def test_scikit_learn_finds_the_same_pvalue():
    X, y, _ = cohort(sizes=(1,) * 24, effect=2.0, seed=4)
    groups = np.arange(24)
    ours = permutation_test(Ridge(5.0), X, y, groups, n_permutations=2000)
    theirs = permutation_test_score(
        SklearnRidge(5.0),
        X,
        y,
        cv=LeaveOneGroupOut().split(X, y, groups),
        scoring="neg_mean_squared_error",
        n_permutations=120,
        random_state=0,
    )
    assert ours.score == pytest.approx(theirs[0], rel=1e-9)
    assert 0.002 < ours.pvalue < 0.5  # else the comparison says nothing
    assert abs(ours.pvalue - theirs[2]) < 4 * np.sqrt(ours.pvalue / 120)


@pytest.mark.parametrize("scoring", ["neg_mean_squared_error", "roc_auc"])
def test_pvalues_of_noise_are_uniform(scoring):
    pvalues = []
    for seed in range(200):
        X, y, groups = cohort(seed=seed, effect=0.0)
        model = RidgeCV(ALPHAS, scoring=scoring)
        found = permutation_test(model, X, y, groups, n_permutations=99, seed=seed)
        pvalues.append(found.pvalue)
    # Never too small, but for chance; ties among few patients make some too large.
    assert kstest(pvalues, "uniform", alternative="greater").pvalue > 0.01
    assert kstest(pvalues, "uniform").statistic < 0.15


def test_a_choice_that_is_not_repeated_is_too_hopeful():
    small = {"repeat": 0, "fixed": 0}
    for seed in range(150):
        X, y, groups = cohort(seed=1000 + seed, effect=0.0, features=3)
        for search in small:
            model = RidgeCV(10.0 ** np.arange(-3, 5), scoring="roc_auc")
            found = permutation_test(
                model, X, y, groups, n_permutations=99, search=search, seed=seed
            )
            small[search] += found.pvalue <= 0.2
    assert small["repeat"] <= 150 * 0.2 + 3 * np.sqrt(150 * 0.16)
    assert small["fixed"] > small["repeat"]


def test_signal_is_found():
    hits = 0
    for seed in range(20):
        X, y, groups = cohort(seed=seed, sizes=(3,) * 30, effect=2.5)
        hits += permutation_test(LSSVCCV((0.1, 1.0)), X, y, groups, n_permutations=99).pvalue < 0.05
    assert hits >= 16


def test_patients_that_cannot_move_are_counted():
    X, y, groups = cohort(sizes=(3, 3, 2, 4))
    y = y + np.random.default_rng(0).normal(size=y.size)
    with pytest.warns(UserWarning, match="2 of 4 patients keep their labels"):
        found = permutation_test(Ridge(), X, y, groups, n_permutations=20)
    assert (found.n_patients, found.n_movable) == (4, 2)
    kept = ~np.isin(groups, [0, 1])
    shuffles = Shuffles(y, ordered(groups), 20, 0)
    labels = shuffles.labels(slice(None))
    assert (labels[:, kept] == y[kept]).all()
    assert {tuple(row) for row in labels[:, groups == 0]} == {
        tuple(y[groups == 0]),
        tuple(y[groups == 1]),
    }


def test_chunks_do_not_change_the_result(monkeypatch):
    X, y, groups = cohort(sizes=(3,) * 10)
    for labels in (y, y + np.random.default_rng(0).normal(size=y.size)):
        whole = permutation_test(RidgeCV(ALPHAS), X, labels, groups, n_permutations=50)
        with monkeypatch.context() as patch:
            patch.setattr("fastmm.validate.permutation._WIDEST", 400)
            patch.setattr("fastmm.validate.permuted_scores._PIECE", 200)
            parts = permutation_test(RidgeCV(ALPHAS), X, labels, groups, n_permutations=50)
        np.testing.assert_allclose(parts.permuted_scores, whole.permuted_scores, rtol=1e-12)


@pytest.mark.parametrize("kind", [RidgeCV, LSSVCCV, KernelRidgeCV])
def test_device_arrays(xp_any, kind):
    X, y, groups = cohort()
    found = permutation_test(kind(), xp_any.asarray(X), xp_any.asarray(y), groups, n_permutations=9)
    expected = permutation_test(kind(), X, y, groups, n_permutations=9)
    np.testing.assert_allclose(found.permuted_scores, expected.permuted_scores, rtol=1e-7)


def test_refused():
    X, y, groups = cohort()
    with pytest.raises(TypeError, match="linear in the labels; got Ridge"):
        permutation_test(SklearnRidge(), X, y, groups)
    with pytest.raises(ValueError, match="all patients have the same label"):
        permutation_test(Ridge(), X, np.ones(y.size), groups)
    with pytest.raises(ValueError, match="no two patients with as many rows"):
        permutation_test(Ridge(), X[:6], np.arange(6.0), [0, 1, 1, 2, 2, 2])
    with pytest.raises(ValueError, match="`class_weight` must be None"):
        permutation_test(RidgeClassifierCV(class_weight="balanced"), X, y, groups)
    with pytest.raises(ValueError, match=r"`y` must have shape \(n,\)"):
        permutation_test(Ridge(), X, np.stack([y, y], axis=1), groups)
    with pytest.raises(ValueError, match="`search`"):
        permutation_test(Ridge(), X, y, groups, search="never")
    with pytest.raises(ValueError, match="`scoring`"):
        permutation_test(LSSVC(), X, y, groups, scoring="r2")
    with pytest.raises(ValueError, match="`n_permutations`"):
        permutation_test(Ridge(), X, y, groups, n_permutations=0)
    with pytest.raises(ValueError, match="only one class"):
        permutation_test(LSSVC(), X, np.zeros(y.size, int), groups)


@pytest.mark.parametrize("scoring", ["roc_auc", "accuracy", "balanced_accuracy"])
def test_scores_of_two_values_refuse_three(scoring):
    from fastmm import RidgeCV

    X = np.random.default_rng(0).normal(size=(12, 3))
    with pytest.raises(ValueError, match="needs a `y` of two values"):
        permutation_test(RidgeCV(scoring=scoring), X, np.arange(12) % 3, n_permutations=3)
