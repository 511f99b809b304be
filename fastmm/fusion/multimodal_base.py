"""What the multimodal classifier and regressor share: data in, fusion, tuning, solver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fastmm._check import number, one_of
from fastmm._space import Space
from fastmm.blocks import Block, spread_slices
from fastmm.fusion.block_fusion import BlockFusion
from fastmm.fusion.deep_fusion import DeepFusion
from fastmm.fusion.extraction import extract_block
from fastmm.fusion.fused_solvers import centred, form_of, solve
from fastmm.fusion.late_fusion import LateFusion
from fastmm.fusion.novelty import Novelty
from fastmm.fusion.room import TUNED_ROWS, solver_room
from fastmm.fusion.row_parts import bytes_in_memory, bytes_of_network, score_parts, take_rows
from fastmm.fusion.training_rows import RowsInMemory, RowsOnDisk
from fastmm.fusion.tuning import tune
from fastmm.solve.grouped import Folds, make_folds
from fastmm.solve.threads import one_thread, scipy_threads_only
from fastmm.streams.limits import check_limit, refuse_below

__all__ = ["Multimodal"]

_ALPHAS = (1e-3, 1e3)
_NEARBY = tuple(10.0**e for e in (-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75))
_NEARBY_SVM = (0.2, 1.0, 5.0)  # each is a solve for every group
_FEW = 400  # rows, whose many small products are slower on several threads than on one


class Rows(NamedTuple):
    """Training rows, one for each slice where a modality wants that.

    Parameters
    ----------
    blocks : dict of str to Block
        Features.
    owner : array or None
        Examination of each row; None where they are the same.
    targets : array of shape (n,) or (n, t)
        Numbers, or labels of -1 and 1.
    codes : array of shape (n,), or None
        Class of each row.
    weight, groups : array of shape (n,), or None
        Weights and patients.
    """

    blocks: dict[str, Block]
    owner: Any
    targets: Any
    codes: Any
    weight: Any
    groups: Any


class Multimodal(BaseEstimator):  # type: ignore[misc]
    """An estimator over a dict of modalities; `solvers` are those it may use."""

    solvers: tuple[str, ...] = ()
    fusion_: Any
    solver_: Any

    def extract(self, X: Mapping[str, Any]) -> dict[str, Block]:
        """Compute the features of every modality, once for any number of fits.

        Parameters
        ----------
        X : dict of str to raw data or Block
            For each modality what its ``extract`` takes; a Block passes through.

        Returns
        -------
        dict of str to Block
            What `fit`, `predict` and the rest accept in place of `X`.
        """
        if not self.modalities:
            raise ValueError("`modalities` must name at least one modality, got none.")
        absent = [name for name in self.modalities if name not in X]
        if absent:
            raise ValueError(f"`X` must have the modalities {', '.join(absent)}.")
        blocks = {
            name: X[name]
            if isinstance(X[name], Block)
            else extract_block(modality, X[name], self._limit())
            for name, modality in self.modalities.items()
        }
        counts = {name: len(block.present) for name, block in blocks.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(f"`X` must have one number of rows, got {counts}.")
        return blocks

    def _limit(self) -> int | None:
        # Models of files that were written before have no such parameter.
        return check_limit(getattr(self, "memory_limit", None))

    def check_options(self) -> None:
        """Refuse parameters that cannot be, before any data is read."""
        one_of(self.fusion, "fusion", ("stack", "kernel", "late"))
        one_of(self.solver, "solver", self.solvers)
        self._limit()
        if self.fusion == "kernel" and self.solver in ("ridge", "linear", "deep"):
            others = " or ".join(f'"{s}"' for s in self.solvers if s in ("lssvm", "svm"))
            own = '; leave `fusion` at "stack", or "late"' if self.solver == "deep" else ""
            raise ValueError(
                f'`fusion="kernel"` needs `solver` {others}, got "{self.solver}", which has no '
                f"kernels{own}."
            )
        if self.interactions and self.fusion != "kernel":
            raise ValueError(f'`interactions` need `fusion="kernel"`, got fusion="{self.fusion}".')
        if not isinstance(self.weights, Mapping):
            one_of(self.weights, "weights", ("tuned", "equal"))
        elif self.fusion == "late":
            raise ValueError(
                '`weights` of `fusion="late"` are learned; give "tuned", or another fusion.'
            )

    def _rows(
        self, blocks: dict[str, Block], targets: Any, codes: Any, weight: Any, groups: Any
    ) -> Rows:
        """Spread slices to rows; those of an examination share its weight and its group."""
        spread, owner = spread_slices(blocks)
        if owner is None:
            return Rows(spread, None, targets, codes, weight, groups)
        groups = np.arange(len(targets)) if groups is None else np.asarray(groups)
        weight = np.ones(len(targets)) if weight is None else np.asarray(weight)
        return Rows(
            spread,
            owner,
            targets[owner],
            None if codes is None else codes[owner],
            (weight / np.bincount(owner))[owner],
            groups[owner],
        )

    def fit_rows(
        self,
        rows: Rows,
        members: Mapping[str, Any] | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> Any:
        """Fit fusion and solver to prepared rows; return left-out scores, which lean nowhere.

        A model without any signal predicts the mean label of the rows it saw, which leans
        against the label left out; it is taken off.
        """
        with ExitStack() as limits:
            if len(rows.targets) <= _FEW:
                limits.enter_context(scipy_threads_only(Space("cpu")))
                limits.enter_context(one_thread(Space("cpu")))
            held_out = self._fit_fused(rows, members, progress)
        if rows.codes is None or (self.solver in ("svm", "deep") and self.fusion != "late"):
            return held_out
        return centred(held_out, rows.targets, make_folds(len(held_out), rows.groups), rows.weight)

    def _fit_fused(self, rows: Rows, members: Any, progress: Any) -> Any:
        if self.fusion == "late":
            self.fusion_ = LateFusion(self)
            return self.fusion_.fit(rows, members, progress)
        if self.solver == "deep":
            refuse_below(bytes_of_network(rows.blocks), self._limit(), "networks hold all features")
            self.fusion_ = DeepFusion(self.modalities)
            return self.fusion_.fit(rows, progress)
        self.fusion_ = BlockFusion(self.fusion, self.interactions)
        form = form_of(self.fusion, self.solver)
        source = self._source(rows, form)
        if isinstance(self.weights, Mapping):
            self.fusion_.weigh(self.weights)
        penalties = self._tune(rows, source, form)
        design, looked_at = source.design()
        self.solver_, held_out = solve(
            self.solver, form, design, rows.targets, rows.codes, penalties,
            self.fusion_.gamma_.get(""), rows.weight, rows.groups,
            solver_room(source.limit, rows.targets.size, len(penalties)),
        )  # fmt: skip
        self.novelty_ = Novelty(form, self.fusion_.gamma_.get("", 0.0))
        self.novelty_.fit(looked_at, self._alpha(), rows.groups)
        return held_out

    def _source(self, rows: Rows, form: str) -> RowsInMemory | RowsOnDisk:
        """Return the rows in memory where the fit has room there, else in parts."""
        limit, blocks = self._limit(), rows.blocks
        tuned = form != "linear" or (self.weights == "tuned" and len(blocks) > 1)
        if limit is None or bytes_in_memory(blocks, form, tuned) <= limit:
            return RowsInMemory(self.fusion_, blocks, self.modalities)
        return RowsOnDisk(self.fusion_, blocks, self.modalities, form, tuned, limit)

    def _tune(self, rows: Rows, source: Any, form: str) -> list[float]:
        """Search weights and widths; return the penalties that are left to choose from."""
        given = self._penalties()
        free = self.weights == "tuned" and len(rows.blocks) > 1
        if self.solver == "linear" and not free:
            return [0.0]
        if not free and form == "linear":
            return given or [10.0**e for e in np.arange(-3, 3.25, 0.5)]
        folds, chosen = _some(rows)
        kernel = self.fusion_.kernel(*source.pick(chosen), form)
        targets = rows.targets.reshape(len(rows.targets), -1)[chosen]
        root = np.ones(len(targets)) if rows.weight is None else np.sqrt(rows.weight[chosen])
        low, high = (min(given), max(given)) if given else _ALPHAS
        if self.solver == "linear":
            low = high = 1e-6  # nearly no penalty, of rows whose squared norm is 1
        start = None if isinstance(self.weights, str) else self.fusion_.weights_
        tuned = tune(kernel, targets, root, folds, (low, high), free_weights=free, start=start)
        self.fusion_.weights_, self.tuning_ = tuned.weights, tuned.evaluations
        if form != "linear":
            self.fusion_.gamma_ = tuned.widths
        if given:
            return given
        alpha = tuned.alpha * len(rows.targets) / len(targets)
        return [alpha * factor for factor in (_NEARBY_SVM if self.solver == "svm" else _NEARBY)]

    def _penalties(self) -> list[float]:
        """Return the penalties that the user gave, as alpha."""
        if self.solver in ("ridge", "linear") or not hasattr(self, "Cs"):
            return [number(a, "alphas", minimum=0) for a in self.alphas or ()]
        double = 2 if self.solver == "svm" else 1
        return [1 / (double * number(C, "Cs", above=0)) for C in self.Cs or ()]

    def _alpha(self) -> float:
        model = self.solver_
        if hasattr(model, "alpha_"):
            return float(model.alpha_)
        return float(1 / model.C_) if hasattr(model, "C_") else float(1 / (2 * model.C))

    def _score(self, X: Mapping[str, Any]) -> Any:
        """Return scores or predictions of examinations, the means over slices that are rows."""
        check_is_fitted(self, "fusion_")
        blocks, owner = spread_slices(self.extract(X))
        return mean_by(owner, self.score_rows(blocks))

    def score_rows(self, blocks: Mapping[str, Block]) -> Any:
        """Return scores or predictions of prepared rows."""
        parts = self.parts(blocks)
        if len(parts) < 2:
            return self._scored(blocks)
        return np.concatenate([self._scored(take_rows(blocks, part)) for part in parts])

    def parts(self, blocks: Mapping[str, Block], copies: int = 1) -> list[Any]:
        """Cut rows into parts, as numbers, that fit: one where they are not to be parted.

        `copies` says how many values a row becomes, for each of its features.
        """
        return score_parts(self, blocks, self._limit(), copies)

    def _scored(self, blocks: Mapping[str, Block]) -> Any:
        if self.fusion == "late" or self.solver == "deep":
            return self.fusion_.predict({name: block.read() for name, block in blocks.items()})
        return outputs(self.solver_, self.fusion_.transform(blocks))


def outputs(model: Any, fused: Any) -> Any:
    """Return decisions of classifiers, predictions of regressors, float64."""
    decide = getattr(model, "decision_function", model.predict)
    return np.asarray(decide(fused), np.float64)


def mean_by(owner: Any, values: Any) -> Any:
    """Return the means over the rows of each examination."""
    if owner is None:
        return values
    total = np.zeros((int(owner.max()) + 1, *values.shape[1:]))
    np.add.at(total, owner, values)
    counts = np.bincount(owner)
    return total / counts.reshape(-1, *[1] * (values.ndim - 1))


def _some(rows: Rows) -> tuple[Folds, np.ndarray[Any, Any]]:
    """Return the rows to tune on, of whole groups, and their folds: not more than can be paid."""
    n = len(rows.targets)
    folds = make_folds(n, rows.groups)
    if n <= TUNED_ROWS:
        return folds, np.arange(n)
    order = np.random.default_rng(0).permutation(folds.n_folds)
    ends = np.cumsum(np.bincount(folds.codes)[order])
    kept = order[: max(2, int((ends <= TUNED_ROWS).sum()))]
    chosen = np.flatnonzero(np.isin(folds.codes, kept))
    return make_folds(len(chosen), folds.codes[chosen]), chosen
