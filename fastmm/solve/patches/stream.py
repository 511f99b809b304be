"""Models of patches that learn from images that come in pieces."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastmm._check import number
from fastmm._space import Space, enter, telling_of_memory
from fastmm.solve._inputs import rank_warning
from fastmm.solve.patches.inputs import Kind
from fastmm.solve.patches.model import PatchModel
from fastmm.solve.patches.penalised import Penalised, solve_penalised
from fastmm.solve.patches.sums import patch_sums
from fastmm.solve.ridge.sufficient import SufficientStatistics

__all__ = ["PatchStream"]


class PatchStream(PatchModel):
    """A ridge model on patches with `alpha` that learns from sums over them."""

    # Parameters, which the estimator's constructor sets.
    alpha: float
    alphas: Any
    fit_intercept: bool
    statistics_: dict[str, Any]  # what `partial_fit` sets

    def partial_fit(self, images: Any, y: Any, sample_weight: Any = None) -> Self:
        r"""Add images to those seen so far, and solve for all of them.

        Parameters
        ----------
        images : array of shape (n, \*spatial), or dict of name to such arrays
            More images, of the same modalities; their size may be another.
        y : array
            Their targets, as for `fit`.
        sample_weight : array of shape (n,), optional
            Weights of images, not negative. Default: 1.

        Returns
        -------
        DensePatchRidge
            The model fitted to all images seen by `partial_fit`; unchanged after an error.

        Raises
        ------
        ValueError
            As for `fit`; and if the model was fitted by `fit`, which keeps no sums, or with
            `alphas`, which need all images at once.
        TypeError
            If the arrays, or the sums so far, live on different devices.
        """
        first = not hasattr(self, "statistics_")
        if first and hasattr(self, "coef_"):
            raise ValueError(
                "`partial_fit` cannot go on after `fit`, which keeps no sums over its patches; "
                "use `partial_fit` from the first images on, or a new model."
            )
        alpha = self._one_penalty()
        images = images if first else self._ordered(images)
        # The sums of before, of these images and of both; and what solves them.
        images, targets, weight = self._take(images, y, sample_weight, self._matrices(alpha) + 2)
        sums = patch_sums(images, targets, weight)
        kind = Kind.of(images, targets)
        if not first:
            if kind != self._kind():
                raise ValueError(
                    "`y` must have as many targets, of images or of positions, as before."
                )
            before = SufficientStatistics.from_state(self.statistics_)
            enter(images=images.space.xp.empty(0), statistics_=before.xx)
            sums = before + sums
        self._settle(sums, self._solve(sums, alpha, images.space), kind)
        self.statistics_ = sums.state()
        return self

    def merge(self, other: PatchStream) -> Self:
        """Add the images that another model has seen by `partial_fit`, and solve for all.

        Parameters
        ----------
        other : DensePatchRidge
            The model, with the same patches; it stays as it is.

        Returns
        -------
        DensePatchRidge
            The model fitted to the images of both.

        Raises
        ------
        ValueError
            If patches, modalities or targets differ.
        TypeError
            If `other` is something else, or the sums live on different devices.
        NotFittedError
            If one of the two has seen no images by `partial_fit`.
        """
        check_is_fitted(self, "statistics_")
        if not isinstance(other, PatchStream):
            raise TypeError(f"`other` must be a DensePatchRidge, got {type(other).__name__}.")
        check_is_fitted(other, "statistics_")
        alpha = self._one_penalty()
        steps = (np.broadcast_to(m.step, (len(m.patch_size),)).tolist() for m in (self, other))
        if self._kind() != other._kind() or next(steps) != next(steps):
            raise ValueError("`other` was fitted to other patches, modalities or targets.")
        sums = SufficientStatistics.from_state(self.statistics_)
        more = SufficientStatistics.from_state(other.statistics_)
        space, _, _ = enter(these=sums.xx, others=more.xx)
        sums = sums + more
        self._settle(sums, self._solve(sums, alpha, space), self._kind())
        self.statistics_ = sums.state()
        return self

    def _one_penalty(self) -> float:
        if self.alphas is not None:
            raise ValueError(
                "`alphas` need all images at once, to leave some out; use `fit`, or give one "
                "`alpha`."
            )
        return number(self.alpha, "alpha", minimum=0)

    def _matrices(self, alpha: float) -> int:
        """Return how many d x d matrices a solution holds: more where Cholesky may not do."""
        return (3 if alpha > 0 else 6) + (0 if self.fit_intercept else 2)

    def _solve(self, sums: SufficientStatistics, alpha: float, space: Space) -> Penalised:
        gram, right = sums.normal_equations(self.fit_intercept)
        with telling_of_memory(space):
            return solve_penalised(gram, right, alpha, space)

    def _settle(self, sums: SufficientStatistics, found: Penalised, kind: Kind) -> None:
        """Set what a fit sets."""
        self._keep(found.coef, kind)
        self.intercept_ = 0.0 if kind.flat else 0.0 * sums.y_mean
        if self.fit_intercept:
            intercept = sums.y_mean - sums.x_mean @ found.coef
            self.intercept_ = float(intercept[0]) if kind.flat else intercept
        self.residual_ = found.residual
        if found.rank < len(found.coef):
            rank_warning(found.rank, len(found.coef), stacklevel=4)
