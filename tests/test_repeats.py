"""The same input gives the same bits, ten times over."""

from __future__ import annotations

import numpy as np
import pytest

from fastmm import (
    LSSVC,
    LSSVCCV,
    SVC,
    KernelRidge,
    KernelRidgeCV,
    LinearCombination,
    Ridge,
    RidgeClassifierCV,
    RidgeCV,
)
from fastmm.validate.permutation import permutation_test

NUMBERS = [
    Ridge(1.0),
    Ridge(1.0, precision="mixed"),
    Ridge(1.0, solver="iterative"),
    RidgeCV((0.1, 10.0)),
    LinearCombination(positive=True),
    KernelRidge(kernel="rbf", solver="cg"),
    KernelRidge(kernel="rbf", solver="nystrom"),
    KernelRidgeCV(kernel="rbf"),
]
CLASSES = [
    RidgeClassifierCV((0.1, 10.0)),
    LSSVC(),
    LSSVCCV((0.1, 10.0)),
    SVC(10.0),
    SVC(0.1, kernel="laplacian"),
]


def cohort(n=420, d=30):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    return X, X[:, 0] + rng.normal(size=n), np.arange(n) // 7


def bits(found):
    """Return all arrays and numbers that were fitted, as bytes."""
    return b"".join(
        np.asarray(value).tobytes()
        for name, value in sorted(vars(found).items())
        if name.endswith("_") and isinstance(value, (np.ndarray, float))
    )


@pytest.mark.parametrize("model", NUMBERS + CLASSES, ids=str)
def test_ten_fits(model):
    X, y, groups = cohort()
    y = y > 0 if model in CLASSES else y
    searches = type(model).__name__.endswith("CV")
    seen = {bits(model.fit(X, y, groups=groups if searches else None)) for _ in range(10)}
    assert len(seen) == 1
    assert len(seen.pop()) > X.shape[1] * 8


def test_ten_permutation_tests():
    X, y, groups = cohort(210)
    y = (groups % 2 > 0) * 1.0
    found = {
        permutation_test(
            RidgeCV((0.1, 10.0), scoring="roc_auc"), X, y, groups, n_permutations=500
        ).permuted_scores.tobytes()
        for _ in range(10)
    }
    assert len(found) == 1
