"""Search ridge penalties by leaving whole patients out: one target, many, and blocks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastmm
from fastmm.solve.ridge.solution import solve_ridge

FULL, SMALL = (1000, 800, 50), (60, 30, 6)  # rows, features, groups
ALPHAS = np.logspace(-2, 4, 20)
MANY_FULL, MANY_SMALL = (1000, 2000, 500), (60, 80, 5)  # rows, features, targets
MANY_ALPHAS = np.logspace(0, 5, 10)
BANDS_FULL, BANDS_SMALL = (500, (400, 400, 20), 100), (60, (40, 30, 4), 5)
BANDS_ALPHAS, CANDIDATES = np.logspace(-1, 4, 10), 32
SQUARE_FULL, SQUARE_SMALL = 4000, 60


def bench_ridge_cv(timed: Any, arrays: Any, pick: Any) -> None:
    X, y, groups = make_cohort(*pick(FULL, SMALL))
    timed(
        lambda a, b: fastmm.RidgeCV(ALPHAS).fit(a, b, groups=groups),
        arrays.xp.asarray(X),
        arrays.xp.asarray(y),
        group=group(X, groups),
        flops=flops_of_search(*X.shape, 1, ALPHAS.size, X.shape[0] // (groups.max() + 1)),
        check=lambda model: error_of(
            model.alpha_, arrays.asnumpy(model.cv_predictions_), X, y, groups
        ),
        tolerance=1e-9,
    )


def bench_ridge_cv_sklearn(benchmark: Any, pick: Any) -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    selection = pytest.importorskip("sklearn.model_selection")
    X, y, groups = make_cohort(*pick(FULL, SMALL))
    search = selection.GridSearchCV(
        linear.Ridge(),
        {"alpha": ALPHAS},
        scoring="neg_mean_squared_error",
        cv=selection.LeaveOneGroupOut(),
    )
    found = once(
        benchmark, group(X, groups), "scikit-learn", pick, lambda: search.fit(X, y, groups=groups)
    )
    ours = fastmm.RidgeCV(ALPHAS).fit(X, y, groups=groups)
    agree(benchmark, ours.cv_scores_, found.cv_results_["mean_test_score"])
    assert ours.alpha_ == found.best_params_["alpha"]


def bench_ridge_cv_himalaya(benchmark: Any, pick: Any) -> None:
    ridge = pytest.importorskip("himalaya.ridge", reason="himalaya is not installed")
    selection = pytest.importorskip("sklearn.model_selection")
    X, y, groups = make_cohort(*pick(FULL, SMALL))
    folds = selection.PredefinedSplit(groups)
    model = ridge.RidgeCV(alphas=ALPHAS, fit_intercept=True, cv=folds)
    found = once(benchmark, group(X, groups), "himalaya", pick, lambda: model.fit(X, y))
    ours = fastmm.RidgeCV(ALPHAS).fit(X, y, groups=groups)
    agree(benchmark, ours.best_score_, found.cv_scores_)
    agree(benchmark, ours.alpha_, found.best_alphas_)


def bench_many_targets(timed: Any, arrays: Any, pick: Any) -> None:
    X, Y = make_targets(*pick(MANY_FULL, MANY_SMALL))
    folds = five_folds(X.shape[0])
    timed(
        lambda a, b: fastmm.RidgeCV(MANY_ALPHAS, alpha_per_target=True, cv=5).fit(
            a, b, groups=folds
        ),
        arrays.xp.asarray(X),
        arrays.xp.asarray(Y),
        group=many(X, Y),
        flops=flops_of_search(*X.shape, Y.shape[1], MANY_ALPHAS.size, X.shape[0] // 5),
        check=lambda model: error_of(
            model.alpha_[0], arrays.asnumpy(model.cv_predictions_)[:, 0], X, Y[:, 0], folds
        ),
        tolerance=1e-9,
    )


def bench_many_targets_himalaya(benchmark: Any, pick: Any) -> None:
    ridge = pytest.importorskip("himalaya.ridge", reason="himalaya is not installed")
    selection = pytest.importorskip("sklearn.model_selection")
    X, Y = make_targets(*pick(MANY_FULL, MANY_SMALL))
    folds = five_folds(X.shape[0])
    model = ridge.RidgeCV(
        alphas=MANY_ALPHAS, fit_intercept=True, cv=selection.PredefinedSplit(folds)
    )
    found = once(benchmark, many(X, Y), "himalaya", pick, lambda: model.fit(X, Y))
    ours = fastmm.RidgeCV(MANY_ALPHAS, alpha_per_target=True, cv=5).fit(X, Y, groups=folds)
    agree(benchmark, ours.best_score_, found.cv_scores_)
    agree(benchmark, ours.alpha_, found.best_alphas_)


def bench_banded_ridge(timed: Any, arrays: Any, pick: Any) -> None:
    X, Y, blocks = make_bands(*pick(BANDS_FULL, BANDS_SMALL))
    timed(
        banded_search(blocks, X.shape[0]),
        arrays.xp.asarray(X),
        arrays.xp.asarray(Y),
        group=banded(X, Y, blocks),
        check=lambda model: banded_error_of(model, arrays, X, Y, blocks),
        tolerance=1e-8,
    )


def bench_banded_ridge_himalaya(benchmark: Any, pick: Any) -> None:
    ridge = pytest.importorskip("himalaya.ridge", reason="himalaya is not installed")
    selection = pytest.importorskip("sklearn.model_selection")
    X, Y, blocks = make_bands(*pick(BANDS_FULL, BANDS_SMALL))
    ours = banded_search(blocks, X.shape[0])(X, Y)
    call = lambda: ridge.solve_group_ridge_random_search(  # noqa: E731
        [X[:, columns] for columns in blocks.values()],
        Y,
        n_iter=1 / (len(blocks) * ours.ratios_),  # the same candidates
        alphas=BANDS_ALPHAS / len(blocks),
        fit_intercept=True,
        cv=selection.PredefinedSplit(five_folds(X.shape[0])),
        return_weights=True,
        progress_bar=False,
    )
    _, _, scores, _ = once(benchmark, banded(X, Y, blocks), "himalaya", pick, call)
    agree(benchmark, ours.best_score_, scores.max(axis=0))


@pytest.mark.parametrize("precision", ["float64", "mixed"])
def bench_one_ridge_system(timed: Any, arrays: Any, pick: Any, precision: str) -> None:
    n = pick(SQUARE_FULL, SQUARE_SMALL)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((n, n)), rng.standard_normal(n)
    timed(
        lambda a, b: solve_ridge(a, b, 10.0, precision=precision),
        arrays.xp.asarray(X),
        arrays.xp.asarray(y),
        group=f"ridge system {n} x {n}",
        peer=f"fastmm, {precision}",
        flops=n**3 + n**3 // 3,
        check=lambda found: found.residual,
        tolerance=1e-13,
    )


def once(benchmark: Any, task: str, peer: str, pick: Any, call: Callable[[], Any]) -> Any:
    """Time one call of a peer that takes from seconds to a minute."""
    sizes = pick("full", "small")
    benchmark.group = f"{task}, CPU"
    benchmark.extra_info.update(device="CPU", peer=peer, task=task, sizes=sizes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # himalaya advises against more columns than rows
        return benchmark.pedantic(call, rounds=1)


def agree(benchmark: Any, ours: Any, theirs: Any) -> None:
    error = float(np.max(np.abs(np.asarray(ours) / np.asarray(theirs) - 1)))
    benchmark.extra_info["parity"] = max(error, benchmark.extra_info.get("parity", 0.0))
    assert error < 1e-6, f"results differ by {error:.3g}"


def group(X: np.ndarray, groups: np.ndarray) -> str:
    rows, features = X.shape
    return f"ridge search {rows} x {features}, {groups.max() + 1} groups, {ALPHAS.size} alphas"


def many(X: np.ndarray, Y: np.ndarray) -> str:
    rows, features = X.shape
    return (
        f"ridge search {rows} x {features}, {Y.shape[1]} targets, 5 folds, "
        f"{MANY_ALPHAS.size} alphas"
    )


def banded(X: np.ndarray, Y: np.ndarray, blocks: dict[str, slice]) -> str:
    rows, features = X.shape
    return (
        f"banded ridge {rows} x {features}, {len(blocks)} blocks, {Y.shape[1]} targets, 5 folds, "
        f"{CANDIDATES} x {BANDS_ALPHAS.size} candidates"
    )


def banded_search(blocks: dict[str, slice], rows: int) -> Callable[[Any, Any], Any]:
    return lambda a, b: fastmm.RidgeCV(
        BANDS_ALPHAS, blocks=blocks, n_candidates=CANDIDATES, alpha_per_target=True, cv=5
    ).fit(a, b, groups=five_folds(rows))


def flops_of_search(n: int, d: int, targets: int, alphas: int, size: int) -> int:
    """Count what the method itself needs, its symmetric products at half."""
    r = min(n, d)
    setup = n * d * r + 9 * r**3 + (2 * n * d * r if d <= n else 0) + 2 * n * r * targets
    per_alpha = n * size * r + 2 * n * r * targets + 2 * n * size * targets
    return setup + alphas * per_alpha + 2 * n * d * targets


def five_folds(rows: int) -> np.ndarray:
    """Return the number of one of five folds for each row, side by side."""
    return np.arange(rows) * 5 // rows


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


def banded_error_of(
    model: Any, arrays: Any, X: np.ndarray, Y: np.ndarray, blocks: dict[str, slice]
) -> float:
    """Compare the predictions of the first target with refits on scaled columns."""
    scaled = X.copy()
    for name, columns in blocks.items():
        scaled[:, columns] /= np.sqrt(model.alpha_[name][0])
    predictions = arrays.asnumpy(model.cv_predictions_)[:, 0]
    return error_of(1.0, predictions, scaled, Y[:, 0], five_folds(X.shape[0]))


def make_cohort(rows: int, features: int, n_groups: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, features)) + 5
    y = X @ rng.standard_normal(features) + 20 * rng.standard_normal(rows)
    return X, y, np.arange(rows) * n_groups // rows


def make_targets(rows: int, features: int, targets: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, features))
    Y = 0.1 * X @ rng.standard_normal((features, targets))
    return X, Y + rng.uniform(1, 20, targets) * rng.standard_normal((rows, targets))


def make_bands(rows: int, widths: tuple[int, ...], targets: int) -> Any:
    X, Y = make_targets(rows, sum(widths), targets)
    ends = np.cumsum((0, *widths))
    blocks = {
        name: slice(int(start), int(stop))
        for name, start, stop in zip(("ct", "pet", "case"), ends, ends[1:], strict=False)
    }
    return X, Y, blocks
