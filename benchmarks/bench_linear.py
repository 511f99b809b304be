"""Search a ridge penalty by leaving whole patients out, on 20 penalties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastmm

FULL, SMALL = (1000, 800, 50), (60, 30, 6)  # rows, features, groups
ALPHAS = np.logspace(-2, 4, 20)


def bench_ridge_cv(timed: Any, arrays: Any, pick: Any) -> None:
    X, y, groups = make_cohort(*pick(FULL, SMALL))
    timed(
        lambda a, b: fastmm.RidgeCV(ALPHAS).fit(a, b, groups=groups),
        arrays.xp.asarray(X),
        arrays.xp.asarray(y),
        group=group(X, groups),
        check=lambda model: error_of(
            model.alpha_, arrays.asnumpy(model.cv_predictions_), X, y, groups
        ),
        tolerance=1e-9,
    )


def bench_ridge_cv_sklearn(benchmark: Any, pick: Any) -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    selection = pytest.importorskip("sklearn.model_selection")
    X, y, groups = make_cohort(*pick(FULL, SMALL))
    # About 93 s on two cores: one round, without the repetitions that `timed` makes.
    task, small = group(X, groups), pick(FULL, SMALL) is SMALL
    benchmark.group = f"{task}, CPU"
    benchmark.extra_info.update(
        device="CPU", peer="scikit-learn", task=task, sizes="small" if small else "full"
    )
    search = selection.GridSearchCV(
        linear.Ridge(),
        {"alpha": ALPHAS},
        scoring="neg_mean_squared_error",
        cv=selection.LeaveOneGroupOut(),
    )
    found = benchmark.pedantic(search.fit, (X, y), {"groups": groups}, rounds=1)
    ours = fastmm.RidgeCV(ALPHAS).fit(X, y, groups=groups)
    benchmark.extra_info["parity"] = error = float(
        np.abs(ours.cv_scores_ / found.cv_results_["mean_test_score"] - 1).max()
    )
    assert error < 1e-6
    assert ours.alpha_ == found.best_params_["alpha"]


def group(X: np.ndarray, groups: np.ndarray) -> str:
    rows, features = X.shape
    return f"ridge search {rows} x {features}, {groups.max() + 1} groups, {ALPHAS.size} alphas"


def error_of(
    alpha: float, predictions: np.ndarray, X: np.ndarray, y: np.ndarray, groups: np.ndarray
) -> float:
    """Compare the predictions of three groups with refits by the normal equations."""
    errors = []
    for name in (0, 1, groups.max()):
        train, test = groups != name, groups == name
        mean, centre = X[train].mean(0), y[train].mean()
        left = X[train] - mean
        gram = left.T @ left + alpha * np.eye(X.shape[1])
        coef = np.linalg.solve(gram, left.T @ (y[train] - centre))
        errors.append(np.abs((X[test] - mean) @ coef + centre - predictions[test]).max())
    return float(max(errors) / np.abs(y).max())


def make_cohort(rows: int, features: int, n_groups: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, features)) + 5
    y = X @ rng.standard_normal(features) + 20 * rng.standard_normal(rows)
    return X, y, np.arange(rows) * n_groups // rows
