"""Ridge classifiers, ridge regression by iterations, and from rows that come in pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastmm
from fastmm.solve.ridge.solution import solve_ridge

CLASSES_FULL, CLASSES_SMALL = (1000, 800, 50, 4), (80, 10, 8, 4)  # rows, features, groups, classes
ALPHAS = (0.1, 1.0, 10.0)
LARGE_FULL, LARGE_SMALL = (12000, 6000), (300, 200)
ALPHA = 1000.0
STREAM_FULL, STREAM_SMALL = (50000, 1000, 5000), (600, 20, 100)  # rows, features, rows in a piece


def bench_classifier_search(timed: Any, arrays: Any, pick: Any) -> None:
    X, y, groups = make_classes(*pick(CLASSES_FULL, CLASSES_SMALL))
    timed(
        lambda a: search(a, y, groups),
        arrays.xp.asarray(X),
        group=classes(X, y, groups),
        check=lambda model: error_of_fold(model, arrays.asnumpy(model.cv_decision_), X, y, groups),
        tolerance=1e-9,
    )


def bench_classifier_search_sklearn(benchmark: Any, pick: Any) -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    selection = pytest.importorskip("sklearn.model_selection")
    X, y, groups = make_classes(*pick(CLASSES_FULL, CLASSES_SMALL))
    grid = selection.GridSearchCV(
        linear.RidgeClassifier(), {"alpha": ALPHAS}, cv=selection.LeaveOneGroupOut()
    )
    # Some 15 s on two cores: one round, without the repetitions that `timed` makes.
    task, small = classes(X, y, groups), pick(CLASSES_FULL, CLASSES_SMALL) is CLASSES_SMALL
    benchmark.group = f"{task}, CPU"
    benchmark.extra_info.update(
        device="CPU", peer="scikit-learn", task=task, sizes="small" if small else "full"
    )
    found = benchmark.pedantic(grid.fit, (X, y), {"groups": groups}, rounds=1)
    scores = search(X, y, groups).cv_scores_
    error = float(np.abs(scores - found.cv_results_["mean_test_score"]).max())
    benchmark.extra_info["parity"] = error
    assert error < 1e-9


def bench_iterative(timed: Any, arrays: Any, pick: Any) -> None:
    X, y = make_large(*pick(LARGE_FULL, LARGE_SMALL))
    expected = solve_ridge(X, y, ALPHA).coef
    timed(
        lambda a, b: fastmm.Ridge(ALPHA, solver="iterative").fit(a, b),
        arrays.xp.asarray(X),
        arrays.xp.asarray(y),
        group=large(X),
        check=lambda model: relative(arrays.asnumpy(model.coef_), expected),
        tolerance=1e-7,
    )


def bench_iterative_factorised(timed: Any, arrays: Any, pick: Any) -> None:
    X, y = make_large(*pick(LARGE_FULL, LARGE_SMALL))
    n, d = X.shape
    timed(
        lambda a, b: fastmm.Ridge(ALPHA, solver="primal").fit(a, b),
        arrays.xp.asarray(X),
        arrays.xp.asarray(y),
        group=large(X),
        peer="fastmm, factorised",
        check=lambda model: model.residual_,
        tolerance=1e-9,
        flops=n * d * d + d**3 // 3,
    )


@pytest.mark.parametrize("solver", ["sparse_cg", "lsqr"])
def bench_iterative_sklearn(timed: Any, pick: Any, solver: str) -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    X, y = make_large(*pick(LARGE_FULL, LARGE_SMALL))
    expected = solve_ridge(X, y, ALPHA).coef
    # In float32, as X comes: a smaller tolerance is not reached.
    timed(
        lambda a, b: linear.Ridge(ALPHA, solver=solver, tol=1e-6).fit(a, b),
        X,
        y,
        group=large(X),
        peer=f"scikit-learn, {solver}",
        check=lambda model: relative(model.coef_, expected),
        tolerance=1e-2,
    )


def bench_pieces(timed: Any, arrays: Any, pick: Any) -> None:
    rows, features, piece = pick(STREAM_FULL, STREAM_SMALL)
    X, y = make_large(rows, features)
    expected = solve_ridge(X, y, ALPHA).coef

    def learn(a: Any, b: Any) -> Any:
        model = fastmm.Ridge(ALPHA)
        for start in range(0, rows, piece):
            model.partial_fit(a[start : start + piece], b[start : start + piece])
        return model

    timed(
        learn,
        arrays.xp.asarray(X),
        arrays.xp.asarray(y),
        group=f"ridge {rows} x {features} float32 in pieces of {piece} rows",
        flops=rows * features**2 + rows // piece * features**3 // 3,
        check=lambda model: relative(arrays.asnumpy(model.coef_), expected),
        tolerance=1e-9,
    )


def search(X: Any, y: np.ndarray, groups: np.ndarray) -> Any:
    return fastmm.RidgeClassifierCV(ALPHAS, scoring="accuracy").fit(X, y, groups=groups)


def classes(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> str:
    rows, features = X.shape
    return (
        f"ridge classifier search {rows} x {features}, {y.max() + 1} classes, "
        f"{groups.max() + 1} groups, {len(ALPHAS)} alphas"
    )


def large(X: np.ndarray) -> str:
    return f"ridge {X.shape[0]} x {X.shape[1]} float32, iterative"


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def error_of_fold(
    model: Any, decision: np.ndarray, X: np.ndarray, y: np.ndarray, groups: np.ndarray
) -> float:
    """Compare the decisions on one group with a refit by the normal equations."""
    train, test = groups != 0, groups == 0
    signs = np.where(y[train, None] == np.arange(y.max() + 1), 1.0, -1.0)
    mean, centre = X[train].mean(0), signs.mean(0)
    left = X[train] - mean
    gram = left.T @ left + model.alpha_ * np.eye(X.shape[1])
    coef = np.linalg.solve(gram, left.T @ (signs - centre))
    return float(np.abs((X[test] - mean) @ coef + centre - decision[test]).max())


def make_classes(rows: int, features: int, n_groups: int, n_classes: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_classes, rows)
    X = rng.standard_normal((rows, features))
    X += 0.3 * rng.standard_normal((n_classes, features))[y]
    return X, y, np.arange(rows) * n_groups // rows


def make_large(rows: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features with a spectrum that falls off above a floor of noise."""
    rng = np.random.default_rng(0)
    rank = min(512, features // 2)
    basis = rng.standard_normal((rank, features), dtype=np.float32)
    basis /= np.sqrt(np.arange(1, rank + 1, dtype=np.float32))[:, None]
    X = rng.standard_normal((rows, rank), dtype=np.float32) @ basis
    X += np.float32(0.3) * rng.standard_normal((rows, features), dtype=np.float32) + np.float32(1)
    coef = rng.standard_normal(features, dtype=np.float32) / np.float32(features**0.5)
    return X, (X @ coef).astype(np.float64) + rng.standard_normal(rows)
