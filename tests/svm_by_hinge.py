"""The squared-hinge SVM by scikit-learn's SVC on a shifted kernel, and cohorts for it."""

from __future__ import annotations

import numpy as np
from sklearn import svm


def oracle(K, y, C, weight=None):
    """Solve by scikit-learn's hinge loss on the kernel that makes it the squared one."""
    used = np.arange(len(y)) if weight is None else np.flatnonzero(weight)
    w = np.ones(len(used)) if weight is None else weight[used]
    if np.unique(y[used]).size == 1:
        return np.full(len(y), y[used][0]), np.zeros(len(y))
    shifted = K[np.ix_(used, used)] + np.diag(1 / (2 * C * w))
    scale = np.abs(shifted).mean()  # its tolerance is absolute
    model = svm.SVC(kernel="precomputed", C=1e8, tol=1e-10).fit(shifted / scale, y[used])
    # It keeps kernels in float32. Its support vectors, and those alone, give the solution in
    # float64, which must fulfil the conditions of optimality and be the one that it found.
    active = np.isin(np.arange(len(used)), model.support_)
    for _ in range(20):
        at = np.flatnonzero(active)
        system = np.ones((len(at) + 1,) * 2)
        system[0, 0] = 0
        system[1:, 1:] = K[np.ix_(used[at], used[at])] + np.diag(1 / (2 * C * w[at]))
        solution = np.linalg.solve(system, np.append(0, y[used[at]]))
        dual = np.zeros(len(y))
        dual[used[at]] = solution[1:]
        scores = K @ dual + solution[0]
        if ((y * scores)[used] < 1)[~active].any() or (dual * y < -1e-12).any():
            active = (y * scores)[used] < 1
        else:
            break
    else:
        raise AssertionError("the oracle has no solution")
    seen = K[:, used[model.support_]] @ model.dual_coef_[0] / scale + model.intercept_[0]
    assert error(seen, scores) < 2e-3
    return scores, dual


def cohort(n=80, d=5, classes=2, shift=1.0, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % classes
    X = rng.normal(size=(n, d)) + shift * codes[:, None] * rng.normal(size=d)
    return X, np.array(["benign", "grade 1", "grade 2"])[codes], rng.integers(0, n // 4, n)


def signs_of(y, positive="grade 1"):
    return np.where(y == positive, 1.0, -1.0)


def error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def rounded(estimator):
    if estimator.kernel != "precomputed":
        return {}
    reason = "rounds the kernel matrix to integers, which are not positive semidefinite"
    return dict.fromkeys(("check_estimators_dtypes", "check_positive_only_tag_during_fit"), reason)
