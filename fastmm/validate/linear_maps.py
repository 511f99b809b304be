"""Models whose held-out predictions are linear in the labels, as that map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import number, one_of
from fastmm.solve._inputs import Training, grid, take_training
from fastmm.solve.fold_order import order_by_fold
from fastmm.solve.group_names import encode_groups
from fastmm.solve.grouped import Folds, make_folds
from fastmm.solve.kernel.bandwidths import kernel_grams
from fastmm.solve.kernel.bordered import BorderedSystem
from fastmm.solve.kernel.system import KernelSystem
from fastmm.solve.scoring import CLASS_SCORINGS, REGRESSION_SCORINGS
from fastmm.solve.threads import scipy_threads_only

__all__ = ["LinearMap", "linear_map"]

_Held = Callable[[Any], Iterator[Any]]


class LinearMap(NamedTuple):
    """Held-out predictions as a function of the labels, at each candidate of a search.

    Parameters
    ----------
    labels : array of shape (n,), on the host
        Targets, or numbers of classes, of the rows that have weight.
    patients : array of shape (n,), intp, on the host
        Number of the patient of each row.
    n_classes : int
        Number of classes; 0 for targets.
    folds : Folds
        What is left out together.
    weight : array of shape (n,), on the host, or None
        Weights of the rows.
    centred : bool
        Whether the intercept is free, so that adding to all targets adds to predictions.
    scoring : str
        What the search maximises.
    held_out : callable
        Maps targets (n, k) on the host to the held-out predictions (n, k) on the host, of
        one candidate after the other.
    """

    labels: np.ndarray[Any, Any]
    patients: np.ndarray[Any, Any]
    n_classes: int
    folds: Folds
    weight: np.ndarray[Any, Any] | None
    centred: bool
    scoring: str
    held_out: _Held


def linear_map(
    estimator: Any,
    X: Any,
    y: Any,
    groups: Any,
    sample_weight: Any,
    scoring: str | None,
    *,
    cv: Any = None,
) -> LinearMap:
    """Read the parameters of an estimator of fastmm, fitted or not, and check the data.

    Parameters
    ----------
    estimator : estimator
        Ridge, RidgeCV, RidgeClassifier, RidgeClassifierCV, KernelRidge, KernelRidgeCV, LSSVC
        or LSSVCCV. Its parameters; it stays as it is.
    X, y, groups, sample_weight
        As for ``fit``; `y` of shape (n,).
    scoring : str, optional
        Default: that of the estimator, else "roc_auc" for classes and
        "neg_mean_squared_error" for numbers.
    cv : None, int, splitter or iterable, optional
        The folds. Default: those of the estimator's search.

    Returns
    -------
    LinearMap
        The map.

    Raises
    ------
    TypeError
        If the estimator is of another kind.
    ValueError
        If its parameters or the data are not valid, or its weights depend on the labels.
    """
    from sklearn.base import clone, is_classifier

    build = _builder(estimator)
    estimator, classes = clone(estimator), is_classifier(estimator)
    if getattr(estimator, "class_weight", None) is not None:
        raise ValueError(
            "`class_weight` must be None: weights that follow the labels would change with "
            "each permutation. Scores do not need them; "
            '`scoring="roc_auc"` or "balanced_accuracy" answers for rare classes.'
        )
    data = take_training(estimator, X, y, sample_weight, labels=classes)
    if data.y.ndim != 1:
        raise ValueError(f"`y` must have shape (n,), got {tuple(data.y.shape)}.")
    names = CLASS_SCORINGS if classes else REGRESSION_SCORINGS
    scoring = one_of(scoring or getattr(estimator, "scoring", None) or names[0], "scoring", names)
    n = data.X.shape[0]
    cv = getattr(estimator, "cv", None) if cv is None else cv
    folds = make_folds(n, groups, cv, data.y, data.host_weight())
    patients = np.arange(n) if groups is None else encode_groups(groups, n)
    data, folds, patients = _of_weight(data, folds, patients, _takes_kernel(estimator))
    labels, count = data.space.to_host(data.y) if not classes else data.y, 0
    if classes:
        found, labels = np.unique(labels, return_inverse=True)
        count = found.size
        if count < 2:
            raise ValueError(f"`y` must hold at least 2 classes, got only one class, {found[0]!s}.")
    centred = bool(getattr(estimator, "fit_intercept", True))
    held_out = build(estimator, data, folds)
    return LinearMap(labels, patients, count, folds, data.host_weight(), centred, scoring, held_out)


def _of_weight(
    data: Training, folds: Folds, patients: Any, pairwise: bool
) -> tuple[Training, Folds, Any]:
    """Leave rows without weight out, which have no part in fit or score."""
    weight = data.host_weight()
    if weight is None or weight.all():
        return data, folds, patients
    rows = np.flatnonzero(weight)
    there, codes = data.space.asarray(rows), folds.codes[rows]
    X = data.X[there]
    y = data.y[rows] if isinstance(data.y, np.ndarray) else data.y[there]
    part = Training(data.space, X[:, there] if pairwise else X, y, data.weight[there])
    splits = [(codes != fold, codes == fold) for fold in np.unique(codes)]
    return part, make_folds(rows.size, cv=splits), encode_groups(patients[rows], rows.size)


def _takes_kernel(estimator: Any) -> bool:
    return isinstance(kernel := getattr(estimator, "kernel", None), str) and kernel == "precomputed"


def _builder(estimator: Any) -> Callable[[Any, Training, Folds], _Held]:
    kinds = {
        **dict.fromkeys(("Ridge", "RidgeCV", "RidgeClassifier", "RidgeClassifierCV"), _of_ridge),
        **dict.fromkeys(("KernelRidge", "KernelRidgeCV"), _of_kernel_ridge),
        **dict.fromkeys(("LSSVC", "LSSVCCV"), _of_machine),
    }
    for kind in type(estimator).__mro__:  # by name: none of the others need be imported
        if kind.__module__.startswith("fastmm.solve.") and kind.__name__ in kinds:
            return kinds[kind.__name__]
    raise TypeError(
        "`estimator` must be a Ridge, RidgeClassifier, KernelRidge or LSSVC, or one of their "
        f"searches, since those are linear in the labels; got {type(estimator).__name__}."
    )


def _of_ridge(estimator: Any, data: Training, folds: Folds) -> _Held:
    from fastmm.solve.ridge.bands import Bands
    from fastmm.solve.ridge.grid import RidgeGrid
    from fastmm.solve.ridge.problem import RidgeProblem

    blocks, bands, ratios = getattr(estimator, "blocks", None), None, None
    if blocks is not None:
        bands = Bands(blocks, data.X.shape[1])
    if hasattr(estimator, "alphas"):
        alphas = grid(estimator.alphas, "alphas", minimum=0)
        if bands is not None:
            ratios = bands.candidates(estimator.n_candidates, estimator.seed)
    elif bands is not None:
        alphas, ratios = [1.0], bands.penalties(estimator.alpha)[None]
    else:
        alphas = [number(estimator.alpha, "alpha", minimum=0)]
    space, intercept = data.space, estimator.fit_intercept
    nothing = space.xp.zeros((data.X.shape[0], 1))
    grid_of = RidgeGrid(
        RidgeProblem(data.X, nothing, data.weight, intercept, space), folds, alphas, bands, ratios
    )

    def held_out(targets: Any) -> Iterator[Any]:
        for direction in range(grid_of.directions):
            scaled, spectrum = grid_of.factorised(direction)
            problem = _aimed_at(scaled, space.asarray(targets))
            for some, _ in problem.batches(folds, alphas, joint=True):
                yield from space.to_host(problem.held_out(spectrum, folds, alphas[some]))

    return held_out


def _aimed_at(problem: Any, targets: Any) -> Any:
    """Return a ridge problem of the same design with other targets (n, k)."""
    other = copy(problem)
    other.targets, root = targets, problem.design.root
    if problem.fit_intercept:
        other.y_mean = problem.xp.average(targets, axis=0, weights=problem.weight)
    else:
        other.y_mean = problem.xp.zeros(targets.shape[1])
    other.y = targets - other.y_mean
    if root is not None:
        other.y = other.y * root[:, None]
    return other


def _of_kernel_ridge(estimator: Any, data: Training, folds: Folds) -> _Held:
    _refuse_centres(estimator)
    given = estimator.alphas if hasattr(estimator, "alphas") else estimator.alpha
    alphas = grid(given, "alphas", minimum=0)
    functions = [estimator._function(gamma, data) for gamma in _gammas(estimator)]
    rows, _ = estimator._rows(data)
    space = data.space

    def held_out(targets: Any) -> Iterator[Any]:
        there = space.asarray(targets)
        for gram in kernel_grams(functions, rows, space):
            system = KernelSystem(gram, there, data.weight, estimator.fit_intercept, space)
            for _, found in system.candidates(folds, alphas):
                yield from space.to_host(found.held_out)

    return held_out


def _of_machine(estimator: Any, data: Training, folds: Folds) -> _Held:
    _refuse_centres(estimator)
    Cs = grid(estimator.Cs if hasattr(estimator, "Cs") else estimator.C, "C", above=0)
    functions = [estimator._function(gamma, data) for gamma in _gammas(estimator)]
    order, runs = order_by_fold(folds)
    rows, weight, space = estimator._rows(data, order), data.host_weight(), data.space

    def held_out(targets: Any) -> Iterator[Any]:
        for gram in kernel_grams(functions, rows, space):
            system = BorderedSystem.of(gram, targets, weight, order, space)
            inverse_at = system.inverses(len(Cs))
            spectral = system.prefers_spectrum(len(Cs))
            for C in Cs:
                with nullcontext() if spectral else scipy_threads_only(space):
                    inverse = inverse_at(1 / C)
                    found = system.held_out(inverse, inverse.times(system.y), runs)
                    found = space.to_host(system.in_rows(found))
                yield found

    return held_out


def _refuse_centres(estimator: Any) -> None:
    if getattr(estimator, "solver", None) == "nystrom":
        raise ValueError('`solver` must not be "nystrom", which is not known for rows left out.')


def _gammas(estimator: Any) -> list[Any]:
    """Return the widths to try, which a search takes one or several of."""
    gamma = estimator.gamma
    return [gamma] if isinstance(gamma, str) or not isinstance(gamma, Iterable) else list(gamma)
