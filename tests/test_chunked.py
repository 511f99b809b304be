"""Fits from rows in chunks equal those of all rows at once, whatever the rows come from."""

from __future__ import annotations

import numpy as np
import pytest
from chunked_sources import cohort, source
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from fastmm import (
    NystromFeatures,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
)
from fastmm.solve.chunked import left_out

ALPHAS = (1e-2, 1.0, 100.0)
SOURCES = ["array", "memmap", "zarr", "sliced", "dask"]
SHAPES = [(300, 12), (60, 150)]


def equal(one, two, names, rtol=1e-7):
    for name in names:
        found, expected = (np.asarray(getattr(model, name)) for model in (one, two))
        if expected.dtype.kind == "f":
            scale = np.abs(expected).max()
            np.testing.assert_allclose(found, expected, rtol=0, atol=rtol * scale, err_msg=name)
        else:
            np.testing.assert_array_equal(found, expected, err_msg=name)


SEARCHED = ["alpha_", "coef_", "intercept_", "best_score_", "cv_scores_", "cv_predictions_"]


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cv", [None, 4])
def test_a_search_finds_the_same(kind, shape, cv, tmp_path):
    X, y, weight, groups = cohort(*shape, targets=3)
    rows, limit = source(kind, X, tmp_path)
    thorough = kind in ("memmap", "dask")  # the others differ in how they are read
    for fit_intercept in (True, False) if thorough else (True,):
        for given in (None, weight) if thorough else (weight,):
            model = RidgeCV(ALPHAS, cv=cv, fit_intercept=fit_intercept)
            expected = clone(model).fit(X, y, given, groups)
            found = model.set_params(**limit).fit(rows, y, given, groups)
            equal(found, expected, [*SEARCHED, "solver_"])
            np.testing.assert_allclose(np.asarray(found.predict(rows)), expected.predict(X))


@pytest.mark.parametrize("kind", ["memmap", "dask"])
@pytest.mark.parametrize("scoring", ["neg_mean_squared_error", "r2", "roc_auc", "accuracy",
                                     "balanced_accuracy"])  # fmt: skip
def test_every_score_is_the_same(kind, scoring, tmp_path):
    X, y, weight, groups = cohort(300, 12)
    labels = (y > np.median(y)).astype(float)
    rows, limit = source(kind, X, tmp_path)
    expected = RidgeCV(ALPHAS, scoring=scoring).fit(X, labels, weight, groups)
    found = RidgeCV(ALPHAS, scoring=scoring, **limit).fit(rows, labels, weight, groups)
    equal(found, expected, SEARCHED)


@pytest.mark.parametrize("kind", ["memmap", "dask"])
@pytest.mark.parametrize("shape", SHAPES)
def test_blocks_and_targets_have_their_own_penalties(kind, shape, tmp_path):
    X, y, weight, groups = cohort(*shape, targets=3)
    rows, limit = source(kind, X, tmp_path)
    blocks = {"ct": slice(0, 5), "age": np.arange(5, shape[1])}
    for options in ({"blocks": blocks, "n_candidates": 4}, {"alpha_per_target": True}):
        expected = RidgeCV(ALPHAS, **options).fit(X, y, weight, groups)
        found = RidgeCV(ALPHAS, **options, **limit).fit(rows, y, weight, groups)
        equal(found, expected, [name for name in SEARCHED if name != "alpha_"])
        assert np.all(np.ravel(list(np.atleast_1d(found.alpha_))) == np.ravel(
            list(np.atleast_1d(expected.alpha_))))  # fmt: skip


@pytest.mark.parametrize("kind", ["memmap", "dask"])
@pytest.mark.parametrize("shape", SHAPES)
def test_classifiers_are_the_same(kind, shape, tmp_path):
    X, y, weight, groups = cohort(*shape)
    labels = np.array(["a", "b", "c"])[np.digitize(y, np.quantile(y, [0.3, 0.6]))]
    rows, limit = source(kind, X, tmp_path)
    for model in (RidgeClassifierCV(ALPHAS, class_weight="balanced", cv=3), RidgeClassifier(2.0)):
        expected = clone(model).fit(X, labels, weight, groups)
        found = model.set_params(**limit).fit(rows, labels, weight, groups)
        equal(found, expected, ["classes_", "coef_", "intercept_", "cv_decision_"])
        np.testing.assert_array_equal(found.cv_predictions_, expected.cv_predictions_)
        np.testing.assert_array_equal(np.asarray(found.predict(rows)), expected.predict(X))
        decisions = np.asarray(found.decision_function(rows))
        np.testing.assert_allclose(decisions, expected.decision_function(X), atol=1e-10)


@pytest.mark.parametrize("kind", ["memmap", "dask"])
def test_left_out_predictions_are_those_of_scikit_learn(kind, tmp_path):
    X, y, _, groups = cohort(200, 9)
    rows, limit = source(kind, X, tmp_path)
    expected = cross_val_predict(SklearnRidge(2.0), X, y, groups=groups, cv=LeaveOneGroupOut())
    found = Ridge(2.0, **limit).fit(rows, y, groups=groups)
    np.testing.assert_allclose(found.cv_predictions_, expected, rtol=1e-8)
    np.testing.assert_allclose(found.coef_, SklearnRidge(2.0).fit(X, y).coef_, rtol=1e-8)


