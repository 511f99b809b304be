from __future__ import annotations

import pickle
import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
from scipy.linalg import LinAlgWarning
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    LeaveOneGroupOut,
    PredefinedSplit,
    cross_val_predict,
)
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import Ridge, RidgeCV
from fastmm._space import Space
from fastmm.solve.grouped import make_folds
from fastmm.solve.ridge import design
from fastmm.solve.ridge.solution import RidgeProblem, solve_ridge

ALPHAS = (1e-3, 0.1, 1.0, 50.0)
SHAPES = [(45, 12), (24, 60)]


def naive_ridge(X, y, alpha, fit_intercept=True, weight=None):
    """Least squares on rows stacked over sqrt(alpha) I: the minimum norm for alpha 0."""
    weight = np.ones(len(X)) if weight is None else weight
    X, y, weight = X[weight > 0].astype(float), y[weight > 0], weight[weight > 0]
    mean, centre = np.zeros(X.shape[1]), np.zeros(y.shape[1:])
    if fit_intercept:
        mean, centre = np.average(X, 0, weight), np.average(y, 0, weight)
    root = np.sqrt(weight)[:, None]
    stacked = np.vstack([root * (X - mean), np.sqrt(alpha) * np.eye(X.shape[1])])
    targets = (root * (y - centre).reshape(len(y), -1)).reshape(y.shape)
    targets = np.concatenate([targets, np.zeros((X.shape[1], *y.shape[1:]))])
    coef = np.linalg.lstsq(stacked, targets, rcond=1e-12)[0]
    return coef.T, centre - mean @ coef


def naive_held_out(X, y, groups, alpha, fit_intercept=True, weight=None):
    predictions = np.empty(y.shape)
    for name in np.unique(groups):
        test, train = groups == name, groups != name
        part = None if weight is None else weight[train]
        coef, intercept = naive_ridge(X[train], y[train], alpha, fit_intercept, part)
        predictions[test] = X[test] @ coef.T + intercept
    return predictions


