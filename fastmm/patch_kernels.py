"""Kernels between sets of images that compare their patches, place by place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from fastmm._check import one_of
from fastmm._interp import canonical
from fastmm._space import Space
from fastmm.grams.images import check_images, take_images
from fastmm.grams.matrices import is_constant, scaled, width_of
from fastmm.grams.patches import PatchPairs, linear_patches, patch_pairs, rbf_patches
from fastmm.grams.tile_pairs import modalities
from fastmm.grams.tile_work import patch_work
from fastmm.grams.tiled import Tiling, tiled

__all__ = ["pairs_of", "patch_gram", "patch_kernel"]


def _of(value: Any, name: str | None) -> Any:
    if not isinstance(value, Mapping):
        return value
    if name not in value:
        raise ValueError(f"There is no value for the modality {name!r}, only for {sorted(value)}.")
    return value[name]


def _width(
    options: Mapping[str, Any], name: str | None, shape: tuple[int, ...], variance: Any
) -> Any:
    """Return the width of a modality, of options that were checked."""
    gamma = _of(options["gamma"], name)
    if options["kernel"] == "linear" or not isinstance(gamma, str):
        return gamma
    return scaled(prod(_of(options["patch_size"], name)), variance(), "rbf")


@tiled(Tiling(patch_work, check_images, _width, images=True))
def patch_kernel(
    X: Any,
    Y: Any = None,
    *,
    patch_size: Sequence[int] | Mapping[str, Sequence[int]],
    kernel: str = "rbf",
    gamma: Any = "scale",
    step: int | Sequence[int] = 1,
    shifts: int | Sequence[int] = 0,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Compare two sets of images by their patches, without making the patches.

    With :math:`a_p` the patch of image a at position p, and s = `shifts`,

    .. math::

        K(a, b) = \frac1W \sum_{p, q} w(p - q)\, k(a_p, b_q), \quad
        w(d) = \prod_i \max\left(0, 1 - \frac{|d_i|}{s_i + 1}\right),
        \quad W = \sum_{p, q} w(p - q),

    the mean over positions of k where s = 0. k is the inner product, or
    :math:`\exp(-\gamma \lVert a_p - b_q \rVert^2)`.

    Parameters
    ----------
    X : array of shape (n, \*spatial), or dict of them
        Images. NumPy, CuPy, or any DLPack array; memory-mapped, or on disk behind slices, such
        as those of zarr and h5py. Of a dict (modality: images of the same n
        examinations) the kernels are summed.
    Y : array of shape (m, \*spatial), or dict, optional
        Images to compare with, of the same size and on the same device. Default: `X`.
    patch_size : sequence of 1 to 3 ints, or dict of them
        Size of a patch in pixels, (height, width) for images. Its length is the number of
        spatial axes. Channels that are to be one patch are such an axis, too: images
        (n, 3, h, w) and patches (3, 8, 8).
    kernel : {"rbf", "linear"}, default "rbf"
        The kernel k of two patches.
    gamma : float, "scale" or dict of them, default "scale"
        Inverse squared width of "rbf", positive. "scale" is 1 / (pixels of a patch *
        ``X.var()``), 1 where `X` is constant.
    step : int or sequence of ints, default 1
        Distance between neighbouring positions in pixels, for all axes or for each.
    shifts : int or sequence of ints, default 0
        How many steps apart two positions may be and still be compared, for all axes or for
        each: tolerance to structures that lie not quite at the same place.
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": the
        result is made in tiles that fit. It counts, unless `out` is given.
    out : array, optional
        Where the result goes: a NumPy, memory-mapped or zarr array of its shape and dtype; or
        one of CuPy's, to which images on disk go up in parts.

    Returns
    -------
    array of shape (n, m)
        For "rbf" without shifts values in [0, 1], 1 on the diagonal if `Y` is None. float32,
        or float64 where an input is float64; where `X` lives.

    Raises
    ------
    ValueError
        If shapes do not fit, a patch is larger than the images, a value is not finite, or a
        parameter is out of its range.
    TypeError
        If the arrays live on different devices, or one of `X` and `Y` is a dict.

    See Also
    --------
    fastmm.extract_patches : The patches themselves.
    fastmm.rbf_kernel : The kernel of whole images, as rows.

    Notes
    -----
    "linear" is one matrix product, 2 n m h w flops: pixels weighted by the number of patches
    over them. "rbf" takes n m h w differences and box sums, about 7 operations a pixel whatever
    the patch size, and an exponential for each position, times the number of displacements,
    :math:`\prod_i (2 s_i + 1)`; half of it where `Y` is None. Memory: a copy of the images
    beside the result. Boxes are sums of squares alone, nothing is taken off: float32 is exact
    to about 1e-6 of the largest value for any mean, and whatever lies elsewhere in the images.

    The result is positive semidefinite. A flat window of displacements would not be: its
    Fourier transform has negative values. The triangle w is a flat window of s + 1 positions
    with itself, so that K is the inner product of the patches' features after pooling
    over all such windows.

    Equals ``rbf_kernel`` of patches from ``extract_patches``, averaged over positions, to
    1e-6 (float32) and 1e-13 (float64).

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import patch_kernel
    >>> images = np.zeros((2, 4, 4))
    >>> images[1, 0, 0] = 1.0
    >>> patch_kernel(images, patch_size=(2, 2), gamma=1.0).round(3)
    array([[1.  , 0.93],
           [0.93, 1.  ]])
    """
    one_of(kernel, "kernel", ("rbf", "linear"))
    if not isinstance(X, Mapping) and not isinstance(Y, Mapping):
        space, X, Y, leave = take_images(X, Y)
        pairs = pairs_of(X, Y, patch_size, step, shifts)
        width = None if kernel == "linear" else _own_width(gamma, X, pairs)
        return leave(patch_gram(X, Y, width, pairs, space))
    total, leave = None, None
    for name, left, right in modalities(X, Y):
        space, left, right, way_out = take_images(left, right, name)
        pairs = pairs_of(left, right, _of(patch_size, name), step, shifts)
        width = None if kernel == "linear" else _own_width(_of(gamma, name), left, pairs)
        gram = patch_gram(left, right, width, pairs, space)
        if total is not None and gram.shape != total.shape:
            raise ValueError(
                f"All modalities must have as many images, got {tuple(gram.shape)} for "
                f"{name!r} after {tuple(total.shape)}."
            )
        total, leave = gram if total is None else total + gram, leave or way_out
    assert leave is not None
    return leave(total)


