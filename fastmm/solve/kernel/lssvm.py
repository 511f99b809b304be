"""Least-squares support vector machines: kernel classifiers in closed form."""

from __future__ import annotations

from typing import Any

from fastmm._check import number
from fastmm.solve._inputs import Training, take_training
from fastmm.solve.fold_order import order_by_fold
from fastmm.solve.grouped import Folds, make_folds
from fastmm.solve.kernel.accuracy import fault_of_residual, warn
from fastmm.solve.kernel.bordered import BorderedSystem
from fastmm.solve.kernel.cross_validated import cross_validated
from fastmm.solve.kernel.exact import needs_of, settle, training_gram
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.solve.kernel.machine import KernelMachine, flat
from fastmm.solve.kernel.options import as_rows

__all__ = ["LSSVC"]


class LSSVC(KernelMachine):
    r"""Least-squares support vector classifier.

    .. math::

        \begin{pmatrix} 0 & 1^\top \\ 1 & K + (C W)^{-1} \end{pmatrix}
        \begin{pmatrix} b \\ a \end{pmatrix} = \begin{pmatrix} 0 \\ y \end{pmatrix},
        \quad y_i \in \{-1, 1\}

    Parameters
    ----------
    C : float, default 1.0
        Weight of the squared errors, positive: large values fit closely.
    kernel : str or callable, default "rbf"
        Kernel: "linear", inner products; "poly", ``(gamma <x, y> + coef0) ** degree``; "rbf",
        ``exp(-gamma |x - y|^2)``; "laplacian", ``exp(-gamma |x - y|_1)``; "arccos", "ntk",
        "patch" and "convolutional", see :func:`arccos_kernel`, :func:`ntk_kernel`,
        :func:`patch_kernel` and :func:`convolutional_kernel`.
        "precomputed" takes kernel matrices for X; a callable maps rows (n, d) and (m, d) to a
        matrix (n, m), where the rows live.
    gamma : "scale", "auto" or float, default "scale"
        Parameter of "poly", "rbf", "laplacian" and "patch" (whose d is the number of pixels
        of a patch). "scale" is ``1 / (d * X.var())`` (the variance weighted by
        `sample_weight`; 1 where X is constant), and ``1 / (d * X.std())`` for "laplacian";
        "auto" is ``1 / d``.
    degree : int, default 3
        Power of "poly".
    coef0 : float, default 1.0
        Constant of "poly".
    kernel_params : dict or None, default None
        What else the kernel has to know. "arccos": ``degree``, ``depth``; "ntk": ``depth``,
        ``bias``; "patch": ``patch_size``, and ``step``, ``shifts``, ``kernel``;
        "convolutional": ``filter_size``, ``depth``, ``pool``, ``tangent``; defaults and
        meaning are those of the functions. For the last two X holds images (n, \*spatial),
        or rows of their pixels with ``image_shape`` in this dict.
    class_weight : None, "balanced" or dict, default None
        Factors of the weights of the rows of a class: "balanced" is ``n / (n_classes *
        count)``; a dict names labels, all others have 1.
    solver : {"auto", "direct", "nystrom"}, default "auto"
        "direct" is exact. "nystrom" seeks the best function that the kernels of
        `n_components` rows span, the centres: an approximation, also of what is left out,
        whose centres stay as they are. "auto" is "direct", but where rows come in chunks and
        "direct" does not fit into `memory_limit`: then "nystrom", with a warning.
    n_components : int or None, default None
        Number of centres of "nystrom". None is 10 sqrt(n).
    seed : int, default 0
        Seed of their drawing.
    memory_limit : int, str or None, default None
        As in :class:`Ridge`. "direct" takes X into memory and makes the kernel in tiles,
        "nystrom" reads X in chunks.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, in the dtype of y, on the host.
    dual_coef_ : array of shape (n,), or (n, n_classes) for more than two, float64
        Coefficients a, where the training data live.
    intercept_ : array of shape (1,) or (n_classes,), float64
        Intercepts b.
    X_fit_ : array of shape (n, d), or None
        Copy of the training rows; None if `kernel` is "precomputed".
    image_shape_ : tuple of int
        Size of the images; only for "patch" and "convolutional".
    gamma_ : float or None
        Parameter used by "poly", "rbf", "laplacian" and "patch".
    residual_ : float
        Relative residual |y - A a| / |y| of the (weighted, centred) system that was
        solved, the largest over decisions: about 1e-16 times C and the norm of the kernel.
    cv_decision_ : array of shape (n,) or (n, n_classes), float64
        Out-of-fold scores in the row order of X, exact; only if `groups` were given.
    solver_ : {"direct", "nystrom"}
        What solved it.
    component_indices_ : ndarray of shape (m,), or None
        Which training rows are the centres of "nystrom", on the host; `dual_coef_` and
        `X_fit_` are then of these.
    n_features_in_ : int
        Number of features.

    Notes
    -----
    More than two classes are solved at once, each against the rest. The kernel is computed
    and solved in float64, with one step of refinement. Memory: 2 n^2 float64 values beside
    the kernel; cost: the kernel and n^3 / 3 flops, twice that with `groups`. For the
    held-out scores, the width "scale" and the class weights are taken once, from all rows.

    References
    ----------
    .. [1] Suykens, J. A. K., & Vandewalle, J. (1999). Least squares support vector machine
       classifiers. Neural Processing Letters, 9, 293-300.
       https://doi.org/10.1023/A:1018628609742
    .. [2] Cawley, G. C. (2006). Leave-one-out cross-validation based model selection
       criteria for weighted LS-SVMs. IJCNN, 1661-1668.
       https://doi.org/10.1109/IJCNN.2006.246634

    Examples
    --------
    >>> from fastmm import LSSVC
    >>> model = LSSVC(C=10.0).fit([[0.0], [1.0], [2.0], [3.0]], ["a", "a", "b", "b"])
    >>> model.predict([[0.5], [2.5]])
    array(['a', 'b'], dtype='<U1')
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        kernel: Any = "rbf",
        gamma: float | str = "scale",
        degree: int = 3,
        coef0: float = 1.0,
        kernel_params: dict[str, Any] | None = None,
        class_weight: Any = None,
        solver: str = "auto",
        n_components: int | None = None,
        seed: int = 0,
        memory_limit: int | str | None = None,
    ) -> None:
        self.C = C
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.class_weight = class_weight
        self.solver = solver
        self.n_components = n_components
        self.seed = seed
        self.memory_limit = memory_limit

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> LSSVC:
        """Fit the machine.

        Parameters
        ----------
        X : array of shape (n, d), or (n, n) kernel values if `kernel` is "precomputed"
            Training rows; or a dask array, and with `memory_limit` anything that is sliced.
        y : array of shape (n,)
            Labels of any dtype, on the host or where `X` lives.
        sample_weight : array of shape (n,), optional
            Weights, not negative. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each row. If given, `cv_decision_` is set.

        Returns
        -------
        LSSVC
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite, shapes do not fit, `y` has one class, a parameter is out
            of its range, or the memory does not do.
        TypeError
            If the arrays live on different devices.
        """
        C = number(self.C, "C", above=0)
        rows = as_rows(self, X, fit=True)
        data = take_training(self, rows, y, sample_weight, labels=True, chunks=True)
        if hasattr(self, "cv_decision_"):
            del self.cv_decision_
        codes, weight = self._encode(data)
        order = folds = given = None
        if groups is not None:
            given = make_folds(len(codes), groups, weight=weight)
            order, folds = order_by_fold(given)
        exact = settle(self, data, needs_of(given, weight is not None))
        self.solver_, data, space = exact.solver, exact.data, data.space
        function = self._function(self.gamma, data)
        if exact.solver == "nystrom":
            self._fit_on_centres(function, data, codes, weight, given, 1 / C)
            return self
        self.component_indices_: Any = None
        gram = training_gram(function, self._rows(data, order), space, exact.room)
        may = exact.may_diagonalise
        system = BorderedSystem.of(
            gram, self._signs(codes), weight, order, space, may_diagonalise=may
        )
        if folds is None:
            weighted = system.solve(1 / C)
            self.residual_ = system.residual(weighted, 1 / C)
            dual, intercept = system.original(weighted)
            rounding = system.rounding_of(dual)
        else:
            found = next(cross_validated(system, [C], folds))
            held_out, dual, intercept, self.residual_, rounding = found
            self.cv_decision_: Any = flat(held_out)
        warn(fault_of_residual(max(self.residual_, rounding), "lower `C`"))
        self._keep(function, dual, intercept, data.X, data.own)
        return self

    def _fit_on_centres(
        self,
        function: KernelFunction,
        data: Training,
        codes: Any,
        weight: Any,
        folds: Folds | None,
        alpha: float,
    ) -> None:
        system = self._centre_system(function, data, codes, weight)
        if folds is None:
            weighted = system.solve(alpha)
        else:
            _, found = next(system.candidates(folds, [alpha]))
            weighted, self.cv_decision_ = found.weighted[0], flat(found.held_out[0])
        self.residual_ = system.residual(weighted, alpha)
        self._keep_centres(system, function.gamma, weighted)
