"""Cut images and volumes into patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmm._check import integer, real, sizes
from fastmm._interp import canonical
from fastmm._space import enter

__all__ = ["extract_patches"]


def extract_patches(
    images: Any, patch_size: Sequence[int], *, step: int | Sequence[int] = 1
) -> Any:
    r"""Cut every image into all its patches, `step` pixels apart.

    Patch :math:`g` of an axis holds the pixels :math:`g s, \dots, g s + p - 1` for patch
    size :math:`p` and step :math:`s`; an axis of :math:`m` pixels has
    :math:`\lfloor (m - p) / s \rfloor + 1` of them, and pixels that fill no patch are left out.

    Parameters
    ----------
    images : array of shape (..., \*spatial)
        One image, a stack, or anything above. NumPy, CuPy, or any DLPack array.
    patch_size : sequence of 1 to 3 ints
        Size of a patch in pixels, (height, width) for images. Its length says how many
        trailing axes of `images` are spatial; all axes before are batch axes.
    step : int or sequence of ints, default 1
        Distance between neighbouring patches in pixels, for all axes or for each.

    Returns
    -------
    array of shape (..., \*grid, \*patch_size)
        A copy with the dtype of `images`, on the device and of the library it came from.

    Raises
    ------
    ValueError
        If a patch is larger than the image, or `step` is not positive.
    TypeError
        If `images` is no array of real numbers.

    Notes
    -----
    Equals ``sklearn.feature_extraction.image.extract_patches_2d(image, patch_size)`` for
    one image and step 1, after ``.reshape(-1, *patch_size)``. The result is about
    ``prod(patch_size) / prod(step)`` times as large as the input.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import extract_patches
    >>> extract_patches(np.arange(6).reshape(2, 3), (2, 2)).shape
    (1, 2, 2, 2)
    """
    size = sizes(patch_size, "patch_size")
    spatial = len(size)
    if isinstance(step, Sequence):
        steps = sizes(step, "step", lengths=(spatial,))
    else:
        steps = (integer(step, "step"),) * spatial
    space, (images,), leave = enter(images=images)
    real(images, "images")
    shape = tuple(images.shape[-spatial:])
    if images.ndim < spatial or any(p > m for p, m in zip(size, shape, strict=True)):
        raise ValueError(
            f"`patch_size` must fit into the images, got patches of {size} "
            f"for `images` of shape {tuple(images.shape)}."
        )
    grid = tuple((m - p) // s + 1 for m, p, s in zip(shape, size, steps, strict=True))
    steps = tuple(min(s, m) for s, m in zip(steps, shape, strict=True))  # more is the same
    batch, ones = tuple(images.shape[:-spatial]), (1,) * (3 - spatial)
    src = canonical(images, spatial)
    out = space.xp.empty((src.shape[0], *ones, *grid, *ones, *size), images.dtype)
    from fastmm.kernels.patches import extract

    bits = np.dtype(f"u{images.dtype.itemsize}")
    step_table = space.asarray(np.array(ones + steps, np.int64))
    space.launch(extract, out.size, src.view(bits), out.view(bits), step_table)
    return leave(out.reshape((*batch, *grid, *size)))
