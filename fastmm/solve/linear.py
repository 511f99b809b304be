"""Ridge regression: one fit, or an exact grouped search, from one factorisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from fastmm._check import dtype_of_result, number, one_of
from fastmm._space import Space, enter
from fastmm.solve._inputs import Training, grid, rank_warning, take_new, take_training
from fastmm.solve.grouped import (
    Folds,
    check_weight,
    fold_shares,
    held_out_residuals,
    make_folds,
    predict_unweighted,
)

__all__ = ["Ridge", "RidgeCV", "solve_ridge"]

_PIECE = 1 << 24  # elements of float64 work space: 128 MB
_LOST = 1e-7  # a Gram matrix squares the condition: below this ratio X itself is factorised
_SCORINGS = ("neg_mean_squared_error", "r2", "roc_auc")


class Design:
    """sqrt(w) (X - mean) in float64, made in pieces where it would be large."""

    def __init__(self, X: Any, weight: Any, fit_intercept: bool, xp: Any) -> None:
        self.X, self.xp, self.shape = X, xp, X.shape
        n, d = X.shape
        total = float(n if weight is None else weight.sum())
        share = xp.full(n, 1 / n) if weight is None else weight / total
        self.root = None if weight is None else xp.sqrt(weight)
        self.unit: Any = xp.sqrt(share) if fit_intercept else None
        self.mean: Any = None
        self.shift: Any = None
        if fit_intercept:
            mean, shift = xp.zeros(d), xp.zeros(d)
            for columns in _pieces(d, n):
                part = X[:, columns].astype(np.float64, order="C")
                mean[columns] = share @ part
                # The mean of what is left: constant columns become 0, not rounding noise.
                shift[columns] = share @ (part - mean[columns])
            self.mean, self.shift = mean, shift
        self._ready = self._piece(slice(None), slice(None)) if n * d <= _PIECE else None

    def offset(self) -> Any:
        """Return the weighted mean of each column, 0 without an intercept."""
        zero = self.xp.zeros(self.shape[1])
        return zero if self.mean is None else self.mean + self.shift

    def centred(self, rows: Any, columns: Any = slice(None)) -> Any:
        """Return X - mean of the given rows."""
        # C order whatever the layout of X, so that the same values give the same bits.
        part = self.X[rows][:, columns].astype(np.float64, order="C")
        if self.mean is not None:
            part -= self.mean[columns]
            part -= self.shift[columns]
        return part

    def gram(self, primal: bool) -> Any:
        """Return the (d, d) Gram matrix of the columns, or the (n, n) one of the rows."""
        n, d = self.shape
        gram = self.xp.zeros((d, d) if primal else (n, n))
        for part in self._parts(by_rows=primal):
            gram += part.T @ part if primal else part @ part.T
        return gram

    def times(self, right: Any) -> Any:
        """Multiply by `right` (d, k)."""
        return self.xp.concatenate([part @ right for part in self._parts(by_rows=True)])

    def transposed_times(self, right: Any) -> Any:
        """Multiply the transpose by `right` (n, k)."""
        return self.xp.concatenate([part.T @ right for part in self._parts(by_rows=False)])

    def whole(self) -> Any:
        """Return the matrix itself."""
        return self._piece(slice(None), slice(None)) if self._ready is None else self._ready

    def _parts(self, *, by_rows: bool) -> Any:
        if self._ready is not None:
            yield self._ready
            return
        n, d = self.shape
        for piece in _pieces(n, d) if by_rows else _pieces(d, n):
            yield self._piece(*((piece, slice(None)) if by_rows else (slice(None), piece)))

    def _piece(self, rows: slice, columns: slice) -> Any:
        part = self.centred(rows, columns)
        if self.root is not None:
            part *= self.root[rows, None]
        return part


class Spectrum(NamedTuple):
    """The weighted, centred problem in the basis in which every alpha is diagonal.

    Primal: the smoother is basis D basis' (+ the mean), with D = 1 / (values + alpha).
    Dual: the smoother's complement, divided by alpha, is basis D basis'.
    Either way the coefficients are lift(D basis' y).
    """

    kind: str
    primal: bool
    basis: Any  # (n, r), orthogonal to the unit vector of the intercept
    values: Any  # (r,), not negative
    lift: Callable[[Any], Any]

    def damping(self, alpha: float) -> Any:
        """Return 1 / (values + alpha), and 0 for 1 / 0: the minimum-norm solution."""
        if alpha > 0:
            return 1.0 / (self.values + alpha)
        positive = self.values > 0
        return positive / (self.values + ~positive)

    def rank(self) -> int:
        """Count the directions in which the design extends."""
        return int((self.values > 0).sum())

    def coefficients(self, y: Any, alpha: float) -> Any:
        """Return the coefficients (d, targets) for weighted, centred targets."""
        return self.lift(self.damping(alpha)[:, None] * (self.basis.T @ y))


def dual_spectrum(kernel: Any, unit: Any, xp: Any) -> tuple[Any, Any]:
    """Return eigenvalues and eigenvectors of a kernel, without the intercept's direction.

    `kernel` is centred, so that `unit` is one of its null vectors. Shifting it out of
    the way of the others keeps it apart from further null vectors.
    """
    if unit is None:
        return xp.linalg.eigh(kernel)  # type: ignore[no-any-return]
    away = float(xp.linalg.norm(kernel)) or 1.0
    values, vectors = xp.linalg.eigh(kernel - away * unit[:, None] * unit)
    return values[1:], vectors[:, 1:]


def solve_spd(matrix: Any, right: Any, space: Space) -> Any:
    """Solve a symmetric positive definite system; None where it is close to singular."""
    solve = cholesky(matrix, space)
    if solve is None:
        return None
    xp = space.xp
    probe = xp.asarray(np.random.default_rng(0).normal(size=(matrix.shape[0], 1)))
    for _ in range(4):  # inverse iteration: the norm tends to that of the inverse
        probe = solve(probe / xp.linalg.norm(probe))
    condition = float(xp.linalg.norm(probe) * abs(matrix).sum(axis=0).max())
    return solve(right) if condition < 1 / _LOST else None


def factorise(design: Design, smallest_alpha: float) -> Spectrum:
    """Diagonalise the smaller Gram matrix, or X itself where that would lose digits."""
    n, d = design.shape
    primal, xp = d <= n, design.xp
    gram = design.gram(primal)
    if not primal:
        values, basis = dual_spectrum(gram, design.unit, xp)
        values = values.clip(0)
        spectrum = Spectrum(
            "dual", False, basis, values, lambda z: design.transposed_times(basis @ z)
        )
    else:
        values, vectors = xp.linalg.eigh(gram)
        values = values.clip(0)
        basis = design.times(vectors)
        spectrum = Spectrum("primal", True, basis, values, lambda z: vectors @ z)
    if values.size and float(values[0]) + smallest_alpha < _LOST * float(values[-1]):
        return _factorise_exactly(design)
    return spectrum


def _factorise_exactly(design: Design) -> Spectrum:
    n, d = design.shape
    xp, X = design.xp, design.whole()
    primal, drop = d <= n, design.unit is not None and d > n
    if drop:
        # As in dual_spectrum: the intercept's direction becomes the first singular pair.
        away = float(xp.linalg.norm(X)) or 1.0
        X = xp.concatenate([X, 2 * away * design.unit[:, None]], axis=1)
    U, sigma, Vt = xp.linalg.svd(X, full_matrices=False)
    if drop:
        U, sigma, Vt = U[:, 1:], sigma[1:], Vt[1:, :-1]
    if sigma.size:
        sigma = sigma * (sigma > np.finfo(np.float64).eps * max(n, d) * sigma[0])
    if primal:
        return Spectrum("svd", True, U * sigma, sigma**2, lambda z: Vt.T @ z)
    return Spectrum("svd", False, U, sigma**2, lambda z: Vt.T @ (sigma[:, None] * z))


def _solve_one(design: Design, y: Any, alpha: float, space: Space) -> tuple[Any, str, int]:
    n, d = design.shape
    if alpha > 0:
        primal = d <= n
        gram = design.gram(primal)
        if not primal and design.unit is not None:
            # y is orthogonal to this direction, which alone would spoil the condition.
            gram += float(gram.trace() / n) * design.unit[:, None] * design.unit
        gram.ravel()[:: gram.shape[0] + 1] += alpha
        right = design.transposed_times(y) if primal else y
        solved = solve_spd(gram, right, space)
        if solved is not None:
            coef = solved if primal else design.transposed_times(solved)
            return coef, "primal" if primal else "dual", d
    spectrum = _factorise_exactly(design)
    return spectrum.coefficients(y, alpha), spectrum.kind, spectrum.rank()


def cholesky(matrix: Any, space: Space) -> Callable[[Any], Any] | None:
    """Return a solver for a symmetric positive definite matrix; None if it is not."""
    if space.kind == "cuda":
        from cupyx import errstate
        from cupyx.scipy.linalg import solve_triangular

        try:
            with errstate(linalg="raise"):  # CuPy returns nonsense otherwise
                lower = space.xp.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            return None
        if not _definite(lower, matrix):
            return None
        return lambda right: solve_triangular(
            lower, solve_triangular(lower, right, lower=True), lower=True, trans=1
        )
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    try:
        factor = cho_factor(matrix, lower=True, check_finite=False)
    except LinAlgError:
        return None
    if not _definite(factor[0], matrix):
        return None
    return lambda right: cho_solve(factor, right, check_finite=False)


def inverse_spd(matrix: Any, space: Space) -> Any:
    """Return the inverse of a symmetric positive definite matrix; None if it is not."""
    if space.kind == "cuda":
        solve = cholesky(matrix, space)
        return None if solve is None else solve(space.xp.eye(matrix.shape[0]))
    from scipy.linalg.lapack import dpotrf, dpotri

    # LAPACK counts columns first: the transpose of a symmetric matrix spares a copy.
    factor, fault = dpotrf(matrix.T, lower=1, clean=1)
    if fault or not _definite(factor, matrix):
        return None
    lower, _ = dpotri(factor, lower=1, overwrite_c=1)
    return lower + np.tril(lower, -1).T


def _definite(lower: Any, matrix: Any) -> bool:
    # A pivot of rounding noise passes for positive.
    pivots = lower.diagonal() ** 2
    noise = matrix.shape[0] * np.finfo(np.float64).eps * float(matrix.diagonal().max())
    return bool((pivots > noise).all())


def weighted_products(part: Any, weight: Any) -> Any:
    """Return part diag(weight) part' for a batch of matrices (b, m, r)."""
    if part.shape[1] == 1:
        return ((part * part) @ weight)[:, :, None]
    return (part * weight) @ part.swapaxes(1, 2)


def _pieces(length: int, other: int) -> list[slice]:
    step = max(1, _PIECE // max(other, 1))
    return [slice(start, start + step) for start in range(0, length, step)]


class RidgeSolution(NamedTuple):
    """Coefficients (d,) or (targets, d) and intercept of a ridge regression.

    Parameters
    ----------
    coef : array of shape (d,) or (targets, d), float64
        Coefficients, where X lives.
    intercept : float or array of shape (targets,)
        Prediction at X = 0.
    solver : {"primal", "dual", "svd"}
        What was factorised: X'X, XX', or X itself.
    rank : int
        Rank of the centred design; for alpha > 0, where it does not matter, d.
    """

    coef: Any
    intercept: Any
    solver: str
    rank: int


def solve_ridge(
    X: Any, y: Any, alpha: float, *, fit_intercept: bool = True, sample_weight: Any = None
) -> RidgeSolution:
    r"""Solve a ridge regression in closed form, in float64.

    .. math:: \min_{\beta, b} \sum_i w_i (y_i - x_i^\top \beta - b)^2 + \alpha \|\beta\|^2

    Parameters
    ----------
    X : array of shape (n, d), NumPy or CuPy
        Design, of any real dtype, finite.
    y : array of shape (n,) or (n, targets)
        Targets, where `X` lives.
    alpha : float
        Penalty, not negative. 0 gives the minimum-norm least-squares solution.
    fit_intercept : bool, default True
        Whether b is free; else it is 0.
    sample_weight : array of shape (n,), optional
        Weights w, not negative. Default: 1.

    Returns
    -------
    RidgeSolution
        Coefficients, intercept, solver and rank.

    Raises
    ------
    ValueError
        If `alpha` is negative or not finite.

    Notes
    -----
    The smaller of X'X and XX', centred before it is accumulated, is factorised by
    Cholesky: about n d min(n, d) flops. Where that would lose more than 7 digits, and for
    alpha = 0, X itself is, by SVD.

    Examples
    --------
    >>> solve_ridge(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0]), 0.0).coef.round(6)
    array([2.])
    """
    alpha = number(alpha, "alpha", minimum=0)
    space, (X, y, weight), _ = enter(X=X, y=y, sample_weight=sample_weight)
    problem = _Problem(X, y, weight, fit_intercept, space)
    coef, solver, rank = _solve_one(problem.design, problem.y, alpha, space)
    return RidgeSolution(*problem.original(coef), solver, rank)


class _Problem:
    """A ridge problem with its intercept and weights taken out."""

    def __init__(self, X: Any, y: Any, weight: Any, fit_intercept: bool, space: Space) -> None:
        xp = self.xp = space.xp
        self.space, self.weight, self.fit_intercept, self.flat = (
            space,
            weight,
            fit_intercept,
            y.ndim == 1,
        )
        self.targets = y.reshape(y.shape[0], -1).astype(np.float64)
        design = self.design = Design(X, weight, fit_intercept, xp)
        self.y_mean = xp.zeros(self.targets.shape[1])
        if fit_intercept:
            self.y_mean = xp.average(self.targets, axis=0, weights=weight)
        self.y = self.targets - self.y_mean
        if design.root is not None:
            self.y = self.y * design.root[:, None]

    def original(self, coef: Any) -> tuple[Any, Any]:
        """Return coefficients (targets, d) and intercept in the user's terms."""
        if not self.fit_intercept:
            intercept = 0.0
        else:
            intercept = self.y_mean - self.design.offset() @ coef
            intercept = float(intercept[0]) if self.flat else intercept
        return (coef[:, 0] if self.flat else coef.T), intercept

    def held_out(self, spectrum: Spectrum, folds: Folds, alphas: Sequence[float]) -> Any:
        """Return predictions (alphas, n, targets), each by the fit without its fold."""
        check_weight(folds, None if self.weight is None else self.space.to_host(self.weight))
        basis, damping = spectrum.basis, self.xp.stack([spectrum.damping(a) for a in alphas])
        projected = (damping[:, :, None] * (basis.T @ self.y)).swapaxes(0, 1)
        projected = (basis @ projected.reshape(basis.shape[1], -1)).reshape(
            -1, len(alphas), self.y.shape[1]
        )
        parts = {rows.shape[1]: basis[self.xp.asarray(rows)] for rows in folds.batches}
        return self.xp.stack(
            [
                self._held_out_at(spectrum, folds, parts, alpha, projected[:, i])
                for i, alpha in enumerate(alphas)
            ]
        )

    def _held_out_at(
        self, spectrum: Spectrum, folds: Folds, parts: Any, alpha: float, projected: Any
    ) -> Any:
        xp, primal, unit = self.xp, spectrum.primal, self.design.unit
        damping, values = spectrum.damping(alpha), spectrum.values
        # Far below the eigenvalues a fold may hold all that determines some direction.
        suspect = values.size > 0 and alpha < _LOST * float(values.max())
        weak: list[Any] = []

        def blocks(rows: Any) -> Any:
            block = weighted_products(parts[rows.shape[1]], damping)
            if not primal:
                return block
            block = xp.eye(rows.shape[1]) - block
            if unit is not None:
                block -= unit[rows][:, :, None] * unit[rows][:, None, :]
            if suspect:
                low = xp.linalg.eigvalsh(block).min(axis=1) < _LOST
                block = xp.where(low[:, None, None], xp.eye(rows.shape[1]), block)
                weak.extend(self.space.to_host(rows[low]))
            return block

        if not primal and alpha == 0 and not bool((values > 0).all()):
            weak.extend(rows for batch in folds.batches for rows in batch)
            residual = xp.zeros_like(self.y)
        else:
            projected = self.y - projected if primal else projected
            residual = held_out_residuals(folds, blocks, projected, xp)
        predicted = self._unweighted(spectrum, damping, folds, residual)
        for rows in weak:
            predicted[xp.asarray(rows)] = self._refit(rows, alpha)
        return predicted

    def _unweighted(self, spectrum: Spectrum, damping: Any, folds: Folds, residual: Any) -> Any:
        """Turn weighted residuals into predictions of all rows."""
        xp, root = self.xp, self.design.root
        if root is None:
            return self.targets - residual
        idle = np.flatnonzero(self.space.to_host(root) == 0)
        predicted = self.targets - residual / xp.where(root > 0, root, 1.0)[:, None]
        if idle.size:
            lifted = spectrum.lift(xp.eye(spectrum.values.size))
            there = xp.asarray(idle)
            smoother = ((self.design.centred(there) @ lifted) * damping) @ spectrum.basis.T
            if self.fit_intercept:
                smoother = smoother + root / self.weight.sum()
            weighted = self.targets * root[:, None]
            predicted[there] = predict_unweighted(folds, idle, smoother, weighted, residual, xp)
        return predicted

    def _refit(self, rows: Any, alpha: float) -> Any:
        train = np.ones(self.targets.shape[0], bool)
        train[rows] = False
        keep = self.xp.asarray(np.flatnonzero(train))
        X, weight = self.design.X, None if self.weight is None else self.weight[keep]
        part = solve_ridge(
            X[keep],
            self.targets[keep],
            alpha,
            fit_intercept=self.fit_intercept,
            sample_weight=weight,
        )
        return X[self.xp.asarray(rows)].astype(np.float64) @ part.coef.T + part.intercept


class _RidgeBase(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    def predict(self, X: Any) -> Any:
        r"""Predict the targets of new rows.

        .. math:: \hat y = X \beta + b

        Parameters
        ----------
        X : array of shape (n, d)
            Rows of features, on the device the model was fitted on.

        Returns
        -------
        array of shape (n,) or (n, targets)
            Predictions, float32 for float32 `X`; they leave as what `X` came as.

        Raises
        ------
        ValueError
            If `X` has another number of features or is not finite.
        TypeError
            If `X` lives on another device.
        """
        space, X, leave = take_new(self, X, coef_=getattr(self, "coef_", None))
        # Products in float64: at a mean of 1e4, float32 sums lose what the fit found.
        parts = [
            X[rows].astype(np.float64, order="C") @ self.coef_.T + self.intercept_
            for rows in _pieces(*X.shape)
        ]
        return leave(space.xp.concatenate(parts).astype(dtype_of_result(X.dtype)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _search(
        self, problem: _Problem, folds: Folds, alphas: Sequence[float], scoring: str
    ) -> tuple[int, Any]:
        """Fit the best alpha of those given; return its place and the scores."""
        spectrum = factorise(problem.design, min(alphas))
        held_out = problem.held_out(spectrum, folds, alphas)
        scores = _score(scoring, problem, held_out, folds)
        best = int(scores.argmax())
        self.coef_, self.intercept_ = problem.original(
            spectrum.coefficients(problem.y, alphas[best])
        )
        self.solver_ = spectrum.kind
        self.cv_predictions_ = held_out[best, :, 0] if problem.flat else held_out[best]
        if min(alphas) == 0 and spectrum.rank() < problem.design.shape[1]:
            rank_warning(spectrum.rank(), problem.design.shape[1], stacklevel=4)
        return best, scores


class Ridge(_RidgeBase):
    r"""Ridge regression with exact leave-one-group-out predictions.

    .. math:: \min_{\beta, b} \sum_i w_i (y_i - x_i^\top \beta - b)^2 + \alpha \|\beta\|^2

    Parameters
    ----------
    alpha : float, default 1.0
        Penalty, not negative. 0 gives the minimum-norm least-squares solution, with a
        warning where the design has not full column rank.
    fit_intercept : bool, default True
        Whether to fit an intercept, which is not penalised.

    Attributes
    ----------
    coef_ : array of shape (d,) or (targets, d), float64
        Coefficients, where the training data live.
    intercept_ : float or array of shape (targets,)
        Intercept; 0.0 if `fit_intercept` is False.
    solver_ : {"primal", "dual", "svd"}
        What was factorised: X'X (d <= n), XX' (d > n), or X itself where the Gram matrix
        would lose more than 7 digits, and for `alpha` 0.
    cv_predictions_ : array of shape (n,) or (n, targets), float64
        Out-of-fold predictions in the row order of X; only if `groups` were given.
    n_features_in_ : int
        Number of features.

    Notes
    -----
    Solved in float64 whatever the dtype of the data; the data are centred before any
    product, so that a large mean costs no digits.

    Examples
    --------
    >>> from fastmm import Ridge
    >>> model = Ridge(alpha=0.5).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
    >>> model.coef_
    array([0.8])
    """

    def __init__(self, alpha: float = 1.0, *, fit_intercept: bool = True) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Ridge:
        """Fit the coefficients.

        Parameters
        ----------
        X : array of shape (n, d)
            Rows of features.
        y : array of shape (n,) or (n, targets)
            Targets, on the same device.
        sample_weight : array of shape (n,), optional
            Weights, not negative. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each row. If given, `cv_predictions_` is set.

        Returns
        -------
        Ridge
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite, shapes do not fit or `alpha` is negative.
        TypeError
            If the arrays live on different devices.
        """
        alpha = number(self.alpha, "alpha", minimum=0)
        data = take_training(self, X, y, sample_weight)
        if groups is not None:
            folds = make_folds(data.X.shape[0], groups)
            self._search(_problem(self, data), folds, [alpha], _SCORINGS[0])
            return self
        self.coef_, self.intercept_, self.solver_, rank = solve_ridge(
            data.X, data.y, alpha, fit_intercept=self.fit_intercept, sample_weight=data.weight
        )
        if alpha == 0 and rank < data.X.shape[1]:
            rank_warning(rank, data.X.shape[1])
        return self


class RidgeCV(_RidgeBase):
    r"""Ridge regression that chooses its penalty by exact grouped cross-validation.

    One eigendecomposition serves all penalties and folds: the residuals of group g, had
    it been left out, are

    .. math:: e_g = (I - H_{gg})^{-1} (y - H y)_g, \quad H = H(\alpha)

    Parameters
    ----------
    alphas : sequence of float, default (0.1, 1.0, 10.0)
        Penalties to try, not negative.
    fit_intercept : bool, default True
        Whether to fit an intercept, anew without each fold.
    scoring : {None, "neg_mean_squared_error", "r2", "roc_auc"}, default None
        What to maximise; None is "neg_mean_squared_error". That is the mean over folds of
        the fold's mean, as in scikit-learn's GridSearchCV. "r2" and "roc_auc" (two
        values of y) are taken once over all out-of-fold predictions, since a fold of one
        patient has neither. Several targets are averaged. Ties go to the first.
    cv : None, int, splitter or iterable of (train, test), default None
        None leaves one group out at a time, or one row where `fit` got no `groups`. An
        int makes so many folds of whole groups, balanced by rows: the largest group
        first, each to the smallest fold. A splitter must test each row once and never
        split a group.

    Attributes
    ----------
    alpha_ : float
        The chosen penalty.
    best_score_ : float
        Its cross-validated score.
    cv_scores_ : ndarray of shape (n_alphas,), float64
        Score of each penalty.
    cv_predictions_ : array of shape (n,) or (n, targets), float64
        Out-of-fold predictions at `alpha_`, in the row order of X.
    coef_, intercept_, solver_, n_features_in_
        As in :class:`Ridge`.

    Notes
    -----
    Cost: one eigendecomposition of min(n, d) rows, then per penalty about n m d flops for
    groups of m rows. Memory: a copy of X in float64, and n values per penalty. Agrees
    with explicit refits to 1e-10. A fold without which a penalty near 0 leaves the
    problem singular is refitted. `sample_weight` weights both the fit and the score.

    References
    ----------
    .. [1] Cook, R. D., & Weisberg, S. (1982). Residuals and Influence in Regression.
       Chapman and Hall.
    .. [2] Golub, G. H., Heath, M., & Wahba, G. (1979). Generalized cross-validation as a
       method for choosing a good ridge parameter. Technometrics, 21(2), 215-223.
       https://doi.org/10.1080/00401706.1979.10489751

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import RidgeCV
    >>> X = np.arange(12.0).reshape(6, 2) ** 2
    >>> model = RidgeCV(alphas=(0.1, 10.0)).fit(X, X @ [1.0, -1.0], groups=[1, 1, 2, 2, 3, 3])
    >>> model.alpha_
    0.1
    """

    def __init__(
        self,
        alphas: Sequence[float] = (0.1, 1.0, 10.0),
        *,
        fit_intercept: bool = True,
        scoring: str | None = None,
        cv: Any = None,
    ) -> None:
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.cv = cv

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> RidgeCV:
        """Choose the penalty and fit the coefficients.

        Parameters
        ----------
        X : array of shape (n, d)
            Rows of features.
        y : array of shape (n,) or (n, targets)
            Targets, on the same device.
        sample_weight : array of shape (n,), optional
            Weights, not negative, of fit and score. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each row, of any dtype. Default: every row its own.

        Returns
        -------
        RidgeCV
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite, shapes do not fit, a penalty is negative, or the
            rows cannot be split as asked.
        TypeError
            If the arrays live on different devices.
        """
        alphas = grid(self.alphas, "alphas", minimum=0)
        scoring = one_of(self.scoring or _SCORINGS[0], "scoring", _SCORINGS)
        data = take_training(self, X, y, sample_weight)
        labels = data.space.to_host(data.y)
        folds = make_folds(data.X.shape[0], groups, self.cv, labels)
        best, self.cv_scores_ = self._search(_problem(self, data), folds, alphas, scoring)
        self.alpha_, self.best_score_ = alphas[best], float(self.cv_scores_[best])
        return self


def _problem(model: Any, data: Training) -> _Problem:
    return _Problem(data.X, data.y, data.weight, model.fit_intercept, data.space)


def _score(scoring: str, problem: _Problem, held_out: Any, folds: Folds) -> np.ndarray[Any, Any]:
    space, weight = problem.space, problem.weight
    host_weight = None if weight is None else space.to_host(weight)
    if scoring == "neg_mean_squared_error":
        error = ((held_out - problem.targets) ** 2).mean(axis=2)
        return -space.to_host(error @ space.asarray(fold_shares(folds, host_weight)))
    from sklearn.metrics import r2_score, roc_auc_score

    y = space.to_host(problem.targets)
    if scoring == "roc_auc":
        if any(np.unique(column).size != 2 for column in y.T):
            raise ValueError('`scoring="roc_auc"` needs a `y` of two values.')
        y, metric = (y == y.max(axis=0)).astype(int), roc_auc_score
    else:
        metric = r2_score
    return np.array([metric(y, space.to_host(p), sample_weight=host_weight) for p in held_out])
