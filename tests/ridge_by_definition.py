"""Ridge on rows stacked over its penalty, refitted without each group; cohorts for it."""

from __future__ import annotations

import numpy as np

ALPHAS = (1e-3, 0.1, 1.0, 50.0)
SHAPES = [(45, 12), (24, 60)]


def naive_ridge(X, y, alpha, fit_intercept=True, weight=None):
    """Least squares on rows stacked over sqrt(alpha) I: the minimum norm for alpha 0."""
    weight = np.ones(len(X)) if weight is None else weight
    X, y, weight = X[weight > 0].astype(float), y[weight > 0], weight[weight > 0]
    mean, centre = np.zeros(X.shape[1]), np.zeros(y.shape[1:])
    if fit_intercept:
        mean, centre = np.average(X, 0, weight), np.average(y, 0, weight)
    root = np.sqrt(weight)[:, None]
    stacked = np.vstack([root * (X - mean), np.sqrt(alpha) * np.eye(X.shape[1])])
    targets = (root * (y - centre).reshape(len(y), -1)).reshape(y.shape)
    targets = np.concatenate([targets, np.zeros((X.shape[1], *y.shape[1:]))])
    coef = np.linalg.lstsq(stacked, targets, rcond=1e-12)[0]
    return coef.T, centre - mean @ coef


def naive_held_out(X, y, groups, alpha, fit_intercept=True, weight=None):
    predictions = np.empty(y.shape)
    for name in np.unique(groups):
        test, train = groups == name, groups != name
        part = None if weight is None else weight[train]
        coef, intercept = naive_ridge(X[train], y[train], alpha, fit_intercept, part)
        predictions[test] = X[test] @ coef.T + intercept
    return predictions


def cohort(n, d, targets=None, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) @ np.diag(rng.uniform(0.3, 3, d)) + rng.normal(size=d)
    y = X @ rng.normal(size=(d, targets or 1)) + rng.normal(size=(n, targets or 1)) + 4
    groups = np.array([f"p{g}" for g in rng.integers(0, n // 4, n)], dtype="U9")
    groups[:3] = "big"
    return X, y if targets else y[:, 0], groups