def cohort(n, d, targets=None, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) @ np.diag(rng.uniform(0.3, 3, d)) + rng.normal(size=d)
    y = X @ rng.normal(size=(d, targets or 1)) + rng.normal(size=(n, targets or 1)) + 4
    groups = np.array([f"p{g}" for g in rng.integers(0, n // 4, n)], dtype="U9")
    groups[:3] = "big"
    return X, y if targets else y[:, 0], groups


def weights(kind, n):
    rng = np.random.default_rng(9)
    weight = rng.uniform(0.2, 3, n)
    if kind == "zeros":
        weight[rng.random(n) < 0.25] = 0
    return None if kind == "none" else weight


@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_leaving_groups_out_equals_refits(xp_any, shape, fit_intercept, weighting):
    X, y, groups = cohort(*shape, targets=2)
    weight = weights(weighting, len(X))
    there = None if weight is None else xp_any.asarray(weight)
    for alpha in ALPHAS:
        model = RidgeCV((alpha,), fit_intercept=fit_intercept)
        model.fit(xp_any.asarray(X), xp_any.asarray(y), there, groups)
        expected = naive_held_out(X, y, groups, alpha, fit_intercept, weight)
        found = xp_any.asnumpy(model.cv_predictions_)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
        coef, intercept = naive_ridge(X, y, alpha, fit_intercept, weight)
        np.testing.assert_allclose(xp_any.asnumpy(model.coef_), coef, rtol=1e-9, atol=1e-10)
        predictions = xp_any.asnumpy(model.predict(xp_any.asarray(X)))
        np.testing.assert_allclose(predictions, X @ coef.T + intercept, atol=1e-10)
        single = Ridge(alpha, fit_intercept=fit_intercept).fit(
            xp_any.asarray(X), xp_any.asarray(y), there
        )
        np.testing.assert_allclose(xp_any.asnumpy(single.coef_), coef, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_search_equals_grid_search(shape):
    X, y, groups = cohort(*shape)
    search = GridSearchCV(
        SklearnRidge(),
        {"alpha": ALPHAS},
        cv=LeaveOneGroupOut(),
        scoring="neg_mean_squared_error",
    ).fit(X, y, groups=groups)
    model = RidgeCV(ALPHAS).fit(X, y, groups=groups)
    assert len(set(np.unique(groups, return_counts=True)[1])) > 2
    np.testing.assert_allclose(model.cv_scores_, search.cv_results_["mean_test_score"], rtol=1e-10)
    assert model.alpha_ == search.best_params_["alpha"]
    assert model.best_score_ == model.cv_scores_.max()


@pytest.mark.parametrize("shape", SHAPES)
def test_leave_one_out_without_groups(shape):
    X, y, _ = cohort(*shape)
    model = RidgeCV((0.5,)).fit(X, y)
    expected = naive_held_out(X, y, np.arange(len(X)), 0.5)
    np.testing.assert_allclose(model.cv_predictions_, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("cv", [3, GroupKFold(3), "splits"])
@pytest.mark.parametrize("shape", SHAPES)
def test_folds_of_whole_groups(shape, cv):
    X, y, groups = cohort(*shape)
    if cv == "splits":
        cv = list(GroupKFold(4).split(X, groups=groups))
    model = RidgeCV((0.5,), cv=cv).fit(X, y, groups=groups)
    codes = make_folds(len(X), groups, cv).codes
    expected = cross_val_predict(SklearnRidge(0.5), X, y, cv=PredefinedSplit(codes))
    np.testing.assert_allclose(model.cv_predictions_, expected, rtol=1e-9, atol=1e-9)


def test_ridge_with_groups_predicts_out_of_fold():
    X, y, groups = cohort(40, 10)
    model, plain = Ridge(2.0).fit(X, y, groups=groups), Ridge(2.0).fit(X, y)
    np.testing.assert_allclose(model.cv_predictions_, naive_held_out(X, y, groups, 2.0))
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-10)
    assert not hasattr(plain, "cv_predictions_")


def test_integer_weights_are_repetitions():
    X, y, groups = cohort(30, 8)
    times = np.random.default_rng(3).integers(0, 4, 30)
    weighted = RidgeCV(ALPHAS).fit(X, y, times, groups)
    repeated = RidgeCV(ALPHAS).fit(X.repeat(times, 0), y.repeat(times), groups=groups.repeat(times))
    np.testing.assert_allclose(weighted.cv_scores_, repeated.cv_scores_, rtol=1e-10)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-9)


def naive_training_means(y, groups, weight=None):
    weight = np.ones(len(y)) if weight is None else weight
    return np.array([np.average(y[groups != g], 0, weight[groups != g]) for g in groups])


def test_scorings_over_all_held_out_predictions():
    X, y, groups = cohort(60, 5)
    sick = (y > np.median(y)).astype(float)
    weight = weights("positive", 60)
    held_out = [naive_held_out(X, sick, groups, a, weight=weight) for a in ALPHAS]
    means = naive_training_means(sick, groups, weight)
    model = RidgeCV(ALPHAS, scoring="roc_auc").fit(X, sick, weight, groups)
    expected = [roc_auc_score(sick, found - means, sample_weight=weight) for found in held_out]
    np.testing.assert_allclose(model.cv_scores_, expected, rtol=1e-12)
    labels = np.where(sick == 1, 7.0, 3.0)  # cut in the middle, whatever the values
    model = RidgeCV(ALPHAS, scoring="balanced_accuracy").fit(X, labels, weight, groups)
    expected = [
        balanced_accuracy_score(sick, found > 0.5, sample_weight=weight) for found in held_out
    ]
    np.testing.assert_allclose(model.cv_scores_, expected, rtol=1e-12)
    model = RidgeCV(ALPHAS, scoring="accuracy").fit(X, sick, weight, groups)
    hits = np.array(held_out) > 0.5
    folds = [groups == g for g in np.unique(groups)]
    expected = [
        np.mean([np.average(hit[f] == sick[f], weights=weight[f]) for f in folds]) for hit in hits
    ]
    np.testing.assert_allclose(model.cv_scores_, expected, rtol=1e-12)
    model = RidgeCV(ALPHAS, scoring="r2").fit(X, y, weight, groups)
    held_out = [naive_held_out(X, y, groups, a, weight=weight) for a in ALPHAS]
    expected = [r2_score(y, found, sample_weight=weight) for found in held_out]
    np.testing.assert_allclose(model.cv_scores_, expected, rtol=1e-10)


@pytest.mark.parametrize("scoring", ["neg_mean_squared_error", "r2", "roc_auc", "accuracy"])
@pytest.mark.parametrize("shape", SHAPES)
def test_each_target_chooses_its_own_alpha(xp_any, shape, scoring):
    X, y, groups = cohort(*shape, targets=7)
    y += 40 * np.arange(7) * np.random.default_rng(1).normal(size=y.shape)
    y = (y > np.median(y, 0)).astype(float) if scoring in ("roc_auc", "accuracy") else y
    model = RidgeCV(ALPHAS, scoring=scoring, alpha_per_target=True)
    model.fit(xp_any.asarray(X), xp_any.asarray(y), groups=groups)
    assert model.cv_scores_.shape == (len(ALPHAS), 7)
    assert len(set(model.alpha_.tolist())) > 1
    for t in range(7):
        alone = RidgeCV(ALPHAS, scoring=scoring).fit(X, y[:, t], groups=groups)
        assert model.alpha_[t] == alone.alpha_
        assert model.best_score_[t] == pytest.approx(alone.best_score_, rel=1e-9)
        np.testing.assert_allclose(model.cv_scores_[:, t], alone.cv_scores_, rtol=1e-9)
        for name in ("cv_predictions_", "coef_", "intercept_"):
            found = xp_any.asnumpy(getattr(model, name))
            found = found[t] if name != "cv_predictions_" else found[:, t]
            np.testing.assert_allclose(found, getattr(alone, name), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("per_target", [False, True])
@pytest.mark.parametrize("piece", [1, 500, 8000])
def test_many_targets_in_batches_give_the_same(per_target, piece, monkeypatch):
    X, y, groups = cohort(40, 60, targets=9)
    y += 30 * np.arange(9) * np.random.default_rng(1).normal(size=y.shape)
    whole = RidgeCV(ALPHAS, alpha_per_target=per_target).fit(X, y, groups=groups)
    monkeypatch.setattr(design, "_PIECE", piece)
    found = RidgeCV(ALPHAS, alpha_per_target=per_target).fit(X, y, groups=groups)
    np.testing.assert_array_equal(found.alpha_, whole.alpha_)
    for name in ("cv_scores_", "cv_predictions_", "coef_", "intercept_"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("per_target", [False, True])
def test_predictions_of_all_alphas_are_never_held_at_once(per_target):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(100, 20)), rng.normal(size=(100, 8000))
    alphas = np.logspace(-2, 4, 40)
    tracemalloc.start()
    RidgeCV(alphas, alpha_per_target=per_target, cv=5).fit(X, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(alphas) * y.nbytes / 2.5


@pytest.mark.parametrize("shape", [(400, 30), (60, 120)])
def test_many_alphas_and_large_folds_equal_refits(shape):
    # Enough alphas for products of pairs of rows, folds large enough for none.
    X, y, groups = cohort(*shape, targets=3)
    alphas = np.logspace(-2, 3, 9)
    for cv in (None, 4):
        model = RidgeCV(alphas, cv=cv).fit(X, y, groups=groups)
        codes = make_folds(len(X), groups, cv).codes
        expected = naive_held_out(X, y, codes, model.alpha_)
        np.testing.assert_allclose(model.cv_predictions_, expected, rtol=1e-9, atol=1e-9)
        reference = [
            -np.mean([((y - found)[codes == g] ** 2).mean() for g in range(codes.max() + 1)])
            for found in (naive_held_out(X, y, codes, a) for a in alphas)
        ]
        np.testing.assert_allclose(model.cv_scores_, reference, rtol=1e-9)


@pytest.mark.parametrize(("positive", "balanced"), [(30, False), (12, False), (12, True)])
def test_the_area_of_noise_is_one_half(positive, balanced):
    rng = np.random.default_rng(3)
    areas, plain = [], []
    sick = np.arange(60) < positive
    weight = np.where(sick, 30 / positive, 30 / (60 - positive)) if balanced else None
    for _ in range(200):
        X = rng.normal(size=(60, 15)) + 2
        model = RidgeCV((1e2, 1e4, 1e8), scoring="roc_auc").fit(X, sick, weight)
        areas.append(model.cv_scores_)
        plain.append(
            roc_auc_score(sick, Ridge(1e8).fit(X, sick, weight, np.arange(60)).cv_predictions_)
        )
    assert np.abs(np.mean(areas, 0) - 0.5).max() < 0.02
    assert np.mean(plain) < 0.1  # what the predictions themselves would say


def test_rounding_does_not_rank_rows():
    sick = np.arange(40) % 4 == 0
    model = RidgeCV((1e-3, 1e3), scoring="roc_auc").fit(np.full((40, 3), 0.1), sick)
    np.testing.assert_array_equal(model.cv_scores_, [0.5, 0.5])


@pytest.mark.parametrize("case", ["duplicate", "constant", "wide", "rows"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_alpha_0_gives_the_minimum_norm(case, fit_intercept):
    X, y, groups = cohort(*((12, 30) if case == "wide" else (40, 6)))
    if case == "duplicate":
        X = np.hstack([X, 3 * X[:, :2]])
    elif case == "constant":
        X = np.hstack([X, np.full((40, 1), 1234.5678), np.zeros((40, 1))])
    elif case == "rows":
        X, y, groups = X[:5].repeat(2, 0), y[:5].repeat(2), np.arange(10)
    coef, intercept = naive_ridge(X, y, 0.0, fit_intercept)
    for model in (Ridge(0.0), RidgeCV((0.0,)), RidgeCV((0.0, 1e-30))):
        model.set_params(fit_intercept=fit_intercept)
        with pytest.warns(LinAlgWarning, match=r"rank \d+ for \d+ features"):
            model.fit(X, y, None, groups)
        np.testing.assert_allclose(model.coef_, coef, atol=1e-9)
        assert model.intercept_ == pytest.approx(intercept, abs=1e-8)
        expected = naive_held_out(X, y, groups, 0.0, fit_intercept)
        np.testing.assert_allclose(model.cv_predictions_, expected, atol=1e-7)
    with pytest.warns(LinAlgWarning, match="rank"):
        model = Ridge(0.0, fit_intercept=fit_intercept).fit(X, y)
    np.testing.assert_allclose(model.coef_, coef, atol=1e-9)
    assert model.solver_ == "svd"


def test_alpha_0_with_full_rank_does_not_warn():
    X, y, groups = cohort(50, 6)
    coef, _ = naive_ridge(X, y, 0.0)
    model = Ridge(0.0).fit(X, y, groups=groups)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-10)
    np.testing.assert_allclose(model.cv_predictions_, naive_held_out(X, y, groups, 0.0))


@pytest.mark.parametrize("alpha", [0.0, 1e-13, 1e-9])
def test_a_fold_that_alone_determines_a_direction_is_refitted(alpha):
    X, y, groups = cohort(40, 6)
    X[:, 5] = 0
    X[groups == "big", 5] = [3.0, -1.0, 2.0]
    model = Ridge(alpha).fit(X, y, groups=groups)
    expected = naive_held_out(X, y, groups, alpha)
    np.testing.assert_allclose(model.cv_predictions_, expected, atol=1e-7)


@pytest.mark.parametrize("shape", [(60, 20), (20, 60)])
def test_ill_conditioned_designs_keep_their_digits(shape):
    rng = np.random.default_rng(4)
    n, d = shape
    left, right = (np.linalg.qr(rng.normal(size=(m, 20)))[0] for m in shape)
    X = left * np.logspace(0, -6, 20) @ right.T
    y = X @ rng.normal(size=d) + 1e-3 * rng.normal(size=n)
    coef, _ = naive_ridge(X, y, 1e-10)
    for model in (Ridge(1e-10), RidgeCV((1e-10,))):
        model.fit(X, y)
        assert model.solver_ == "svd"
        np.testing.assert_allclose(model.coef_, coef, atol=1e-8 * np.abs(coef).max())
    expected = naive_held_out(X, y, np.arange(n), 1e-10)
    np.testing.assert_allclose(model.cv_predictions_, expected, atol=1e-8)


@pytest.mark.parametrize("shape", [(200, 40), (60, 200)])
def test_float32_with_a_large_mean(xp_any, shape):
    rng = np.random.default_rng(5)
    X = (rng.normal(size=shape) + 1e4).astype(np.float32)
    y = X.astype(float) @ rng.normal(size=shape[1])
    y = ((y - y.mean()) / y.std()).astype(np.float32)
    wide = X.astype(np.float64)
    U, s, Vt = np.linalg.svd(wide - wide.mean(0), full_matrices=False)
    coef = Vt.T @ (s / (s**2 + 1.0) * (U.T @ (y - y.mean(dtype=float))))
    expected = (wide - wide.mean(0)) @ coef + y.mean(dtype=float)
    for model in (Ridge(), RidgeCV((1.0,))):
        model.fit(xp_any.asarray(X), xp_any.asarray(y))
        found = xp_any.asnumpy(model.predict(xp_any.asarray(X)))
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() < 1e-6


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int8", "uint16", "int64", "?"])
def test_dtypes(dtype):
    rng = np.random.default_rng(6)
    X, y = rng.integers(0, 100, (30, 5)).astype(dtype), rng.normal(size=30)
    coef, intercept = naive_ridge(X.astype(float), y, 1.0)
    found = Ridge().fit(X, y).predict(X)
    assert found.dtype == (np.float64 if dtype in ("float64", "int64") else np.float32)
    np.testing.assert_allclose(found, X.astype(float) @ coef + intercept, atol=1e-6)


@pytest.mark.parametrize(
    "layout", ["fortran", "strided", "negative", "readonly", "memmap", "swapped"]
)
def test_layouts(layout, tmp_path):
    X, y, groups = cohort(30, 6)
    expected = RidgeCV(ALPHAS).fit(X, y, groups=groups)
    original = X.copy()
    if layout == "fortran":
        X = np.asfortranarray(X)
    elif layout == "strided":
        X = X.repeat(2, 0).repeat(3, 1)[::2, ::3]
    elif layout == "negative":
        X = X[::-1, ::-1].copy()[::-1, ::-1]
    elif layout == "memmap":
        np.save(tmp_path / "X.npy", X)
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
    elif layout == "swapped":
        X = X.astype(X.dtype.newbyteorder())
    else:
        X.flags.writeable = y.flags.writeable = False
    model = RidgeCV(ALPHAS).fit(X, y, groups=groups)
    np.testing.assert_array_equal(X, original)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-12)
    np.testing.assert_allclose(model.cv_predictions_, expected.cv_predictions_, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weighting", ["none", "zeros"])
def test_work_in_pieces_gives_the_same(shape, weighting, monkeypatch):
    X, y, groups = cohort(*shape, targets=2)
    weight = weights(weighting, len(X))
    whole = RidgeCV(ALPHAS).fit(X, y, weight, groups), Ridge(0.3).fit(X, y, weight)
    expected = whole[1].predict(X)
    monkeypatch.setattr(design, "_PIECE", 100)
    pieces = RidgeCV(ALPHAS).fit(X, y, weight, groups), Ridge(0.3).fit(X, y, weight)
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_allclose(other.coef_, one.coef_, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(pieces[0].cv_predictions_, whole[0].cv_predictions_, rtol=1e-9)
    np.testing.assert_allclose(pieces[1].predict(X), expected, rtol=1e-12)


def test_shapes_and_solvers():
    X, y, _ = cohort(30, 6)
    model = Ridge().fit(X, y)
    assert (model.coef_.shape, type(model.intercept_)) == ((6,), float)
    assert model.solver_ == RidgeCV().fit(X, y).solver_ == "primal"
    model = Ridge().fit(X, y[:, None])
    assert (model.coef_.shape, model.intercept_.shape) == ((1, 6), (1,))
    assert model.predict(X).shape == (30, 1)
    model = RidgeCV().fit(X[:5], np.stack([y, -y], 1)[:5])
    assert model.solver_ == "dual"
    assert model.cv_predictions_.shape == (5, 2)
    assert Ridge(fit_intercept=False).fit(X, y).intercept_ == 0.0
    np.testing.assert_allclose(Ridge().fit(X[:1], y[:1]).predict(X), np.full(30, y[0]))


def test_the_same_input_gives_the_same_bits():
    X, y, groups = cohort(50, 20)
    one, two = (RidgeCV(ALPHAS).fit(X, y, groups=groups) for _ in range(2))
    assert one.coef_.tobytes() == two.coef_.tobytes()
    assert one.cv_predictions_.tobytes() == two.cv_predictions_.tobytes()
    assert pickle.loads(pickle.dumps(one)).predict(X).tobytes() == one.predict(X).tobytes()


class Guest:
    """An array of some other library, as DLPack shows it."""

    def __init__(self, array):
        self.array = np.asarray(array)

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __array_namespace__(self):
        return type("namespace", (), {"from_dlpack": staticmethod(Guest)})


def test_guests_leave_as_what_they_came_as():
    X, y, _ = cohort(30, 6)
    model = RidgeCV().fit(Guest(X), Guest(y), groups=Guest(np.arange(30) // 3))
    found = model.predict(Guest(X))
    assert isinstance(found, Guest)
    np.testing.assert_array_equal(found.array, model.predict(X))
    expected = RidgeCV().fit(X, y, groups=np.arange(30) // 3)
    np.testing.assert_array_equal(model.cv_predictions_, expected.cv_predictions_)


def test_data_do_not_move_between_devices(xp_any):
    X, y, _ = cohort(30, 6)
    model = Ridge().fit(xp_any.asarray(X), xp_any.asarray(y))
    if xp_any.name == "numpy":
        assert isinstance(model.coef_, np.ndarray)
        return
    with pytest.raises(TypeError, match="lives on"):
        model.predict(X)
    with pytest.raises(TypeError, match="lives on"):
        Ridge().fit(xp_any.asarray(X), y)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((0, 2)), r"0 sample\(s\)"),
        (np.zeros((3, 0)), r"0 feature\(s\)"),
        (np.zeros(3), "Expected 2D array"),
        (np.zeros((3, 2), complex), "Complex data not supported"),
        ([["a", "b"]] * 3, "could not convert|dtype='numeric'"),
        ([[1, np.nan], [2, 3], [np.inf, 4]], r"2 of 6 values, the first at index \(0, 1\)"),
        (np.ma.array(np.ones((3, 2))), "masked"),
    ],
)
def test_bad_designs(xp_any, X, message):
    if isinstance(X, np.ndarray) and not isinstance(X, np.ma.MaskedArray):
        X = xp_any.asarray(X)
    with pytest.raises((ValueError, TypeError), match=message):
        Ridge().fit(X, xp_any.asarray(np.arange(3.0)) if not isinstance(X, list) else [1, 2, 3])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"y": [1.0, np.nan, 2.0]}, ValueError, "1 of 3 values, the first at index 1"),
        ({"y": [1.0, 2.0]}, ValueError, r"inconsistent numbers of samples: \[3, 2\]"),
        ({"y": None}, ValueError, "requires y to be passed"),
        ({"y": np.zeros((3, 1, 1))}, ValueError, "`y`|dim 3"),
        ({"sample_weight": [1.0, -1.0, 1.0]}, ValueError, "must not be negative, got 1"),
        ({"sample_weight": [0.0, 0.0, 0.0]}, ValueError, "zero for every sample"),
        ({"sample_weight": [1.0, 1.0]}, ValueError, r"of shape \(3,\)"),
        ({"sample_weight": [1.0, np.inf, 1.0]}, ValueError, "`sample_weight` contains"),
        ({"sample_weight": ["1", "1", "1"]}, ValueError, "must hold numbers"),
        ({"sample_weight": [1.0, 0.0, 0.0], "groups": [1, 2, 3]}, ValueError, "at least 2 folds"),
        ({"groups": [1, 1, 1]}, ValueError, "at least 2 groups"),
        ({"groups": [1, 2]}, ValueError, "each of the 3 samples"),
    ],
)
def test_bad_arguments(arguments, error, message):
    given = {"y": [1.0, 2.0, 4.0], **arguments}
    with pytest.raises(error, match=message):
        Ridge().fit([[0.0], [1.0], [3.0]], **given)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (Ridge(-1.0), ValueError, "`alpha` must be a finite number of at least 0, got -1"),
        (Ridge(np.nan), ValueError, "`alpha`"),
        (Ridge("1"), TypeError, "`alpha`"),
        (RidgeCV((1.0, -1.0)), ValueError, r"`alphas\[1\]`"),
        (RidgeCV(()), ValueError, "`alphas` must hold at least one value"),
        (RidgeCV(scoring="mse"), ValueError, '`scoring` must be one of "neg_mean'),
        (RidgeCV(scoring="roc_auc"), ValueError, "two values"),
        (RidgeCV(cv=4), ValueError, "at most the number of groups, 3"),
    ],
)
def test_bad_parameters(model, error, message):
    with pytest.raises(error, match=message):
        model.fit([[0.0], [1.0], [3.0]], [1.0, 2.0, 4.0])


def test_predict_with_other_features_or_values(xp_any):
    X, y, _ = cohort(30, 3)
    model = Ridge().fit(xp_any.asarray(X), xp_any.asarray(y))
    with pytest.raises(ValueError, match="X has 2 features, but Ridge is expecting 3 features"):
        model.predict(xp_any.asarray(X[:, :2]))
    X[4, 1] = np.nan
    with pytest.raises(ValueError, match=r"1 of 90 values, the first at index \(4, 1\)"):
        model.predict(xp_any.asarray(X))


def test_a_constant_column_of_any_size_gets_no_weight():
    X, y, _ = cohort(40, 4)
    for constant in (0.1, 1e10 / 3):
        wide = np.hstack([X, np.full((40, 1), constant)])
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            model = Ridge(0.0).fit(wide, y)
        assert abs(model.coef_[4] * constant) < 1e-8
        np.testing.assert_allclose(model.coef_[:4], naive_ridge(X, y, 0.0)[0], rtol=1e-9)


@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("n", [20, 21, 30])
def test_constant_features_predict_the_mean_of_the_others(n, weighting):
    y, groups, weight = np.arange(n) % 3 - 0.5, np.arange(n) // 2, weights(weighting, n)
    for constant in (1.0, 0.1, 1e5 / 3):
        X = np.full((n, 40), constant)
        expected = naive_held_out(0 * X, y, groups, 1.0, weight=weight)
        model = RidgeCV((1e-3, 1.0)).fit(X, y, weight, groups)
        np.testing.assert_allclose(model.cv_predictions_, expected, atol=1e-9)
        with pytest.warns(LinAlgWarning, match="rank 0 for 40"):
            model = Ridge(0.0).fit(X, y, weight, groups)
        np.testing.assert_allclose(model.cv_predictions_, expected, atol=1e-9)


def test_overflow_and_classes_without_weight_are_refused():
    X, y, groups = cohort(30, 6)
    with pytest.raises(ValueError, match="overflow float64"), np.errstate(over="ignore"):
        RidgeCV().fit(X, y * 1e200, groups=groups)
    sick = np.arange(30) % 2
    with pytest.raises(ValueError, match="both with weight"):
        RidgeCV(scoring="roc_auc").fit(X, sick, sample_weight=sick)


def test_solve_ridge_is_usable_alone(xp_any):
    X, y, _ = cohort(30, 6)
    found = solve_ridge(xp_any.asarray(X), xp_any.asarray(y), 2.0)
    reference = SklearnRidge(2.0).fit(X, y)
    np.testing.assert_allclose(xp_any.asnumpy(found.coef), reference.coef_, rtol=1e-10)
    assert found.intercept == pytest.approx(reference.intercept_, rel=1e-10)
    assert (found.solver, found.rank) == ("primal", 6)


def test_numpy_data_import_no_cupy():
    code = (
        "import sys, fastmm; fastmm.RidgeCV().fit([[0.], [1.], [3.]], [1., 2., 3.]); "
        "sys.exit('cupy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def expected_failures(estimator):
    if type(estimator) is not Ridge:
        return {}
    why = "partial_fit after fit is refused: fit keeps no sums, and its rows would be forgotten"
    return {"check_fit_score_takes_y": why}


@parametrize_with_checks([Ridge(), RidgeCV()], expected_failed_checks=expected_failures)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def hard_design(kind, rng):
    n, d = (30, 80) if kind in ("n < d", "graded, n < d") else (120, 20)
    X = rng.normal(size=(n, d))
    if kind == "mean 1e4":
        X += 1e4
    elif kind == "duplicated":
        X = np.hstack([X, X[:, :5], 2 * X[:, 3:4]])
    elif kind == "collinear":
        X[:, 1] = X[:, 0] + 1e-5 * X[:, 1]
        X[:, 2] = X[:, 3] - X[:, 4] + 1e-6 * X[:, 2]
    elif kind == "badly scaled":
        X *= np.logspace(-4, 4, d)
    elif kind == "constant":
        X[:, 4], X[:, 7] = 1234.5678, 0
    elif kind == "float32":
        X = (X + 1e4).astype(np.float32)
    elif kind == "graded, n < d":
        X = np.linalg.qr(X)[0][:, :30] * np.logspace(0, -6, 30) @ np.linalg.qr(X.T)[0].T
    return X


def by_svd(X, y, alpha):
    X = X.astype(np.longdouble)
    mean, centre = X.mean(0), y.mean(0)
    U, s, Vt = np.linalg.svd((X - mean).astype(float), full_matrices=False)
    kept = s > np.finfo(float).eps * max(X.shape) * s[0]
    s = np.where(kept, s, 1.0)
    factor = kept * (1 / s if alpha == 0 else s / (s**2 + alpha))
    coef = Vt.T @ (factor[:, None] * (U.T @ (y - centre)))
    return coef, (X - mean).astype(float) @ coef + centre


@pytest.mark.parametrize(
    "kind",
    [
        "mean 1e4",
        "duplicated",
        "n < d",
        "collinear",
        "badly scaled",
        "constant",
        "float32",
        "graded, n < d",
    ],
)
@pytest.mark.parametrize("alpha", [0.0, 1e-8, 1e-3, 1.0, 1e3, 1e8])
@pytest.mark.filterwarnings("ignore:The design has rank:scipy.linalg.LinAlgWarning")
def test_hard_designs_keep_six_digits_of_a_singular_value_decomposition(kind, alpha):
    rng = np.random.default_rng(8)
    X = hard_design(kind, rng)
    signal = (X - X.mean(0, dtype=float)) / np.maximum(X.std(0, dtype=float), 1e-12)
    y = signal @ rng.normal(size=(X.shape[1], 2)) + rng.normal(size=(len(X), 2))
    coef, predicted = by_svd(X, y, alpha)
    ways = [
        {},
        {"solver": "primal"},
        {"solver": "dual"},
        {"solver": "svd"},
        {"precision": "mixed"},
        {"blocks": [slice(0, 9), slice(9, None)]},
    ]
    found = {str(way): solve_ridge(X, y, alpha, **way) for way in ways[: 6 if alpha else 5]}
    found["search"] = RidgeCV((alpha,)).fit(X, y)
    for way, solution in found.items():
        if way == "search":
            got, intercept = solution.coef_.T, solution.intercept_
        else:
            got, intercept = solution.coef.T, solution.intercept
            assert solution.residual < 1e-8, way
        close = np.linalg.norm(got - coef) < 1e-6 * np.linalg.norm(coef)
        assert close, (way, np.linalg.norm(got - coef) / np.linalg.norm(coef))
        error = np.abs(X.astype(float) @ got + intercept - predicted).max()
        assert error < 1e-6 * np.abs(predicted).max(), way


def test_mixed_precision_falls_back_where_float32_cannot_serve():
    X, y, _ = cohort(60, 20)
    X[:, 1] = X[:, 0] + 1e-4 * X[:, 1]
    for scale in (1.0, 1e25):
        expected = naive_ridge(X * scale, y, 1e-4 * scale**2)[0]
        found = solve_ridge(X * scale, y, 1e-4 * scale**2, precision="mixed").coef
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_backward_error_tells_of_wrong_coefficients():
    X, y, _ = cohort(60, 8, targets=3)
    for alpha in (0.0, 0.3, 1e3):
        assert solve_ridge(X, y, alpha).residual < 1e-14
    problem = RidgeProblem(X, y, None, True, Space("cpu"))
    coef = problem.solve(0.3).coef
    assert 1e-6 < problem.backward_error(coef * (1 + 1e-4), 0.3) < 1e-3
    assert problem.backward_error(coef, 0.3 + 1e-2) > 1e-6
    assert solve_ridge(X, 0 * y, 1.0).residual == 0
    assert solve_ridge(0 * X, y, 1.0).residual == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_solve_ridge_with_an_alpha_for_each_target(xp_any, shape):
    X, y, _ = cohort(*shape, targets=4)
    alphas = np.array([0.1, 5.0, 0.1, 300.0])
    weight = weights("zeros", len(X))
    found = solve_ridge(*map(xp_any.asarray, (X, y)), alphas, sample_weight=xp_any.asarray(weight))
    for t, alpha in enumerate(alphas):
        coef, intercept = naive_ridge(X, y[:, t], alpha, weight=weight)
        np.testing.assert_allclose(xp_any.asnumpy(found.coef)[t], coef, rtol=1e-8, atol=1e-10)
        assert float(found.intercept[t]) == pytest.approx(intercept, rel=1e-9)
    with_zero = solve_ridge(X, y, [0.0, 1.0, 0.0, 1.0], sample_weight=weight)
    expected = naive_ridge(X, y[:, 2], 0.0, weight=weight)[0]
    np.testing.assert_allclose(with_zero.coef[2], expected, atol=1e-9)
    assert with_zero.solver == "svd"
    with pytest.raises(ValueError, match="one for each of the 4 targets, got 3"):
        solve_ridge(X, y, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"`alpha\[1\]` must be a finite number of at least 0"):
        solve_ridge(X, y, [1.0, -2.0, 3.0, 1.0])
    with pytest.raises(TypeError, match="needs `blocks`"):
        solve_ridge(X, y, {"a": 1.0})
