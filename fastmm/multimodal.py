"""Classify examinations from several modalities, with closed-form models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin

from fastmm._check import finite, one_of
from fastmm.explain.similarity import training_cases
from fastmm.fusion.fused_solvers import CLASSIFIERS
from fastmm.fusion.multimodal_base import Multimodal, mean_by
from fastmm.solve.grouped import make_folds
from fastmm.validate.calibration import calibrated, fit_calibration
from fastmm.validate.conformal_sets import leads
from fastmm.validate.conformity import Conformity
from fastmm.validate.resampling import coverage

__all__ = ["MultimodalClassifier"]


class MultimodalClassifier(ClassifierMixin, Multimodal):  # type: ignore[misc]
    r"""Fuse modalities and classify with ridge regression, least squares, machines or a network.

    Modalities may be missing in some rows, in `fit` and in `predict`; see `BlockFusion`
    for the rule. The weights of modalities, the widths of kernels and the penalty are
    chosen on the exact loss of leaving groups out, and the scores of that validation
    calibrate the probabilities.

    Parameters
    ----------
    modalities : dict of str to ImageModality or TableModality
        What each entry of the data is.
    fusion : {"stack", "kernel", "late"}, default "stack"
        Features side by side; one RBF kernel for each modality, added up; or one model for
        each modality and a linear combination, with weights not negative, of their scores
        out of fold.
    solver : {"ridge", "linear", "lssvm", "svm", "deep"}, default "ridge"
        Ridge regression on labels of -1 and 1; ordinary least squares, the solution of
        least norm where there are more features than rows; the least-squares support
        vector machine; or that with the squared hinge loss. The machines use an RBF kernel
        of the stacked features. ``fusion="kernel"`` needs one of them. "deep" is a
        `DeepClassifier` of images where ``features="pixels"``, else of features, trained on
        all rows for 10 to 60 epochs (6,000 rows in all): one for all modalities with
        "stack", one each with "late".
    interactions : bool, default False
        With ``fusion="kernel"``, fuse by :math:`\prod_m (1 + w_m K_m) - 1`, which holds the
        products of kernels: patients are alike who are alike in several modalities at once.
    weights : {"tuned", "equal"} or dict of str to float, default "tuned"
        Weights of the modalities; "late" learns its own.
    alphas, Cs : sequence of float, optional
        Penalties of "ridge", or weights of the loss of "lssvm" and "svm", to choose from.
        Default: seven values around the one that was tuned.
    class_weight : {"balanced", None}, default "balanced"
        "balanced" gives each class the same total weight, so that a score of 0 is the
        border between classes however rare one is. It also keeps left-out validation
        honest: without it the intercept follows the mean of the labels, which falls when
        a positive row is left out, and rows without any signal get an AUC far below 0.5.
    memory_limit : int, str or None, default None
        Bytes that a fit, or a call with new rows, may take beside what is in memory already,
        such as "2GB". Files are read some at a time, and their features go to a temporary
        file (in the folder that TMPDIR names). What has no room as a whole is standardised,
        fused and solved in parts; see Notes.

    Attributes
    ----------
    classes_ : array
        Labels, sorted.
    fusion_ : BlockFusion or LateFusion
        The fitted fusion, with ``weights_`` and ``gamma_``, or ``members_`` and
        ``combinations_``.
    solver_ : RidgeCV, LSSVCCV or SVC
        The fitted solver, with its ``alpha_``, ``C_`` or ``C``; not with "late".
    cv_decision_ : array of shape (rows,) or (rows, classes)
        Decision values of each row by the model fitted without its group, at the chosen
        parameters, less the mean label of the rows that model saw (of "svm" in ten folds of
        whole groups, of "deep" in five, and nothing taken off); means
        and scales of the features, and with "late" the weights' other scores, are those of
        all rows.
    calibration_ : tuple of (slope, offsets)
        How scores become probabilities; see `fastmm.validate.calibration`.
    cases_ : dict or None
        Of kernel machines: examination and class of each training row; see
        `fastmm.explain.similarity`.

    Notes
    -----
    Weights start from what each modality tells alone of left-out groups; they and widths are
    found by L-BFGS from the gradient of the left-out loss, about 15 evaluations of 3 n^3 flops
    each (see `fastmm.fusion.tuning`), on at most 1,500 rows. "svm" takes those of the LS-SVM, and
    searches its C.

    Under a `memory_limit` a fit that has room is that without. One that has not agrees with it
    to rounding, and needs room for what is never parted, or an error says how much: kernels of
    the rows that weights are searched on (at most 18 MB each, about 13), and of 1,000 rows
    that new ones are compared with; for "ridge" and "linear" five matrices of the smaller
    side of the features. Machines hold their rows and kernels; where these have no room,
    "lssvm" takes few rows as centres, with a warning, "svm" holds the kernels of rows within
    the margin, and ``fusion="kernel"`` is refused. Late fusion holds a score for each row,
    modality and class, and "deep" its features, whatever the limit.

    Examples
    --------
    >>> from fastmm import MultimodalClassifier, TableModality
    >>> data = {"case": {"age": [40, 45, 50, 61, 65, 70]}}
    >>> model = MultimodalClassifier({"case": TableModality()})
    >>> model.fit(data, [0, 0, 0, 1, 1, 1]).predict({"case": {"age": [44, 66]}})
    array([0, 1])
    """

    solvers = CLASSIFIERS

    def __init__(
        self,
        modalities: Mapping[str, Any],
        *,
        fusion: str = "stack",
        solver: str = "ridge",
        interactions: bool = False,
        weights: Any = "tuned",
        alphas: Sequence[float] | None = None,
        Cs: Sequence[float] | None = None,
        class_weight: str | None = "balanced",
        memory_limit: int | str | None = None,
    ) -> None:
        self.modalities = modalities
        self.fusion = fusion
        self.solver = solver
        self.interactions = interactions
        self.weights = weights
        self.alphas = alphas
        self.Cs = Cs
        self.class_weight = class_weight
        self.memory_limit = memory_limit

    def fit(
        self,
        X: Mapping[str, Any],
        y: Any,
        sample_weight: Any = None,
        groups: Any = None,
        *,
        members: Mapping[str, MultimodalClassifier] | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> MultimodalClassifier:
        """Fit fusion, solver and calibration.

        Parameters
        ----------
        X : dict of str to raw data or Block
            One entry for each modality; see `extract`.
        y : array of shape (rows,)
            Labels.
        sample_weight : array of shape (rows,), optional
            Weight of each row.
        groups : array of shape (rows,), optional
            Patient of each row: what the internal validation leaves out at once.
        members : dict of str to MultimodalClassifier, optional
            With ``fusion="late"`` and ``solver="deep"``: models of single modalities that
            were fitted just now to the same examinations, those that have the modality; they
            become members instead of being trained again.
        progress : callable, optional
            Called as ``progress(done, total)`` while networks are trained.

        Returns
        -------
        MultimodalClassifier
            Itself, fitted.
        """
        self.check_options()
        blocks, y = self.extract(X), np.asarray(y)
        finite(y, "y", np)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"`y` must have at least 2 classes, got only {self.classes_}.")
        weight = self._weights(codes, sample_weight)
        make_folds(len(codes), groups)  # its errors are better told before the search
        rows = self._rows(blocks, _signs(codes), codes, weight, groups)
        self.cv_decision_ = mean_by(rows.owner, self.fit_rows(rows, members, progress))
        self.cases_ = training_cases(self, rows, codes)
        self.calibration_ = fit_calibration(self.cv_decision_, codes)
        badness = leads(self.cv_decision_.reshape(len(codes), -1))
        self.conformity_ = Conformity().fit(badness[np.arange(len(codes)), codes], codes, groups)
        return self

    def decision_function(self, X: Mapping[str, Any]) -> Any:
        """Return the scores: (rows,), above 0 for ``classes_[1]``, or (rows, classes)."""
        # Labels are -1 and 1: what differs by less is rounding, and must rank as a tie.
        return np.round(self._score(X), 9)

    def predict(self, X: Mapping[str, Any]) -> Any:
        """Return the class with the largest score."""
        return self.winners(self.decision_function(X))

    def winners(self, decision: Any) -> Any:
        """Turn scores into labels: the class with the largest score."""
        if decision.ndim == 2:
            return self.classes_[decision.argmax(axis=1)]
        return self.classes_[(decision > 0).astype(int)]

    def predict_proba(self, X: Mapping[str, Any]) -> Any:
        """Return calibrated probabilities, (rows, classes).

        A logistic curve of the score, fitted to the scores of left-out groups; it rises
        with the score. It knows how frequent the classes are, while balanced scores weigh
        each class the same: a rare class may be predicted at a probability below one half.
        """
        return self.probabilities(self.decision_function(X))

    def probabilities(self, decision: Any) -> Any:
        """Turn scores into calibrated probabilities, (rows, classes)."""
        return calibrated(decision, *self.calibration_)

    def label_sets(self, decision: Any, confidence: float = 0.9) -> Any:
        """Turn scores into conformal sets of labels, (rows, classes) bool.

        For a new patient of each class the set holds that class with about `confidence`;
        see `Conformity`. A set may hold all classes, or none.
        """
        badness = leads(np.asarray(decision).reshape(len(decision), -1))
        return self.conformity_.pvalues(badness) > 1 - coverage(confidence) + 1e-9

    def contributions(self, X: Mapping[str, Any]) -> dict[str, Any]:
        """Split the scores into what each modality adds, which sums to them.

        Returns
        -------
        dict of str to array
            One array of the shape of the scores for each modality, and "intercept"; with
            `interactions` also "interactions". Networks, and an RBF kernel of stacked
            features, are no sums over modalities, and raise ValueError; see
            `fastmm.explanation.integrated_gradients`.
        """
        from fastmm.explanation import contributions

        return contributions(self, X)

    def _weights(self, codes: Any, sample_weight: Any) -> Any:
        if self.class_weight is None:
            return sample_weight
        one_of(self.class_weight, "class_weight", ("balanced",))
        given = np.ones(len(codes)) if sample_weight is None else np.asarray(sample_weight, float)
        total = np.bincount(codes, weights=given)
        return given * (given.sum() / (len(total) * total))[codes]


def _signs(codes: Any) -> Any:
    if codes.max() == 1:
        return np.where(codes == 1, 1.0, -1.0)
    return np.where(codes[:, None] == np.arange(codes.max() + 1), 1.0, -1.0)
