"""Validate without refits: permutation tests, calibration, areas, models without a patient."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut, permutation_test_score

import fastmm
from fastmm.solve.areas import roc_auc
from fastmm.validate.calibration import calibrated, fit_calibration
from fastmm.validate.comparison import compare_auc
from fastmm.validate.conformal import conformal_intervals
from fastmm.validate.permutation import permutation_test

RIDGE, SMALL = (1000, 800, 50), (60, 30, 6)  # rows, features, patients
MACHINE, SMALL_MACHINE = (3000, 300, 100), (80, 10, 8)
ALPHAS, CS = np.logspace(-2, 4, 20), np.logspace(-1, 3, 6)
PERMUTATIONS = 1000


@pytest.mark.parametrize("scoring", ["neg_mean_squared_error", "roc_auc"])
def bench_permutation_ridge(timed: Any, arrays: Any, pick: Any, scoring: str) -> None:
    X, y, groups = make_cohort(*pick(RIDGE, SMALL))
    X, y = arrays.xp.asarray(X), arrays.xp.asarray(y)
    model = fastmm.RidgeCV(ALPHAS, scoring=scoring)
    timed(
        lambda a, b: permutation_test(model, a, b, groups, n_permutations=PERMUTATIONS),
        X,
        y,
        group=f"{PERMUTATIONS} permutations, {size(X, groups)}, {ALPHAS.size} alphas, {scoring}",
        check=lambda found: abs(found.score - fit(model, X, y, groups).best_score_),
        tolerance=1e-9,
    )


@pytest.mark.parametrize("scoring", ["neg_mean_squared_error", "roc_auc"])
def bench_permutation_ridge_one_fit(timed: Any, arrays: Any, pick: Any, scoring: str) -> None:
    X, y, groups = make_cohort(*pick(RIDGE, SMALL))
    X, y = arrays.xp.asarray(X), arrays.xp.asarray(y)
    timed(
        lambda a, b: fit(fastmm.RidgeCV(ALPHAS, scoring=scoring), a, b, groups),
        X,
        y,
        group=f"{PERMUTATIONS} permutations, {size(X, groups)}, {ALPHAS.size} alphas, {scoring}",
        peer="one fit",
        check=lambda model: refit_error(model, fastmm.Ridge(model.alpha_), X, y, groups),
        tolerance=1e-8,
    )


def bench_permutation_ridge_sklearn(benchmark: Any, pick: Any) -> None:
    # One penalty and 3 permutations: all 20 and 1,000 would take a day.
    X, y, groups = make_cohort(*pick(RIDGE, SMALL))
    splits = list(LeaveOneGroupOut().split(X, y, groups))
    options = {"cv": splits, "scoring": "neg_mean_squared_error", "n_permutations": 3}
    describe(benchmark, f"3 permutations, {size(X, groups)}, one alpha", pick, "scikit-learn")
    score, _, _ = benchmark.pedantic(
        permutation_test_score, (SklearnRidge(10.0), X, y), options, rounds=1
    )
    started = time.perf_counter()
    found = permutation_test(fastmm.Ridge(10.0), X, y, groups, n_permutations=3)
    benchmark.extra_info["fastmm_s"] = time.perf_counter() - started
    benchmark.extra_info["parity"] = error = abs(found.score / score - 1)
    assert error < 1e-9


@pytest.mark.parametrize("cv", [10, None], ids=["10 folds", "leave one patient out"])
def bench_permutation_lssvm(timed: Any, arrays: Any, pick: Any, cv: int | None) -> None:
    X, y, groups = make_cohort(*pick(MACHINE, SMALL_MACHINE))
    cv = cv if cv is None else pick(cv, 4)
    X = arrays.xp.asarray(X)
    model = fastmm.LSSVCCV(CS, cv=cv)
    timed(
        lambda a: permutation_test(model, a, y, groups, n_permutations=PERMUTATIONS),
        X,
        group=f"{PERMUTATIONS} permutations, LS-SVM, {size(X, groups)}, cv={cv}",
        check=lambda found: abs(found.score - fit(model, X, y, groups).best_score_),
        tolerance=1e-9,
    )


@pytest.mark.parametrize("cv", [10, None], ids=["10 folds", "leave one patient out"])
def bench_permutation_lssvm_one_fit(timed: Any, arrays: Any, pick: Any, cv: int | None) -> None:
    X, y, groups = make_cohort(*pick(MACHINE, SMALL_MACHINE))
    cv = cv if cv is None else pick(cv, 4)
    X = arrays.xp.asarray(X)
    timed(
        lambda a: fit(fastmm.LSSVCCV(CS, cv=cv), a, y, groups),
        X,
        group=f"{PERMUTATIONS} permutations, LS-SVM, {size(X, groups)}, cv={cv}",
        peer="one fit",
        check=lambda model: abs(model.residual_),
        tolerance=1e-9,
    )


@pytest.mark.parametrize("classes", [2, 4])
def bench_calibration(timed: Any, pick: Any, classes: int) -> None:
    scores, y = make_scores(pick(1000, 60), classes)
    timed(
        lambda a: calibrated(a, *fit_calibration(a, y)),
        scores,
        group=f"calibrate {len(y)} scores of {classes} classes",
        check=lambda found: float(abs(found.sum(axis=1) - 1).max()),
        tolerance=1e-12,
    )


def bench_calibration_sklearn(timed: Any, pick: Any) -> None:
    scores, y = make_scores(pick(1000, 60), 2)
    ours = calibrated(scores, *fit_calibration(scores, y))
    model = LogisticRegression(C=100.0, tol=1e-8, max_iter=1000)
    timed(
        lambda a: model.fit(a[:, None], y).predict_proba(a[:, None]),
        scores,
        group=f"calibrate {len(y)} scores of 2 classes",
        peer="scikit-learn",
        check=lambda found: float(abs(found - ours).max()),
        tolerance=1e-3,
    )


def bench_areas(timed: Any, pick: Any) -> None:
    scores, y = make_lines(*pick((1000, 1000), (20, 50)))
    timed(
        lambda a: roc_auc(y, a),
        scores,
        group=f"{len(scores)} areas of {scores.shape[1]} scores",
        check=lambda found: abs(float(found[0]) - roc_auc_score(y[0], scores[0])),
        tolerance=1e-12,
    )


def bench_areas_sklearn(timed: Any, pick: Any) -> None:
    scores, y = make_lines(*pick((1000, 1000), (20, 50)))
    timed(
        lambda a: [roc_auc_score(*pair) for pair in zip(y, a, strict=True)],
        scores,
        group=f"{len(scores)} areas of {scores.shape[1]} scores",
        peer="scikit-learn",
        check=lambda found: float(abs(roc_auc(y, scores) - found).max()),
        tolerance=1e-12,
    )


def bench_compare_auc(timed: Any, pick: Any) -> None:
    scores, y = make_scores(pick(2000, 60), 2)
    other = scores + np.random.default_rng(1).normal(size=scores.size)
    groups = np.arange(scores.size) // 3
    timed(
        lambda a, b: compare_auc(y, a, b, groups),
        scores,
        other,
        group=f"compare two areas, {scores.size} rows",
        check=lambda found: abs(found.auc_a - roc_auc_score(y, scores)),
        tolerance=1e-12,
    )


def bench_jackknife_plus(timed: Any, arrays: Any, pick: Any) -> None:
    X, y, groups = make_cohort(*pick(RIDGE, SMALL))
    X, y = arrays.xp.asarray(X), arrays.xp.asarray(y * 1.0)
    timed(
        lambda a, b: conformal_intervals(fastmm.Ridge(10.0), a, b, a, groups, confidence=0.8),
        X,
        y,
        group=f"jackknife+ over patients, {size(X, groups)}",
        check=lambda found: plain_error(found, arrays.asnumpy(X), arrays.asnumpy(y)),
        tolerance=1e-8,
    )


def bench_jackknife_plus_refits(benchmark: Any, pick: Any) -> None:
    X, y, groups = make_cohort(*pick(RIDGE, SMALL))
    y = y * 1.0
    describe(
        benchmark, f"jackknife+ over patients, {size(X, groups)}", pick, "refits, scikit-learn"
    )
    refitted = benchmark.pedantic(
        conformal_intervals,
        (SklearnRidge(10.0), X, y, X, groups),
        {"confidence": 0.8},
        rounds=1,
    )
    ours = conformal_intervals(fastmm.Ridge(10.0), X, y, X, groups, confidence=0.8)
    benchmark.extra_info["parity"] = error = float(abs(ours.low - refitted.low).max())
    assert error < 1e-8


def fit(model: Any, X: Any, y: Any, groups: Any) -> Any:
    return model.fit(X, y, groups=groups)


def refit_error(search: Any, model: Any, X: Any, y: Any, groups: np.ndarray) -> float:
    """Compare what a search predicted for the first patient with a fit without them."""
    test = groups == groups[0]
    refitted = model.fit(X[~test], y[~test]).predict(X[test])
    return float(abs(refitted - search.cv_predictions_[test]).max())


def plain_error(found: Any, X: np.ndarray, y: np.ndarray) -> float:
    """Compare predictions with scikit-learn's; its intervals are those of the next benchmark."""
    return float(abs(found.prediction - SklearnRidge(10.0).fit(X, y).predict(X)).max())


def describe(benchmark: Any, task: str, pick: Any, peer: str) -> None:
    benchmark.group = f"{task}, CPU"
    sizes = pick("full", "small")
    benchmark.extra_info.update(device="CPU", peer=peer, task=task, sizes=sizes)


def size(X: Any, groups: np.ndarray) -> str:
    return f"{X.shape[0]} x {X.shape[1]}, {groups.max() + 1} patients"


def make_cohort(rows: int, features: int, patients: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    groups = np.arange(rows) * patients // rows
    y = rng.permutation(np.arange(patients) % 2)[groups]
    X = rng.standard_normal((rows, features))
    X[:, :5] += 0.3 * y[:, None]
    return X, y, groups


def make_scores(rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.concatenate([np.arange(classes), rng.integers(0, classes, rows - classes)])
    scores = np.eye(classes)[y] + rng.normal(size=(rows, classes))
    return (scores[:, 1] - scores[:, 0] if classes == 2 else scores), y


def make_lines(lines: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.random((lines, rows)) < 0.3
    y[:, 0], y[:, 1] = True, False
    return rng.standard_normal((lines, rows)) + y, y
