"""Search a kernel ridge penalty with whole patients held out, and fit one on many rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastmm

FULL, SMALL = (1000, 300, 50), (80, 10, 16)  # rows, features, groups
LARGE, FEW = (20_000, 100, 1000), (400, 5, 40)  # rows, features, centres
ALPHAS = np.logspace(-3, 2, 20)
FOLDS = 8


def bench_kernel_ridge_cv(timed: Any, arrays: Any, pick: Any) -> None:
    X, y, groups = make_cohort(*pick(FULL, SMALL))
    timed(
        lambda a, b: search(X).fit(a, b, groups=groups),
        arrays.xp.asarray(X),
        arrays.xp.asarray(y),
        group=group(X),
        check=lambda model: error_of(model, arrays.asnumpy(model.cv_predictions_), X, y, groups),
        tolerance=1e-9,
    )


def bench_kernel_ridge_cv_sklearn(benchmark: Any, pick: Any) -> None:
    peer = pytest.importorskip("sklearn.kernel_ridge", reason="scikit-learn is not installed")
    selection = pytest.importorskip("sklearn.model_selection")
    X, y, groups = make_cohort(*pick(FULL, SMALL))
    describe(benchmark, "scikit-learn", X, pick)
    found = selection.GridSearchCV(
        peer.KernelRidge(kernel="rbf", gamma=gamma(X)),
        {"alpha": ALPHAS},
        scoring="neg_mean_squared_error",
        cv=splits(groups),
    )
    benchmark.pedantic(found.fit, (X, y), rounds=1)
    ours = search(X).fit(X, y, groups=groups)
    error = np.abs(ours.cv_scores_ / found.cv_results_["mean_test_score"] - 1).max()
    benchmark.extra_info["parity"] = float(error)
    assert error < 1e-6
    assert ours.alpha_ == found.best_params_["alpha"]


def bench_kernel_ridge_cv_himalaya(benchmark: Any, pick: Any) -> None:
    peer = pytest.importorskip("himalaya.kernel_ridge", reason="himalaya is not installed")
    X, y, groups = make_cohort(*pick(FULL, SMALL))
    describe(benchmark, "himalaya", X, pick)
    found = peer.KernelRidgeCV(
        ALPHAS, kernel="rbf", kernel_params={"gamma": gamma(X)}, cv=splits(groups)
    )
    benchmark.pedantic(found.fit, (X, y), rounds=pick(3, 1))
    ours = search(X).fit(X, y, groups=groups)
    assert ours.alpha_ == pytest.approx(float(found.best_alphas_[0]))
    error = np.abs(ours.dual_coef_ - found.dual_coef_).max() / np.abs(ours.dual_coef_).max()
    benchmark.extra_info["parity"] = float(error)
    assert error < 1e-6


def bench_nystrom(timed: Any, arrays: Any, pick: Any) -> None:
    n, d, m = pick(LARGE, FEW)
    X, y, _ = make_cohort(n, d, n)
    timed(
        lambda a, b: on_centres(X, m).fit(a, b),
        arrays.xp.asarray(X),
        arrays.xp.asarray(y),
        group=f"kernel ridge {n} x {d} on {m} centres",
        check=lambda model: model.residual_,
        tolerance=1e-6,
        flops=2 * n * m * d,  # one pass over the kernel, the least there can be
    )


def bench_nystrom_sklearn(timed: Any, pick: Any) -> None:
    approximation = pytest.importorskip(
        "sklearn.kernel_approximation", reason="scikit-learn is not installed"
    )
    linear = pytest.importorskip("sklearn.linear_model")
    n, d, m = pick(LARGE, FEW)
    X, y, _ = make_cohort(n, d, n)
    ours = on_centres(X, m).fit(X, y)
    rows = slice(0, 5000)

    def fit(a: Any, b: Any) -> Any:
        # On our centres, so that both solve one problem; drawing them costs next to nothing.
        features = approximation.Nystroem(gamma=gamma(X), n_components=m).fit(ours.X_fit_)
        model = linear.Ridge(ALPHAS[10], fit_intercept=False).fit(features.transform(a), b)
        return features, model

    def differs(fitted: Any) -> float:
        features, model = fitted
        theirs = model.predict(features.transform(X[rows]))
        return float(abs(ours.predict(X[rows]) - theirs).max() / abs(theirs).max())

    timed(
        fit, X, y, group=f"kernel ridge {n} x {d} on {m} centres", peer="scikit-learn",
        check=differs, tolerance=1e-5,
    )  # fmt: skip


def search(X: np.ndarray) -> Any:
    return fastmm.KernelRidgeCV(ALPHAS, kernel="rbf", gamma=gamma(X), cv=FOLDS)


def on_centres(X: np.ndarray, m: int) -> Any:
    return fastmm.KernelRidge(
        ALPHAS[10], kernel="rbf", gamma=gamma(X), solver="nystrom", n_components=m, tol=1e-6
    )


def gamma(X: np.ndarray) -> float:
    return 0.3 / X.shape[1]


def splits(groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the folds that fastmm makes: with groups of one size, each to the emptiest."""
    fold = groups % FOLDS
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(FOLDS)]


def group(X: np.ndarray) -> str:
    return f"kernel ridge search {X.shape[0]} x {X.shape[1]}, {FOLDS} folds, {ALPHAS.size} alphas"


def describe(benchmark: Any, peer: str, X: np.ndarray, pick: Any) -> None:
    benchmark.group = f"{group(X)}, CPU"
    benchmark.extra_info.update(device="CPU", peer=peer, task=group(X), sizes=pick("full", "small"))


def error_of(
    model: Any, predictions: np.ndarray, X: np.ndarray, y: np.ndarray, groups: np.ndarray
) -> float:
    """Compare the predictions of two folds with refits by the definition."""
    errors = []
    squares = (X * X).sum(1)
    distances = np.maximum(squares[:, None] + squares - 2 * X @ X.T, 0)
    K = np.exp(-gamma(X) * distances)
    for train, test in splits(groups)[:2]:
        left = K[np.ix_(train, train)] + model.alpha_ * np.eye(train.size)
        expected = K[np.ix_(test, train)] @ np.linalg.solve(left, y[train])
        errors.append(np.abs(expected - predictions[test]).max())
    return float(max(errors) / np.abs(y).max())


def make_cohort(rows: int, features: int, n_groups: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, features))
    y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2] + 0.5 * rng.standard_normal(rows)
    return X, y, np.arange(rows) * n_groups // rows