@pytest.mark.parametrize("kind", ["memmap", "dask"])
@pytest.mark.parametrize("alpha", [0.0, 1.0, [1.0, 2.0, 3.0], [0.0, 1.0, 2.0]])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.filterwarnings("ignore:The design has rank:scipy.linalg.LinAlgWarning")
def test_given_penalties_are_solved_the_same(kind, alpha, shape, tmp_path):
    X, y, weight, _ = cohort(*shape, targets=3)
    rows, limit = source(kind, X, tmp_path)
    expected = Ridge(alpha).fit(X, y, weight)
    found = Ridge(alpha, **limit).fit(rows, y, weight)
    equal(found, expected, ["coef_", "intercept_"])
    assert found.residual_ < 1e-12
    assert not hasattr(found, "statistics_")


@pytest.mark.parametrize("mean", [0.0, 10.0])
def test_designs_whose_sums_lose_digits_are_solved_from_their_factor(mean, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 8)) * np.logspace(0, -7, 8) + mean
    y, groups = X @ np.logspace(0, 7, 8) + rng.normal(size=200), np.arange(200) // 4
    rows, limit = source("memmap", X, tmp_path)
    expected = RidgeCV((1e-12, 1e-10)).fit(X, y, groups=groups)
    found = RidgeCV((1e-12, 1e-10), **limit).fit(rows, y, groups=groups)
    assert found.solver_ == expected.solver_ == "svd"
    equal(found, expected, ["cv_predictions_", "best_score_"], rtol=1e-6)


def test_a_fold_that_holds_a_direction_alone_is_refitted(tmp_path):
    X, y, _, groups = cohort(120, 6)
    groups = np.sort(groups)
    X[:, 5] = (groups == 3) * np.arange(120.0)  # no other fold has seen this column
    rows, limit = source("memmap", X, tmp_path)
    expected = RidgeCV((1e-9, 1.0)).fit(X, y, groups=groups)
    found = RidgeCV((1e-9, 1.0), **limit).fit(rows, y, groups=groups)
    equal(found, expected, SEARCHED, rtol=1e-6)


def test_groups_that_span_chunks_and_large_folds_go_both_ways(tmp_path, monkeypatch):
    """Folds far larger than d are fitted from sums, small ones from their rows."""
    X, y, weight, _ = cohort(400, 30)
    groups = np.repeat([0, 1, 2], [150, 200, 50])
    groups[::9] = 3 + np.arange(len(groups[::9])) % 7
    rows, limit = source("memmap", X, tmp_path)
    seen = []
    original = left_out.models_without
    monkeypatch.setattr(
        "fastmm.solve.chunked.problem.models_without",
        lambda problem, folds, chosen, *rest: (
            seen.extend(chosen.tolist()) or original(problem, folds, chosen, *rest)
        ),
    )
    found = RidgeCV(ALPHAS, **limit).fit(rows, y, weight, groups)
    equal(found, RidgeCV(ALPHAS).fit(X, y, weight, groups), SEARCHED)
    assert 0 < len(seen) < 10


@pytest.mark.parametrize("kind", ["memmap", "sliced", "dask"])
def test_values_that_are_not_finite_are_named_by_their_row(kind, tmp_path):
    X, y, _, _ = cohort(300, 12)
    X[217, 3] = np.nan
    rows, limit = source(kind, X, tmp_path)
    for model in (Ridge(), RidgeCV(), NystromFeatures(n_components=9)):
        with pytest.raises(ValueError, match=r"NaN or infinity.*\(217, 3\)"):
            model.set_params(**limit).fit(rows, y)


def test_wrong_arguments_are_refused(tmp_path):
    X, y, _, _ = cohort(300, 12)
    rows, limit = source("memmap", X, tmp_path)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[300, 299\]"):
        Ridge(**limit).fit(rows, y[1:])
    with pytest.raises(ValueError, match="`memory_limit` must be at least"):
        Ridge(memory_limit="10kB").fit(rows, y)
    with pytest.raises(ValueError, match="smaller Gram matrix"):
        Ridge(memory_limit="1kB").fit(rows, y)
    with pytest.raises(ValueError, match=r"`memory_limit` must be bytes"):
        Ridge(memory_limit="much").fit(rows, y)
    with pytest.raises(ValueError, match=r'solver="iterative"` needs all rows'):
        Ridge(solver="iterative", **limit).fit(rows, y)
    with pytest.raises(ValueError, match="Complex data"):
        Ridge().fit(source("dask", X.astype(complex), tmp_path)[0], y)
    model = Ridge(**limit).fit(rows, y)
    with pytest.raises(ValueError, match="expecting 12 features"):
        model.predict(rows[:, :5])
    with pytest.warns(LinAlgWarning, match="rank 11 for 12"):
        Ridge(0.0, **limit).fit(np.hstack([X[:, :11], X[:, :1]]), y)
