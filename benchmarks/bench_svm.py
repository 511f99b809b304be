"""Support vector machines with the squared hinge loss, easy and overlapping classes."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

import fastmm

FULL, SMALL = 5000, 300  # rows
SHIFT = {"easy": 1.0, "overlapping": 0.25}  # of the means of 20 features
CASES = pytest.mark.parametrize(
    ("classes", "C"), [(c, C) for c in SHIFT for C in (0.1, 1, 10, 100)]
)


@CASES
def bench_svc(timed: Any, arrays: Any, pick: Any, classes: str, C: float) -> None:
    X, y = make_classes(pick(FULL, SMALL), classes)
    expected = hinge(X, y, C, 1e-7)
    timed(
        lambda rows: fastmm.SVC(C).fit(rows, y),
        arrays.xp.asarray(X),
        group=group(X, classes, C),
        check=lambda model: error_of(
            arrays.asnumpy(model.decision_function(arrays.xp.asarray(X))), expected
        ),
        tolerance=1e-5,
    )


@CASES
def bench_svc_sklearn(timed: Any, pick: Any, classes: str, C: float) -> None:
    pytest.importorskip("sklearn.svm", reason="scikit-learn is not installed")
    X, y = make_classes(pick(FULL, SMALL), classes)
    expected = hinge(X, y, C, 1e-7)
    # The tolerance at which the peer, too, is within 1e-5 of the solution.
    timed(
        lambda rows: hinge(rows, y, C, 1e-5),
        X,
        group=group(X, classes, C),
        peer="scikit-learn",
        check=lambda found: error_of(found, expected),
        tolerance=1e-5,
    )


def bench_svc_groups(benchmark: Any, pick: Any) -> None:
    X, y = make_classes(pick(FULL, SMALL) // 5, "overlapping")
    groups = np.arange(len(y)) * 20 // len(y)
    task = f"SVM {len(y)} x {X.shape[1]}, 20 groups left out"
    benchmark.group = f"{task}, CPU"
    benchmark.extra_info.update(device="CPU", peer="fastmm", task=task)
    model = benchmark.pedantic(fastmm.SVC(1.0).fit, (X, y), {"groups": groups}, rounds=3)
    start = time.perf_counter()
    held_out = np.empty(len(y))
    for name in range(20):
        part = fastmm.SVC(1.0, gamma=model.gamma_).fit(X[groups != name], y[groups != name])
        held_out[groups == name] = part.decision_function(X[groups == name])
    benchmark.extra_info["cold_refits_s"] = time.perf_counter() - start
    benchmark.extra_info["parity"] = error = error_of(model.cv_decision_, held_out)
    assert error < 1e-5


def hinge(X: np.ndarray, y: np.ndarray, C: float, tol: float) -> np.ndarray:
    """Decide by scikit-learn's hinge loss on the kernel K + I / (2C)."""
    from sklearn.metrics.pairwise import rbf_kernel
    from sklearn.svm import SVC

    K = rbf_kernel(X, gamma=1 / (X.shape[1] * X.var()))
    diagonal = K.ravel()[:: len(K) + 1]
    diagonal += 1 / (2 * C)
    model = SVC(C=1e8, kernel="precomputed", tol=tol).fit(K, y)
    diagonal -= 1 / (2 * C)
    return K[:, model.support_] @ model.dual_coef_[0] + model.intercept_


def error_of(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def group(X: np.ndarray, classes: str, C: float) -> str:
    return f"SVM {X.shape[0]} x {X.shape[1]}, {classes}, C = {C:g}"


def make_classes(rows: int, classes: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(rows) % 2
    return rng.standard_normal((rows, 20)) + SHIFT[classes] * y[:, None], y
