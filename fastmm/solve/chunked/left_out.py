"""Fits to all rows but those of one fold, from sums fold by fold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastmm._space import enter
from fastmm.solve.chunked.base import FLOAT
from fastmm.solve.chunked.factor import fold_factors
from fastmm.solve.chunked.spectrum import from_factor, from_sums
from fastmm.solve.chunked.sums import fold_sums, join_folds, others
from fastmm.solve.grouped import Folds

__all__ = ["FoldModel", "models_without", "predictions_of"]


class FoldModel(NamedTuple):
    """The fit without a fold: coefficients (d, alphas, targets) of centred columns."""

    coef: Any
    mean: Any
    intercept: Any  # (targets,)


def models_without(
    problem: Any,
    folds: Folds,
    chosen: np.ndarray[Any, Any],
    alphas: list[float],
    columns: Any,
    exact: bool,
) -> Iterator[dict[int, FoldModel]]:
    """Yield the fits without each of the chosen folds, as many at a time as fit.

    With `exact` from triangular factors, which lose no digits; else from sums, or from
    factors where it turns out that these are needed.
    """
    design = problem.design
    d = design.shape[1] + problem.targets.shape[1] + 1
    at_once = max(1, (problem.rows.limit // (FLOAT * d * d) - 4) // 2)
    for start in range(0, chosen.size, at_once):
        some = chosen[start : start + at_once]
        found = None if exact else _from_sums(problem, folds, some, alphas, columns)
        yield _from_factors(problem, folds, some, alphas, columns) if found is None else found


def predictions_of(X: Any, codes: Any, models: dict[int, FoldModel]) -> tuple[Any, Any]:
    """Return which rows of a chunk have a model, and what it predicts (alphas, rows, targets)."""
    space, (X,), _ = enter(X=X)
    at = np.flatnonzero(np.isin(codes, list(models)))
    parts = []
    order = []
    for fold in np.unique(codes[at]):
        rows = at[codes[at] == fold]
        coef, mean, intercept = models[int(fold)]
        d, alphas, targets = coef.shape
        values = (X[space.asarray(rows)] - mean) @ coef.reshape(d, -1)
        parts.append(values.reshape(-1, alphas, targets).swapaxes(0, 1) + intercept)
        order.append(rows)
    if not parts:
        return at, None
    return np.concatenate(order), space.xp.concatenate(parts, axis=1)


def _from_sums(
    problem: Any, folds: Folds, some: Any, alphas: list[float], columns: Any
) -> dict[int, FoldModel] | None:
    design, xp = problem.design, problem.xp
    arrays = (problem.targets, problem.weight, folds.codes)
    by_fold = problem.rows.reduce(fold_sums, join_folds, design.parts, arrays, (some,))
    rest = by_fold.pop(-1, None)
    models = {}
    for fold, sums in zip(some, others([by_fold[int(f)] for f in some], rest), strict=True):
        spectrum = from_sums(sums, problem.fit_intercept, design.scale, min(alphas), xp)
        if spectrum is None:
            return None
        mean, intercept = xp.zeros(design.shape[1]), problem.y_mean[columns]
        if problem.fit_intercept:
            mean, intercept = sums.x_mean, sums.y_mean[columns]
        models[int(fold)] = _model(problem, spectrum, alphas, columns, mean, intercept)
    return models


def _from_factors(
    problem: Any, folds: Folds, some: Any, alphas: list[float], columns: Any
) -> dict[int, FoldModel]:
    design, xp = problem.design, problem.xp
    design.factor()  # refuses where factors do not fit
    arrays = (problem.targets, problem.weight, folds.codes)
    origin = (design.offset(), problem.y_mean, problem.fit_intercept)
    by_fold = problem.rows.reduce(fold_factors, join_folds, design.parts, arrays, (some, *origin))
    rest = by_fold.pop(-1, None)
    models = {}
    for fold, factor in zip(some, others([by_fold[int(f)] for f in some], rest), strict=True):
        count = int((folds.codes != fold).sum())
        spectrum = from_factor(factor, design.scale, count, min(alphas), xp)
        mean, intercept = design.offset(), problem.y_mean[columns]
        if problem.fit_intercept:
            x, y = factor.means()
            mean, intercept = mean + x, intercept + y[columns]
        models[int(fold)] = _model(problem, spectrum, alphas, columns, mean, intercept)
    return models


def _model(
    problem: Any, spectrum: Any, alphas: Any, columns: Any, mean: Any, intercept: Any
) -> FoldModel:
    coef = [problem.design.unscaled(spectrum.solution(columns, alpha)) for alpha in alphas]
    return FoldModel(problem.xp.stack(coef, axis=1), mean, intercept)
