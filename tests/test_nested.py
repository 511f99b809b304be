"""Nested predictions, against loops written out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import GridSearchCV, GroupKFold, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from fastmm import LSSVC, LSSVCCV, KernelRidge, Ridge, RidgeCV
from fastmm.validate.nested import nested_predictions


def cohort(seed=0, patients=14, classes=0):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(patients), rng.integers(1, 5, patients))
    X = rng.normal(size=(groups.size, 5)) + rng.normal(size=(patients, 5))[groups]
    y = X.sum(axis=1) + 3 * rng.normal(size=groups.size)
    if classes:
        y = rng.permutation(np.arange(patients) % classes)[groups]
        X = X + 2 * rng.normal(size=(classes, 5))[y]
    return X, y, np.array([f"p{g}" for g in groups])


@pytest.mark.parametrize("cv", [None, 4])
def test_search_is_repeated_without_each_fold(cv):
    X, y, groups = cohort()
    weight = np.random.default_rng(1).uniform(0.5, 2, y.size)
    model = RidgeCV(10.0 ** np.arange(-2, 4))
    found = nested_predictions(model, X, y, groups, cv=cv, sample_weight=weight)
    assert len(found.models) == (cv or 14)
    chosen = set()
    for fold in range(found.fold.max() + 1):
        test = found.fold == fold
        fitted = RidgeCV(10.0 ** np.arange(-2, 4)).fit(
            X[~test], y[~test], weight[~test], groups=groups[~test]
        )
        assert found.models[fold].alpha_ == fitted.alpha_
        chosen.add(fitted.alpha_)
        np.testing.assert_allclose(found.prediction[test], fitted.predict(X[test]))
        assert not set(groups[test]) & set(groups[~test])
    assert len(chosen) > 1  # else the search need not have been repeated
    assert found.decision is None
    assert not hasattr(model, "alpha_")


def test_without_a_search_it_is_the_closed_form():
    X, y, groups = cohort()
    exact = Ridge(3.0).fit(X, y, groups=groups).cv_predictions_
    np.testing.assert_allclose(nested_predictions(Ridge(3.0), X, y, groups).prediction, exact)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "model", [LSSVCCV((0.1, 10.0)), LogisticRegression(), LinearSVC(), LSSVC()]
)
def test_classifiers(model, classes):
    X, y, groups = cohort(classes=classes)
    names = np.array(["a", "b", "c"])[y]
    found = nested_predictions(model, X, names, groups, cv=5)
    assert found.decision.shape == ((y.size,) if classes == 2 else (y.size, 3))
    winners = found.decision.argmax(1) if classes == 3 else (found.decision > 0).astype(int)
    np.testing.assert_array_equal(np.array(["a", "b", "c"])[winners], found.prediction)
    assert (found.prediction == names).mean() > 0.6


def test_probabilities_where_there_are_no_decisions():
    from sklearn.ensemble import RandomForestClassifier

    X, y, groups = cohort(classes=2)
    found = nested_predictions(RandomForestClassifier(5, random_state=0), X, y, groups, cv=3)
    assert found.decision.min() >= 0
    assert found.decision.max() <= 1


def test_searches_of_scikit_learn_keep_patients_whole():
    X, y, groups = cohort()
    search = GridSearchCV(SklearnRidge(), {"alpha": [1e-2, 1.0, 100.0]}, cv=GroupKFold(3))
    found = nested_predictions(search, X, y, groups, cv=GroupKFold(4))
    expected = np.empty(y.size)
    for train, test in GroupKFold(4).split(X, y, groups):
        search.fit(X[train], y[train], groups=groups[train])
        expected[test] = search.predict(X[test])
    np.testing.assert_allclose(found.prediction, expected)
    inner = GridSearchCV(
        RidgeCV(),
        {"fit_intercept": [True, False]},
        scoring="neg_mean_squared_error",
        cv=LeaveOneGroupOut(),
    )
    assert len(nested_predictions(inner, X, y, groups, cv=3).models) == 3


def test_pipelines_and_frames():
    X, y, groups = cohort()
    model = make_pipeline(StandardScaler(), RidgeCV())
    frame = pd.DataFrame(X, columns=list("abcde"))
    found = nested_predictions(model, frame, pd.Series(y), groups, cv=3)
    plain = nested_predictions(model, X, y, groups, cv=3)
    np.testing.assert_allclose(found.prediction, plain.prediction)
    test = plain.fold == 0
    scaler = StandardScaler().fit(X[~test])
    inner = RidgeCV().fit(scaler.transform(X[~test]), y[~test], groups=groups[~test])
    np.testing.assert_allclose(plain.prediction[test], inner.predict(scaler.transform(X[test])))


def test_sparse_rows_lists_and_kernel_matrices():
    X, y, groups = cohort()
    expected = nested_predictions(SklearnRidge(), X, y, groups, cv=3).prediction
    iterative = SklearnRidge(solver="sparse_cg", tol=1e-10)
    sparse = nested_predictions(iterative, csr_array(X), y, groups, cv=3)
    np.testing.assert_allclose(sparse.prediction, expected, rtol=1e-6)
    listed = nested_predictions(SklearnRidge(), X.tolist(), y.tolist(), groups.tolist(), cv=3)
    np.testing.assert_allclose(listed.prediction, expected)
    given = nested_predictions(KernelRidge(kernel="precomputed"), X @ X.T, y, groups, cv=3)
    np.testing.assert_allclose(
        given.prediction, nested_predictions(KernelRidge(), X, y, groups, cv=3).prediction
    )


def test_several_targets():
    X, y, groups = cohort()
    found = nested_predictions(RidgeCV(), X, np.stack([y, -y], axis=1), groups, cv=3).prediction
    np.testing.assert_allclose(found[:, 0], -found[:, 1])


def test_what_the_search_says_of_itself_is_hopeful():
    gap = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(30, 40)), rng.normal(size=30)
        model = RidgeCV(10.0 ** np.arange(-2, 6)).fit(X, y)
        found = nested_predictions(RidgeCV(10.0 ** np.arange(-2, 6)), X, y)
        gap.append(mean_squared_error(y, found.prediction) + model.best_score_)
    assert np.mean(gap) > 3 * np.std(gap) / np.sqrt(40)


def test_device_arrays(xp_any):
    X, y, groups = cohort()
    there = nested_predictions(RidgeCV(), xp_any.asarray(X), xp_any.asarray(y), groups, cv=3)
    here = nested_predictions(RidgeCV(), X, y, groups, cv=3)
    np.testing.assert_allclose(there.prediction, here.prediction, rtol=1e-9)


def test_refused():
    X, y, groups = cohort(classes=2)
    with pytest.raises(ValueError, match="all its rows in one fold"):
        nested_predictions(LSSVC(), X, (groups == "p3").astype(int), groups)
    with pytest.raises(ValueError, match="at most the number of groups"):
        nested_predictions(LSSVC(), X, y, groups, cv=99)
    with pytest.raises(ValueError, match="each of the"):
        nested_predictions(LSSVC(), X, y, groups[:-1])
