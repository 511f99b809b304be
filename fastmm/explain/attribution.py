"""What columns add to the score of a linear model, and positions to that of a patch kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.explain.patch_positions import kernel_by_position
from fastmm.solve._inputs import take_new
from fastmm.solve.kernel.options import as_rows, kernel_options

__all__ = ["column_contributions", "position_contributions"]


def column_contributions(model: Any, X: Any) -> Any:
    r"""Split the scores of a linear model into what each column adds.

    .. math:: f(x) = b + \sum_j x_j \beta_j, \qquad \beta = X' a \text{ of linear kernels}

    Parameters
    ----------
    model : estimator
        Fitted `Ridge`, `RidgeCV`, `RidgeClassifier`, `RidgeClassifierCV` or
        `LinearCombination`; or `KernelRidge`, `LSSVC` (or their CV forms) or `SVC` with
        ``kernel="linear"``.
    X : array of shape (n, d)
        Rows, on the device of the model.

    Returns
    -------
    array of shape (n, d), or (n, targets, d), float64
        Their sums over the last axis, and ``model.intercept_``, are the scores.

    Raises
    ------
    ValueError
        If the model is not linear.

    Examples
    --------
    >>> from fastmm import Ridge
    >>> model = Ridge(alpha=1e-9).fit([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]], [1.0, 2.0, 4.0])
    >>> parts = column_contributions(model, [[3.0, 0.0]])
    >>> bool(abs(parts.sum() + model.intercept_ - model.predict([[3.0, 0.0]])[0]) < 1e-9)
    True
    """
    if hasattr(model, "dual_coef_") and getattr(model, "kernel", None) == "linear":
        rows = model.X_fit_
        if hasattr(model, "_normal"):  # of machines, whose coefficients sum to 0
            coef = model._normal()
        else:
            coef = rows.T.astype(np.float64) @ model.dual_coef_
        coef = coef.T
    elif hasattr(model, "coef_") and not isinstance(model.coef_, dict):
        coef = model.coef_
        coef = coef[0] if coef.ndim == 2 and len(coef) == 1 else coef
    else:
        raise ValueError(
            f"`model` must be a fitted linear model or have a linear kernel, got "
            f"{type(model).__name__}."
        )
    _, X, leave = take_new(model, X, coef_=coef)
    X = X.astype(np.float64)
    return leave(X * coef if coef.ndim == 1 else X[:, None] * coef)


def position_contributions(machine: Any, images: Any) -> Any:
    r"""Split the scores of a machine with a patch kernel into what each position adds.

    .. math:: f(x) = b + \sum_p \Bigl(\frac1W \sum_i a_i \sum_q w(p - q)\,
              k(x_p, x_{iq})\Bigr)

    Parameters
    ----------
    machine : KernelRidge, KernelRidgeCV, LSSVC, LSSVCCV or SVC
        Fitted with ``kernel="patch"``; see :func:`fastmm.patch_kernel`.
    images : array of shape (n, \*spatial)
        Images, on the device of the machine.

    Returns
    -------
    array of shape (n, \*grid), or (n, \*grid, targets), float64
        Their sums over the grid, and ``machine.intercept_``, are the scores.

    Raises
    ------
    ValueError
        If the machine has another kernel.

    Notes
    -----
    n times training images times pixels times displacements of `shifts`, in plain array
    operations: meant for the images of some patients, not for thousands.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import LSSVC
    >>> images = np.random.default_rng(0).normal(size=(6, 5, 5))
    >>> model = LSSVC(kernel="patch", kernel_params={"patch_size": (3, 3)})
    >>> parts = position_contributions(model.fit(images, [0, 1] * 3), images[:2])
    >>> parts.shape
    (2, 3, 3)
    """
    if getattr(machine, "kernel", None) != "patch":
        raise ValueError(
            '`machine` must be fitted with `kernel="patch"`, got '
            f"{getattr(machine, 'kernel', type(machine).__name__)!r}."
        )
    rows = as_rows(machine, images)
    space, rows, leave = take_new(machine, rows, dual_coef_=getattr(machine, "dual_coef_", None))
    options: Any = kernel_options(machine)
    dual = machine.dual_coef_
    dual = dual[:, None] if dual.ndim == 1 else dual
    gamma = None if options.linear else float(machine.gamma_)
    found = kernel_by_position(rows, machine.X_fit_, dual, options, gamma, space.xp)
    found = found.reshape(len(rows), *options.pairs.counts[-len(options.image_shape) :], -1)
    return leave(found[..., 0] if machine.dual_coef_.ndim == 1 else found)
