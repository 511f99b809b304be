"""Kernel matrices close to singular: right against rational arithmetic, or a warning."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest
from exact_ridge import exact, solve_exactly
from scipy.linalg import LinAlgWarning

from fastmm import LSSVC, LSSVCCV, KernelRidge, KernelRidgeCV, linear_kernel, rbf_kernel

N = 9
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(N, 3))
KERNELS = {
    "rbf": rbf_kernel(ROWS, gamma=0.1),
    "flat rbf": rbf_kernel(ROWS, gamma=1e-6),
    "linear": linear_kernel(ROWS),
    "linear of 1e6": linear_kernel(1e6 * ROWS),
    "linear about 1e4": linear_kernel(ROWS + 1e4),
    "rows of 1e-6 to 1e6": linear_kernel(RNG.normal(size=(N, 12)) * np.logspace(-6, 6, N)[:, None]),
}


def exact_fit(K, y, alpha, intercept):
    """Return what the machine predicts for its training rows, float64."""
    K, y = exact(K), exact(y)[:, None]
    right = np.concatenate([y, y * 0 + 1], axis=1)
    solved = solve_exactly(K + np.diag([Fraction(alpha)] * N), right)
    level = solved[:, 0].sum() / solved[:, 1].sum() if intercept else Fraction(0)
    return (K.dot(solved[:, 0] - level * solved[:, 1]) + level).astype(float)


def as_fitted(K, model):
    dual, level = np.ravel(model.dual_coef_), float(np.ravel(model.intercept_)[0])
    return (exact(K).dot(exact(dual)) + Fraction(level)).astype(float)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("alpha", [1e-13, 1e-9, 1e-4, 1.0])
def test_fits_are_right_or_something_is_said(name, alpha):
    K, y = KERNELS[name], RNG.normal(size=N)
    labels = np.where(np.arange(N) % 2, 1.0, -1.0)
    given, groups = {"kernel": "precomputed"}, np.arange(N) // 2
    shift = 1 / (1 / alpha)
    for model, target, penalty, intercept in (
        (KernelRidge(alpha, **given), y, alpha, False),
        (KernelRidge(alpha, fit_intercept=True, **given), y, alpha, True),
        (KernelRidgeCV((alpha,), fit_intercept=True, **given), y, alpha, True),
        (LSSVC(1 / alpha, **given), labels, shift, True),
        (LSSVCCV((1 / alpha,), **given), labels, shift, True),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(K, target, groups=groups)
        told = [each for each in caught if issubclass(each.category, LinAlgWarning)]
        assert {each.filename for each in told} <= {__file__}
        error = abs(as_fitted(K, model) - exact_fit(K, target, penalty, intercept)).max()
        assert told or error < 1e-5 * abs(target).max()


def test_usual_kernels_are_not_warned_of():
    labels = np.arange(N) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for C in (1e-3, 1.0, 1e6):
            LSSVC(C).fit(ROWS, labels)
            LSSVCCV((C,), kernel="linear").fit(ROWS + 1e4, labels)
            KernelRidgeCV((1 / C,), kernel="rbf").fit(ROWS, ROWS[:, 0])
            KernelRidgeCV((1 / C,), fit_intercept=True).fit(ROWS, np.full(N, 1e9))


def test_a_machine_of_which_nothing_is_left_says_so():
    K, labels = KERNELS["rows of 1e-6 to 1e6"], np.arange(N) % 2
    for model in (LSSVC(1e12, kernel="precomputed"), LSSVCCV((1e12,), kernel="precomputed")):
        with pytest.warns(LinAlgWarning, match=r"relative residual of .* lower `C"):
            model.fit(K, labels)
