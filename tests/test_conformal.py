"""Conformal intervals and sets, against refits and against definitions written out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmm import LSSVC, LSSVCCV, KernelRidge, KernelRidgeCV, Ridge, RidgeClassifier, RidgeCV
from fastmm.validate.conformal import conformal_intervals
from fastmm.validate.conformal_sets import conformal_sets
from fastmm.validate.left_out_models import left_out_models


def cohort(seed=0, patients=25, rows=(1, 2, 3, 4), features=4, shared=1.0, classes=0):
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), rng.choice(rows, patients))
    X = rng.normal(size=(patient.size, features)) + rng.normal(size=(patients, features))[patient]
    y = X.sum(axis=1) + shared * rng.normal(size=patients)[patient] + rng.normal(size=patient.size)
    if classes:
        centres = 2.0 * rng.normal(size=(classes, features))
        y = rng.permutation(np.arange(patients) % classes)[patient]
        X = X + centres[y]
    return X, y, patient


def by_refits(estimator, X, y, groups, new, folds):
    """Fit without each fold, literally; return held-out and new outputs."""
    decide = "decision_function" if hasattr(estimator, "decision_function") else "predict"
    held, at = [None] * len(y), []
    for fold in range(folds.n_folds):
        train = folds.codes != fold
        model = clone(estimator).fit(X[train], y[train])
        at.append(getattr(model, decide)(new).reshape(len(new), -1))
        for row in np.flatnonzero(~train):
            held[row] = getattr(model, decide)(X[row : row + 1]).ravel()
    return np.array(held), np.stack(at, axis=1)


@pytest.mark.parametrize("cv", [None, 4])
@pytest.mark.parametrize(
    ("estimator", "classes"),
    [
        (Ridge(3.0), 0),
        (Ridge(3.0, fit_intercept=False), 0),
        (Ridge({"a": 1.0, "b": 30.0}, blocks={"a": [0, 1], "b": [2, 3]}), 0),
        (KernelRidge(0.5, kernel="rbf", gamma=0.1), 0),
        (KernelRidge(0.5, kernel="laplacian", gamma=0.1, fit_intercept=True), 0),
        (RidgeClassifier(3.0), 2),
        (RidgeClassifier(3.0), 3),
        (LSSVC(2.0, gamma=0.1), 2),
        (LSSVC(2.0, kernel="linear"), 3),
    ],
)
def test_closed_form_models_are_refits(estimator, classes, cv):
    X, y, groups = cohort(classes=classes)
    new = np.random.default_rng(9).normal(size=(7, 4))
    models = left_out_models(estimator, X, y, groups, cv)
    assert models.folds.n_folds == (cv or 25)
    held, at = by_refits(estimator, X, y, groups, new, models.folds)
    np.testing.assert_allclose(models.held_out, held, atol=1e-9)
    np.testing.assert_allclose(models.predict(new), at, atol=1e-9)


def test_a_large_mean_costs_no_digits():
    X, y, groups = cohort()
    models = left_out_models(Ridge(3.0), X + 1e4, y + 1e6, groups, None)
    expected = left_out_models(Ridge(3.0), X, y, groups, None)
    np.testing.assert_allclose(models.predict(X + 1e4) - 1e6, expected.predict(X), atol=1e-6)


def test_precomputed_kernels():
    X, y, groups = cohort()
    new = np.random.default_rng(9).normal(size=(7, 4))
    expected = conformal_intervals(KernelRidge(2.0), X, y, new, groups)
    given = KernelRidge(2.0, kernel="precomputed")
    found = conformal_intervals(given, X @ X.T, y, new @ X.T, groups)
    np.testing.assert_allclose(found.low, expected.low, atol=1e-9)


@pytest.mark.parametrize(
    "estimator", [RidgeCV([0.3, 30.0]), KernelRidgeCV([0.3, 30.0], kernel="rbf", gamma=[0.01, 0.1])]
)
def test_searches_count_at_what_they_chose(estimator):
    X, y, groups = cohort()
    fitted = clone(estimator).fit(X, y, groups=groups)
    if isinstance(estimator, RidgeCV):
        single = Ridge(fitted.alpha_)
    else:
        single = KernelRidge(fitted.alpha_, kernel="rbf", gamma=fitted.gamma_)
    found = conformal_intervals(estimator, X, y, X[:5], groups)
    expected = conformal_intervals(single, X, y, X[:5], groups)
    np.testing.assert_allclose(found.low, expected.low)
    np.testing.assert_allclose(found.prediction, fitted.predict(X[:5]))


@pytest.mark.parametrize("cover", ["row", "patient"])
@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.9])
def test_interval_is_where_few_enough_patients_say_no(confidence, cover):
    X, y, groups = cohort()
    new = np.random.default_rng(9).normal(size=(4, 4))
    found = conformal_intervals(Ridge(3.0), X, y, new, groups, confidence=confidence, cover=cover)
    models = left_out_models(Ridge(3.0), X, y, groups, None)
    residual = abs(y - models.held_out[:, 0])
    count = groups.max() + 1
    for i, centre in enumerate(models.predict(new)[:, :, 0]):
        for end, sign in ((found.low[i], -1), (found.high[i], 1)):
            for step, inside in ((1e-7, True), (-1e-7, False)):
                guess = end - sign * step
                against = 0.0
                for g in range(count):
                    own = residual[groups == g]
                    own = np.array([own.max()]) if cover == "patient" else own
                    against += np.mean(sign * (guess - centre[g]) > own)
                assert (against < confidence * (count + 1) - 1e-9) == inside


def test_without_groups_it_is_the_jackknife_plus_as_printed():
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(30, 3)), rng.normal(size=(5, 3))
    y = X.sum(axis=1) + rng.normal(size=30)
    low, high = [], []
    for i in range(30):
        keep = np.arange(30) != i
        model = SklearnRidge(2.0).fit(X[keep], y[keep])
        error = abs(y[i] - model.predict(X[i : i + 1]))
        low.append(model.predict(new) - error)
        high.append(model.predict(new) + error)
    # The floor(0.1 * 31)-th and the ceil(0.9 * 31)-th smallest of 30.
    found = conformal_intervals(Ridge(2.0), X, y, new, confidence=0.9)
    np.testing.assert_allclose(found.low, np.sort(low, axis=0)[3 - 1], atol=1e-9)
    np.testing.assert_allclose(found.high, np.sort(high, axis=0)[28 - 1], atol=1e-9)


def test_sets_by_definition():
    X, y, groups = cohort(classes=3)
    new = np.random.default_rng(9).normal(size=(6, 4)) * 2
    names = np.array(["x", "y", "z"])[y]
    model = RidgeClassifier(3.0)
    for cover in ("row", "patient"):
        found = conformal_sets(model, X, names, new, groups, confidence=0.8, cover=cover)
        folds = left_out_models(model, X, names, groups, None).folds
        held, at = by_refits(model, X, names, groups, new, folds)
        lead = lambda f, c: max(f[k] for k in range(3) if k != c) - f[c]  # noqa: E731
        own = np.array([lead(f, c) for f, c in zip(held, y, strict=True)])
        for i in range(6):
            for c in range(3):
                total = 1.0
                for g in range(25):
                    score = own[groups == g]
                    score = score.max() if cover == "patient" else score
                    total += np.mean(score >= lead(at[i, g], c))
                assert found.pvalues[i, c] == pytest.approx(total / 26, abs=1e-9)
        np.testing.assert_array_equal(found.sets, found.pvalues > 0.2 + 1e-9)
        assert found.classes.tolist() == ["x", "y", "z"]


def coverage_of(cover, cv, patients=30, trials=250):
    """Return how often a random row, and all rows, of a new patient are covered."""
    one, every = 0, 0
    for seed in range(trials):
        X, y, groups = cohort(seed=seed, patients=patients + 1, shared=2.0)
        train = groups < patients
        found = conformal_intervals(
            Ridge(1.0),
            X[train],
            y[train],
            X[~train],
            groups[train],
            confidence=0.8,
            cv=cv,
            cover=cover,
        )
        hits = (found.low <= y[~train]) & (y[~train] <= found.high)
        one += hits[0]
        every += hits.all()
    return one / trials, every / trials


@pytest.mark.parametrize("cv", [None, 6])
def test_clustered_rows_are_covered(cv):
    one, every = coverage_of("row", cv)
    assert 0.8 - 0.075 < one < 0.8 + 0.1  # 0.6 is guaranteed, 0.8 is usual; 3 s.d. are 0.076
    assert every < one
    one, every = coverage_of("patient", cv)
    assert 0.8 - 0.075 < every < 0.8 + 0.1
    assert one >= every


def test_labels_of_new_patients_are_covered():
    hits, sizes = [], []
    for seed in range(200):
        X, y, groups = cohort(seed=seed, patients=31, classes=3)
        train = groups < 30
        found = conformal_sets(
            RidgeClassifier(3.0), X[train], y[train], X[~train], groups[train], confidence=0.8
        )
        hits.append(found.sets[0, y[~train][0]])
        sizes.append(found.sets[0].sum())
    assert 0.8 - 0.085 < np.mean(hits) < 0.8 + 0.1
    assert 0.7 < np.mean(sizes) < 2


def test_any_estimator_by_refits():
    X, y, groups = cohort()
    found = conformal_intervals(SklearnRidge(3.0), X, y, X[:5], groups, cv=5)
    expected = conformal_intervals(Ridge(3.0), X, y, X[:5], groups, cv=5)
    np.testing.assert_allclose(found.low, expected.low, atol=1e-9)
    piped = make_pipeline(StandardScaler(), Ridge(3.0))
    assert (conformal_intervals(piped, X, y, X[:5], groups).low < y[:5] + 9).all()
    forest = RandomForestRegressor(5, random_state=0)
    assert np.isfinite(conformal_intervals(forest, X, y, X[:3], groups, cv=3).low).all()
    X, y, groups = cohort(classes=3)
    for model in (
        LogisticRegression(),
        RidgeClassifier(class_weight="balanced"),
        LSSVCCV((1.0, 10.0)),
    ):
        found = conformal_sets(model, X, y, X, groups, cv=5)
        assert found.sets[np.arange(y.size), y].mean() > 0.75


def test_too_few_patients_give_infinite_intervals():
    X, y, groups = cohort(patients=8)
    with pytest.warns(UserWarning, match="at least 9 are needed"):
        found = conformal_intervals(Ridge(), X, y, X[:2], groups, confidence=0.9)
    assert (found.high == np.inf).all()
    assert (found.low == -np.inf).all()
    X, y, groups = cohort(patients=9)
    assert np.isfinite(conformal_intervals(Ridge(), X, y, X[:2], groups, confidence=0.9).low).all()


def test_pieces_do_not_change_the_result(monkeypatch):
    X, y, groups = cohort()
    whole = conformal_intervals(Ridge(), X, y, X, groups)
    monkeypatch.setattr("fastmm.validate.conformal.PIECE", 200)
    np.testing.assert_array_equal(conformal_intervals(Ridge(), X, y, X, groups).low, whole.low)


@pytest.mark.parametrize("estimator", [Ridge(), KernelRidge(kernel="rbf")])
def test_device_arrays(xp_any, estimator):
    X, y, groups = cohort()
    there = [xp_any.asarray(array) for array in (X, y, X[:4])]
    found = conformal_intervals(estimator, *there, groups)
    expected = conformal_intervals(estimator, X, y, X[:4], groups)
    np.testing.assert_allclose(found.high, expected.high, rtol=1e-7)


def test_device_labels(xp_any):
    X, y, groups = cohort(classes=2)
    new = X[:4] + 0.05  # rows of the cohort would tie with themselves, and rounding decide
    there = [xp_any.asarray(array) for array in (X, y, new)]
    found = conformal_sets(LSSVC(), *there, groups)
    np.testing.assert_allclose(found.pvalues, conformal_sets(LSSVC(), X, y, new, groups).pvalues)


def test_refused():
    X, y, groups = cohort()
    with pytest.raises(ValueError, match="less than 1"):
        conformal_intervals(Ridge(), X, y, X, groups, confidence=1.0)
    with pytest.raises(ValueError, match="`cover`"):
        conformal_intervals(Ridge(), X, y, X, groups, cover="all")
    with pytest.raises(ValueError, match="`y` must hold numbers"):
        conformal_intervals(Ridge(), X, np.stack([y, y], axis=1), X, groups)
    with pytest.raises(ValueError, match="at most the number of groups"):
        conformal_intervals(Ridge(), X, y, X, groups, cv=26)
    labels = (groups == 3).astype(int)
    with pytest.raises(ValueError, match="class has all"):
        conformal_sets(LogisticRegression(), X, labels, X, groups)
