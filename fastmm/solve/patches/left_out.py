r"""Exact solutions without the patches of some images, for all folds at once.

With S and r the sums over all rows about the means, the system without the rows of fold g is

.. math:: (S - M_g - b_g b_g^\top / N_{-g} + \alpha I)\, \beta_{-g} =
    r - m_g - b_g a_g^\top / N_{-g}

where M_g, m_g, b_g and a_g are the sums of x x', x y', x and y over those rows, less the
means, and N_{-g} the weight of the others. Products with M_g are correlations with the
images of the fold, so conjugate gradients solve all folds together, preconditioned by the
Cholesky factor of S + alpha I, to which each system is near: a fold takes away but its share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastmm.solve.grouped import Folds
from fastmm.solve.patches.conjugate import solve_systems
from fastmm.solve.patches.gram import add_patch_gram
from fastmm.solve.patches.inputs import Images, Targets
from fastmm.solve.patches.penalised import Penalised, solve_penalised
from fastmm.solve.patches.sums import box_means, cross_products, target_sums, tile_bytes
from fastmm.solve.ridge.sufficient import SufficientStatistics

__all__ = ["FoldSystems", "LeftOut"]

_MOST = 100  # iterations, after which a fold is solved on its own
_WORK = 1 << 27  # bytes of one set of coefficients of the folds solved together


class LeftOut:
    """Predictions by models that have not seen a fold of the images.

    So many folds are solved together that a set of their coefficients takes 128 MB.
    """

    def __init__(
        self,
        data: tuple[Images, Targets, Any],
        sums: SufficientStatistics,
        folds: Folds,
        fit_intercept: bool,
    ) -> None:
        self._given = (data, sums, folds, fit_intercept)
        room = data[0].room
        step = max(1, (_WORK if room is None else room.systems) // (8 * sums.xy.size))
        every = np.arange(folds.n_folds)
        self._blocks = [every[i : i + step] for i in range(0, len(every), step)]
        # One block serves every penalty; several would take the memory that they spare.
        self._only = FoldSystems(*self._given, every) if len(self._blocks) == 1 else None

    def predict(self, found: Penalised, alpha: float) -> Any:
        r"""Return held-out predictions, (n, targets) or (n, targets, \*grid)."""
        images, targets, _ = self._given[0]
        out = images.space.xp.empty(targets.values.shape)
        for block in self._blocks:
            systems = self._only or FoldSystems(*self._given, block)
            systems.predict(systems.solve(found, alpha), out)
        return out


class FoldSystems:
    """The systems of models that have not seen one of the folds `which`."""

    def __init__(
        self,
        data: tuple[Images, Targets, Any],
        sums: SufficientStatistics,
        folds: Folds,
        fit_intercept: bool,
        which: Any,
    ) -> None:
        images, targets, weight = data
        xp, count = images.space.xp, len(which)
        self.images, self.targets, self.folds, self.centred = images, targets, folds, fit_intercept
        self.which = which
        self.weight = xp.ones(len(images)) if weight is None else weight
        self.centres = images.centres()
        self.gram, self.right = sums.normal_equations(fit_intercept)
        m, d = len(images.arrays), self.gram.shape[0]
        self.mean = sums.y_mean if fit_intercept else xp.zeros(targets.number)
        self.shift = -xp.repeat(self.centres, d // m)
        if fit_intercept:
            self.shift = self.shift + sums.x_mean
        self.positions = math.prod(images.grid.counts)
        self.correlation = images.correlation()
        self.share = xp.zeros(count)  # the weight of each fold
        self.x, self.y = xp.zeros((d, count)), xp.zeros((count, targets.number))
        self.xy = xp.zeros((d, *self.y.shape))
        for at, rows in self._parts(np.arange(count)):
            self._gather(at, rows)
        others = sums.weight - self.share
        self.others = xp.where(others > 0, others, 1.0)

    def solve(self, found: Penalised, alpha: float) -> Any:
        """Return the coefficients (d, folds, targets) without each fold."""
        space, xp = self.images.space, self.images.space.xp
        right = self.right[:, None] - self.xy
        if self.centred:
            right -= self.x[:, :, None] * (self.y / self.others[:, None])
        if found.solve is None:
            solution, missing = xp.zeros_like(right), np.arange(len(self.which))
        else:
            start = xp.repeat(found.coef[:, None], len(self.which), axis=1)
            scale = space.to_host((found.coef * self.right).sum(axis=0))
            solution, missing = solve_systems(
                lambda v, which: self._product(v, which, alpha),
                found.solve, right, start, scale, _MOST, xp,
            )  # fmt: skip
        for fold in missing.tolist():
            gram = self._gram_without(fold)
            solution[:, fold] = solve_penalised(gram, right[:, fold], alpha, space).coef
        return solution

    def predict(self, coef: Any, out: Any) -> None:
        r"""Write the predictions of the images of these folds, (n, targets[, \*grid])."""
        xp = self.images.space.xp
        constants = self.mean - xp.tensordot(self.shift, coef, axes=1)
        if self.centred:
            along = (self.x[:, :, None] * coef).sum(axis=0)
            constants = constants + (along - self.y) / self.others[:, None]
        for places, rows in self._parts(np.arange(len(self.which))):
            at = xp.asarray(places)
            pixels = self.images.centred(rows, self.centres)
            if self.targets.by_position:
                values = self._maps(self.correlation.spectra(pixels), coef[:, at])
                constant = _spread(constants[at][:, None], values)
            else:
                means = box_means(pixels.reshape(-1, *pixels.shape[2:]), self.images)
                means = means.reshape((*rows.shape, -1))
                values = xp.matmul(means, coef[:, at].transpose(1, 0, 2))
                constant = constants[at][:, None]
            out[xp.asarray(rows)] = values + constant

    def _parts(self, which: Any) -> Iterator[tuple[Any, Any]]:
        """Yield places in `which` (b,) and rows (b, size) of these systems, in small batches."""
        most = self.correlation.images_at_once(
            2 * len(self.images.arrays) + 2 * self.targets.number
        )
        place = np.full(self.folds.n_folds, -1)
        place[self.which[which]] = np.arange(len(which))
        for batch in self.folds.batches:
            at = place[self.folds.codes[batch[:, 0]]]
            rows, at = batch[at >= 0], at[at >= 0]
            size = rows.shape[1]
            many, few = max(1, most // size), min(most, size)
            for i in range(0, len(rows), many):
                for j in range(0, size, few):
                    part = slice(i, i + many)
                    yield at[part], rows[part, j : j + few]

    def _gather(self, at: Any, rows: Any) -> None:
        xp, images, targets = self.images.space.xp, self.images, self.targets
        pixels = images.centred(rows, self.centres)
        rows = xp.asarray(rows)
        w = self.weight[rows]
        truth = targets.values[rows]
        rest = truth - _spread(self.mean, truth[0, 0])
        rest = rest * w.reshape(w.shape + (1,) * (rest.ndim - 2))
        share, shift = w.sum(axis=1) * self.positions, self.shift
        total = (w[:, :, None, *(None,) * len(images.shape)] * pixels).sum(axis=1)
        x = box_means(total, images) * self.positions - share[:, None] * shift
        for f in range(len(rows)):
            ones = xp.ones(rows.shape[1])
            y = target_sums(rest[f], ones, self.positions)
            xy = cross_products(pixels[f], rest[f], images).sum(axis=0) - y[:, None] * shift
            self.y[int(at[f])] += y
            self.xy[:, int(at[f])] += xy.T
        self.share[xp.asarray(at)] += share
        self.x[:, xp.asarray(at)] += x.T

    def _product(self, v: Any, which: Any, alpha: float) -> Any:
        """Return the products of columns (d, b, targets) with the matrices of folds (b,)."""
        xp, d = self.images.space.xp, len(v)
        out = (self.gram @ v.reshape(d, -1)).reshape(v.shape)
        out += alpha * v
        if self.centred:
            x = self.x[:, xp.asarray(which)][:, :, None]
            out -= x * ((x * v).sum(axis=0) / self.others[xp.asarray(which), None])
        for places, rows in self._parts(which):
            at = xp.asarray(places)
            out[:, at] -= self._fold_product(v[:, at], rows)
        return out

    def _fold_product(self, v: Any, rows: Any) -> Any:
        xp, rank = self.images.space.xp, len(self.images.shape)
        spectra = self.correlation.spectra(self.images.centred(rows, self.centres))
        maps = self._maps(spectra, v)
        maps -= _spread(xp.tensordot(self.shift, v, axes=1)[:, None], maps)
        w = self.weight[xp.asarray(rows)]
        maps *= w.reshape(w.shape + (1,) * (maps.ndim - 2))
        total = maps.sum(axis=(1, *range(3, 3 + rank)))
        back = [
            self.correlation.filters(spectra, maps[:, :, t], 1).reshape(len(maps), -1).T
            for t in range(maps.shape[2])
        ]
        return xp.stack(back, axis=2) - self.shift[:, None, None] * total

    def _maps(self, spectra: Any, v: Any) -> Any:
        r"""Return (b, size, targets, \*grid) for images (b, size, m, \*s) and (d, b, targets)."""
        size = self.images.grid.size
        filters = v.transpose(1, 2, 0).reshape((*v.shape[1:], -1, *size))
        return self.correlation.maps(
            spectra[:, :, None], self.correlation.spectra(filters)[:, None]
        )

    def _gram_without(self, fold: int) -> Any:
        images, space, xp = self.images, self.images.space, self.images.space.xp
        gram, most = xp.zeros((len(images.arrays), *images.grid.size) * 2), tile_bytes(images)
        rows = np.flatnonzero(self.folds.codes == self.which[fold])
        for part in images.pieces():  # of these rows
            some = rows[part]
            if some.size:
                pixels = images.centred(some, self.centres)
                w = self.weight[xp.asarray(some)]
                pixels *= xp.sqrt(w).reshape((-1,) + (1,) * (pixels.ndim - 1))
                add_patch_gram(gram, pixels, images.grid, space, most)
        left, shift, x = gram.reshape(self.gram.shape), self.shift, self.x[:, fold]
        # About the means: sum (z - s)(z - s)' = sum z z' - s x' - x s' - N s s' for x = sum (z - s)
        left -= shift[:, None] * (x + self.share[fold] * shift) + x[:, None] * shift
        if self.centred:
            left += x[:, None] * (x / self.others[fold])
        return xp.subtract(self.gram, left, out=left)


def _spread(values: Any, like: Any) -> Any:
    """Give values the axes of a grid that `like` has after theirs."""
    return values.reshape(values.shape + (1,) * (like.ndim - values.ndim))
