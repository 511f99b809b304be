"""What patches and pixels add to the predictions of ridge regression on all patches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastmm._check import number
from fastmm._space import enter

__all__ = ["patch_contributions", "pixel_contributions", "spread_patches"]


def patch_contributions(model: Any, images: Any) -> Any:
    r"""Split the predictions of a `DensePatchRidge` for images into what each patch adds.

    .. math:: \hat y = b + \sum_{\mathrm{pos}} \frac1g \sum_i x(\mathrm{pos} + i)\, \beta_i

    with g positions.

    Parameters
    ----------
    model : DensePatchRidge
        Fitted to targets of images.
    images : array of shape (n, \*spatial), or dict of name to such arrays
        Images.

    Returns
    -------
    array of shape (n, \*grid), or (n, \*grid, targets), float64
        Their sums over the grid, and ``model.intercept_``, are the predictions.

    Raises
    ------
    ValueError
        If targets belonged to positions: then each prediction is that of one patch.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import DensePatchRidge
    >>> images = np.random.default_rng(0).normal(size=(6, 5, 5))
    >>> model = DensePatchRidge((3, 3)).fit(images, np.arange(6.0))
    >>> parts = patch_contributions(model, images[:2])
    >>> np.allclose(parts.sum(axis=(1, 2)) + model.intercept_, model.predict(images[:2]))
    True
    """
    _refuse_positions(model)
    wide = _as_float64(images)
    maps = model.predict_map(wide)
    axes = len(model.patch_size)
    return (maps - model.intercept_) / math.prod(maps.shape[1 : 1 + axes])


def pixel_contributions(model: Any, images: Any, reference: float = 0.0) -> tuple[Any, Any]:
    r"""Split the predictions of a `DensePatchRidge` for images into what each pixel adds.

    .. math:: \hat y = b_0 + \sum_u (x_u - r) F_u, \qquad
              F_u = \frac1g \sum_{\mathrm{pos}} \beta_{u - \mathrm{pos}}, \quad
              b_0 = b + r \sum_u F_u

    Parameters
    ----------
    model : DensePatchRidge
        Fitted to targets of images, with one modality or several.
    images : array of shape (n, \*spatial), or dict of name to such arrays
        Images.
    reference : float, default 0.0
        Intensity r of a pixel that adds nothing.

    Returns
    -------
    parts : array of shape (n, \*spatial), or (n, \*spatial, targets), or a dict of them
        What the pixels add, float64.
    baseline : float or array of shape (targets,)
        Prediction of an image whose pixels all have the value `reference`: the sum of it
        and of all parts is the prediction.

    Raises
    ------
    ValueError
        If targets belonged to positions.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import DensePatchRidge
    >>> images = np.random.default_rng(0).normal(size=(6, 5, 5))
    >>> model = DensePatchRidge((3, 3)).fit(images, np.arange(6.0))
    >>> parts, baseline = pixel_contributions(model, images[:2])
    >>> np.allclose(parts.sum(axis=(1, 2)) + baseline, model.predict(images[:2]))
    True
    """
    _refuse_positions(model)
    level = number(reference, "reference")
    wide = _as_float64(images)
    names = list(model.coef_) if isinstance(model.coef_, dict) else [""]
    model.predict(wide)  # which checks modalities, sizes and values
    blocks = model.coef_ if names != [""] else {"": model.coef_}
    given = wide if names != [""] else {"": wide}
    found, baseline = {}, model.intercept_
    for name in names:
        space, (own, coef), leave = enter(images=given[name], coef_=blocks[name])
        weights = _footprint(space.to_host(coef), own.shape[1:], model.step)
        baseline = baseline + level * space.asarray(weights.sum(axis=tuple(range(1, weights.ndim))))
        parts = (own - level)[..., None] * space.asarray(np.moveaxis(weights, 0, -1).copy())
        flat = coef.ndim == len(model.patch_size)
        found[name] = leave(parts[..., 0] if flat else parts)
        if flat:
            baseline = baseline.reshape(-1)[0]
    return (found if names != [""] else found[""]), baseline


def spread_patches(
    parts: Any, patch_size: Sequence[int], step: int | Sequence[int], shape: Sequence[int]
) -> Any:
    r"""Divide what each patch adds among its pixels; the sum stays what it is.

    Parameters
    ----------
    parts : array of shape (..., \*grid)
        Contributions of patches, as from `patch_contributions` or `position_contributions`.
    patch_size, step : sequence of int; int or sequence of ints
        As of the model.
    shape : sequence of int
        Size of the image in pixels.

    Returns
    -------
    array of shape (..., \*shape), float64
        A map to lay over the image.

    Examples
    --------
    >>> import numpy as np
    >>> spread_patches(np.array([[4.0, 0.0]]), (2, 2), 1, (2, 3))
    array([[1., 1., 0.],
           [1., 1., 0.]])
    """
    space, (parts,), leave = enter(parts=parts)
    size, shape = tuple(patch_size), tuple(shape)
    steps = (step,) * len(size) if isinstance(step, int) else tuple(step)
    grid = tuple((length - p) // s + 1 for length, p, s in zip(shape, size, steps, strict=True))
    if tuple(parts.shape[-len(size) :]) != grid:
        raise ValueError(
            f"`parts` must end in the grid {grid} of patches {size}, step {steps}, in images of "
            f"{shape}, got shape {tuple(parts.shape)}."
        )
    found = parts.astype(np.float64)
    lead = found.ndim - len(size)
    for axis, (length, p, s) in enumerate(zip(shape, size, steps, strict=True)):
        places = (np.arange(grid[axis]) * s)[:, None] + np.arange(p)
        cover = np.zeros((grid[axis], length))
        cover[np.arange(grid[axis])[:, None], places] = 1 / p
        along = space.xp.moveaxis(found, lead + axis, -1) @ space.asarray(cover)
        found = space.xp.moveaxis(along, -1, lead + axis)
    return leave(space.xp.ascontiguousarray(found))


def _as_float64(images: Any) -> Any:
    if isinstance(images, dict):
        return {name: _as_float64(own) for name, own in images.items()}
    _, (own,), leave = enter(images=images)
    return leave(own.astype(np.float64))


def _refuse_positions(model: Any) -> None:
    check_is_fitted(model, "coef_")
    if model.by_position_:
        raise ValueError(
            "`model` must be fitted to targets of images; of positions, `predict_map` is already "
            "the score of each patch."
        )


def _footprint(coef: Any, shape: Sequence[int], step: Any) -> Any:
    r"""Return by what each pixel is multiplied, (targets, \*shape): filters at all positions."""
    from scipy.signal import fftconvolve

    size = coef.shape[-len(shape) :]
    steps = (step,) * len(shape) if isinstance(step, int) else tuple(step)
    starts = np.zeros([m - p + 1 for m, p in zip(shape, size, strict=True)])
    starts[tuple(slice(None, None, s) for s in steps)] = 1
    filters = np.asarray(coef, np.float64).reshape(-1, *size)
    found = np.stack([fftconvolve(starts, own) for own in filters])
    return found / starts.sum()
