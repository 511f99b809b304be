"""Recursive feature machines for classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastmm._check import one_of
from fastmm.solve._inputs import take_training
from fastmm.solve.grouped import less_training_means, make_folds, training_means
from fastmm.solve.kernel.feature_model import FeatureMachine
from fastmm.solve.kernel.machine import KernelMachine, flat
from fastmm.solve.scoring import CLASS_SCORINGS, score_classes, winning_classes

__all__ = ["FeatureMachineClassifier"]


class FeatureMachineClassifier(FeatureMachine, KernelMachine):
    r"""Recursive feature machine for classes.

    Least squares on labels of -1 and 1, each class against the rest where there are more than
    two, with distances learned as in :class:`FeatureMachineRegressor`.

    Parameters
    ----------
    alphas, iterations, kernel, gamma, diagonal, cv, memory_limit
        As in :class:`FeatureMachineRegressor`.
    class_weight : None, "balanced" or dict, default None
        Factors of the weights of the rows of a class.
    scoring : {"roc_auc", "accuracy", "balanced_accuracy"} or None, default None
        What to maximise, as in :class:`LSSVCCV`; None is "roc_auc".

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, in the dtype of y, on the host.
    cv_decision_ : array of shape (n,) or (n, n_classes), float64
        Out-of-fold scores at `alpha_` and `iteration_`, in the row order of X.
    cv_predictions_ : ndarray of shape (n,)
        Out-of-fold labels, on the host.
    feature_matrix_, iteration_, alpha_, best_score_, cv_scores_, dual_coef_, intercept_
        As in :class:`FeatureMachineRegressor`; intercepts (1,) or (n_classes,).
    X_fit_, gamma_, n_features_in_
        As in :class:`FeatureMachineRegressor`.

    Notes
    -----
    As :class:`FeatureMachineRegressor`. The class weights are taken once, from all rows.

    References
    ----------
    .. [1] Radhakrishnan, A., Beaglehole, D., Pandit, P., & Belkin, M. (2024). Mechanism for
       feature learning in neural networks and backpropagation-free machine learning models.
       Science, 383(6690), 1461-1467. https://doi.org/10.1126/science.adi5639

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import FeatureMachineClassifier
    >>> X = np.random.default_rng(0).normal(size=(60, 5))
    >>> model = FeatureMachineClassifier(alphas=1e-2, iterations=2).fit(X, X[:, 3] > 0)
    >>> int(np.argmax(np.diag(model.feature_matrix_)))
    3
    """

    def __init__(
        self,
        alphas: Sequence[float] = (1e-3, 1e-2, 1e-1, 1.0),
        *,
        iterations: int = 5,
        kernel: str = "laplace",
        gamma: float | str = "scale",
        diagonal: bool = False,
        class_weight: Any = None,
        scoring: str | None = None,
        cv: Any = 5,
        memory_limit: int | str | None = None,
    ) -> None:
        super().__init__(
            alphas,
            iterations=iterations,
            kernel=kernel,
            gamma=gamma,
            diagonal=diagonal,
            scoring=scoring,
            cv=cv,
            memory_limit=memory_limit,
        )
        self.class_weight = class_weight

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None
    ) -> FeatureMachineClassifier:
        """Choose penalty and iteration, and fit the machine.

        Parameters
        ----------
        X : array of shape (n, d)
            Training rows; with `memory_limit` anything that is sliced, as for :class:`Ridge`.
        y : array of shape (n,)
            Labels of any dtype, on the host or where `X` lives.
        sample_weight : array of shape (n,), optional
            Weights of fit and score, not negative. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each row. Default: every row its own.

        Returns
        -------
        FeatureMachineClassifier
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite, shapes do not fit, `y` has one class, a parameter is out
            of its range, the rows cannot be split as asked, or `memory_limit` is too low.
        TypeError
            If the arrays live on different devices.
        """
        name = "roc_auc" if self.scoring is None else self.scoring
        one_of(name, "scoring", CLASS_SCORINGS)
        data = take_training(self, X, y, sample_weight, labels=True, chunks=True)
        codes, weight = self._encode(data)
        signs, space = self._signs(codes), data.space
        folds = make_folds(len(codes), groups, self.cv, data.y, weight)
        winners: list[Any] = []

        def score(held_out: Any) -> Any:
            winners.append(winning_classes(held_out))
            if name == "roc_auc":
                held_out = less_training_means(
                    held_out, training_means(folds, signs, weight), signs
                )
            return score_classes(name, codes, held_out, folds, data.host_weight())

        self._learn(
            data,
            space.asarray(signs),
            None if weight is None else space.asarray(weight),
            folds,
            score,
        )
        self.cv_decision_: Any = flat(self.__dict__.pop("_held_out"))
        self.cv_predictions_ = self.classes_[winners[0][self.__dict__.pop("_place")]]
        return self

    def _decide(self, X: Any, xp: Any) -> Any:
        """Return the scores of checked rows, float64."""
        return flat(self._values(X, xp))
