"""What models of patches do with new images: maps by correlation, and their means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from fastmm._device_memory import TellsOfMemory
from fastmm._space import telling_of_memory
from fastmm.solve.patches.inputs import (
    Images,
    Kind,
    Targets,
    take_images,
    take_targets,
    take_weight,
)
from fastmm.solve.patches.sums import box_means
from fastmm.solve.scoring import r2
from fastmm.streams.lazy_rows import LazyRows
from fastmm.streams.limits import check_limit

__all__ = ["PatchModel"]


class PatchModel(TellsOfMemory, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A linear model on patches with `coef_`, `intercept_` and `by_position_`."""

    # Parameters, which the estimator's constructor sets.
    patch_size: Sequence[int]
    step: int | Sequence[int]
    memory_limit: int | str | None
    # What a fit sets.
    coef_: Any
    intercept_: Any
    by_position_: bool

    def predict(self, images: Any) -> Any:
        r"""Predict the targets of images, or of the positions of a patch.

        Parameters
        ----------
        images : array of shape (n, \*spatial), or dict of name to such arrays
            Images of the modalities the model was fitted to, on its device. Their size may
            be another.

        Returns
        -------
        array of shape (n,), (n, targets), (n, \*grid) or (n, \*grid, targets)
            What `y` was: maps where targets belonged to positions, else their means.
            float32 for float32 images; leaves as what the images came as.

        Raises
        ------
        ValueError
            If modalities are others, a patch does not fit, or a value is not finite.
        TypeError
            If the images live on another device.
        """
        return self._predict(images, by_position=None)

    def predict_map(self, images: Any) -> Any:
        r"""Predict at every position of a patch, whatever the targets belonged to.

        .. math:: \hat y_{n,\mathrm{pos}} = \sum_i x_n(\mathrm{pos} + i)\, \beta_i + b

        Parameters
        ----------
        images : array of shape (n, \*spatial), or dict of name to such arrays
            As for `predict`.

        Returns
        -------
        array of shape (n, \*grid) or (n, \*grid, targets)
            Predictions of the patches: that at grid place g is of the patch whose first
            pixel is g * step. float32 for float32 images.

        Raises
        ------
        ValueError
            If modalities are others, a patch does not fit, or a value is not finite.
        TypeError
            If the images live on another device.

        Notes
        -----
        By Fourier transforms in float64, m + 1 for each image of m modalities and a target;
        the filter's size does not matter.
        """
        return self._predict(images, by_position=True)

    def score(self, images: Any, y: Any, sample_weight: Any = None) -> float:
        r"""Compute the coefficient of determination of the predictions.

        Parameters
        ----------
        images : array of shape (n, \*spatial), or dict of name to such arrays
            As for `predict`.
        y : array
            Targets, of the shape of the predictions.
        sample_weight : array of shape (n,), optional
            Weights of images, not negative. Default: 1.

        Returns
        -------
        float
            :math:`R^2` over images, or over all positions; the mean over targets.
        """
        check_is_fitted(self)
        predicted = self._predict(images, by_position=None)
        # In float64 and together: both as the columns of one set of checks.
        taken, (y, weight, predicted) = take_images(
            images, self.patch_size, self.step, check_limit(self.memory_limit),
            y=y, sample_weight=sample_weight, own=predicted,
        )  # fmt: skip
        y = y[:] if isinstance(y, LazyRows) else y
        if tuple(y.shape) != tuple(predicted.shape):
            raise ValueError(
                f"`y` must have the shape of the predictions, {tuple(predicted.shape)}, got "
                f"{tuple(y.shape)}."
            )
        weight = take_weight(weight, taken)
        host = taken.space.to_host
        truth, own = (take_targets(v, taken).values for v in (y, predicted))
        truth, own = (host(v.reshape(len(v), v.shape[1], -1)) for v in (truth, own))
        positions = truth.shape[2]
        rows = [np.moveaxis(v, 2, 1).reshape(-1, v.shape[1]) for v in (truth, own)]
        weights = None if weight is None else np.repeat(host(weight), positions)
        return float(r2(rows[0], rows[1][None], weights)[0])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags

    def _take(
        self, images: Any, y: Any, sample_weight: Any, matrices: int, held_out: int = 0
    ) -> tuple[Images, Targets, Any]:
        """Check training data; of d x d `matrices`, and of predictions, so many are held."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target "
                "y is None."
            )
        limit = check_limit(self.memory_limit)
        taken, (y, weight) = take_images(
            images, self.patch_size, self.step, limit, y=y, sample_weight=sample_weight
        )
        targets, weight = take_targets(y, taken), take_weight(weight, taken)
        return taken.within(targets, matrices, held_out), targets, weight

    def _names(self) -> tuple[str, ...] | None:
        return tuple(self.coef_) if isinstance(self.coef_, dict) else None

    def _ordered(self, images: Any) -> Any:
        """Return the modalities in the order of the fit, refusing others."""
        names = self._names()
        given = tuple(images) if hasattr(images, "keys") else None
        if (names is None) != (given is None) or set(names or ()) != set(given or ()):
            raise ValueError(f"`images` must be {_told(names)}, as in the fit, got {_told(given)}.")
        return images if names is None else {name: images[name] for name in names}

    def _predict(self, images: Any, by_position: bool | None) -> Any:
        check_is_fitted(self)
        blocks = list(self.coef_.values()) if self._names() else [self.coef_]
        limit = check_limit(self.memory_limit)
        taken, _ = take_images(
            self._ordered(images), self.patch_size, self.step, limit, coef_=blocks[0]
        )
        xp, size = taken.space.xp, taken.grid.size
        if tuple(blocks[0].shape[-len(size) :]) != size:
            raise ValueError(
                f"`patch_size` must be that of the fit, {tuple(blocks[0].shape[-len(size) :])}, "
                f"got {size}."
            )
        flat = blocks[0].ndim == len(size)
        filters = xp.stack([block.reshape((-1, *size)) for block in blocks], axis=1)
        by_position = self.by_position_ if by_position is None else by_position
        shape = (len(taken), filters.shape[0], *(taken.grid.counts if by_position else ()))
        taken = taken.within(Targets(np.broadcast_to(0.0, shape), flat), 0)
        with telling_of_memory(taken.space):
            values = self._values(taken, filters, by_position)
        values = values[:, 0] if flat else xp.moveaxis(values, 1, -1)
        return taken.leave(xp.ascontiguousarray(values))

    def _values(self, images: Images, filters: Any, by_position: bool) -> Any:
        r"""Return (n, targets) or (n, targets, \*grid) for filters (targets, m, \*patch)."""
        xp, grid = images.space.xp, images.grid
        targets, m = filters.shape[:2]
        # About a value near the mean: where it is 1e4, sums of the pixels would lose digits.
        centres = images.centres()
        constants = self.intercept_ + filters.reshape(targets, m, -1).sum(axis=2) @ centres
        constants = constants.reshape((targets,) + (1,) * (len(grid.size) * by_position))
        shape = (len(images), targets, *(grid.counts if by_position else ()))
        out = xp.empty(shape, images.dtype)
        if not by_position:
            for rows, pixels in images.in_turn(centres):
                means = box_means(pixels, images)
                out[rows] = means @ filters.reshape(targets, -1).T + constants
            return out
        correlation = images.correlation()
        spectra = correlation.spectra(filters)[None]
        step = correlation.images_at_once(m + 2 * targets)
        pieces = [slice(i, i + step) for i in range(0, len(images), step)]
        for rows, pixels in images.in_turn(centres, pieces):
            made = correlation.spectra(pixels)
            out[rows] = correlation.maps(made[:, None], spectra) + constants
        return out

    def _kind(self) -> Kind:
        """Return what the model was fitted to."""
        names = self._names()
        block = self.coef_ if names is None else self.coef_[names[0]]
        rank = len(self.patch_size)
        number = 1 if block.ndim == rank else int(block.shape[0])
        size = tuple(int(n) for n in block.shape[-rank:])
        return Kind(size, names, block.ndim == rank, number, self.by_position_)

    def _keep(self, coef: Any, kind: Kind) -> None:
        """Set `coef_` from coefficients (features, targets), and `by_position_`."""
        features = math.prod(kind.size)
        shape = (*(() if kind.flat else (kind.number,)), *kind.size)
        blocks = [
            coef[i : i + features].T.reshape(shape).copy()
            for i in range(0, coef.shape[0], features)
        ]
        self.coef_ = blocks[0] if kind.names is None else dict(zip(kind.names, blocks, strict=True))
        self.by_position_ = kind.by_position


def _told(names: tuple[str, ...] | None) -> str:
    return "one array" if names is None else f"a dict of {', '.join(map(repr, names))}"