def patch_gram(X: Any, Y: Any, gamma: float | None, pairs: PatchPairs, space: Space) -> Any:
    """Return the Gram matrix of checked images (n, *spatial); linear where `gamma` is None."""
    spatial = X.ndim - 1
    X = canonical(X, spatial)
    Y = None if Y is None else canonical(Y, spatial)
    if gamma is None:
        return linear_patches(X, Y, pairs, space)
    return rbf_patches(X, Y, gamma, pairs, space)


def pairs_of(X: Any, Y: Any, patch_size: Any, step: Any, shifts: Any) -> PatchPairs:
    """Check how the patches of checked images are to be compared."""
    pairs = patch_pairs(tuple(X.shape), patch_size, step, shifts)
    spatial = len(tuple(patch_size))
    if X.ndim != spatial + 1:
        raise ValueError(
            f"`X` must have shape (n, {', '.join('zyx'[3 - spatial :])}) for a `patch_size` of "
            f"{spatial}, got {tuple(X.shape)}."
        )
    if Y is not None and Y.shape[1:] != X.shape[1:]:
        raise ValueError(
            "The images of `X` and `Y` must have the same size, got "
            f"{tuple(X.shape[1:])} and {tuple(Y.shape[1:])}."
        )
    return pairs


def _own_width(gamma: Any, X: Any, pairs: PatchPairs) -> float:
    if isinstance(gamma, str) and gamma == "scale":
        variance = 0.0 if is_constant(X) else float(X.var(dtype=np.float64))
        return scaled(pairs.pixels, variance, "rbf")
    return width_of(gamma, X)
