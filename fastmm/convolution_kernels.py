"""Kernels of infinitely wide convolutional networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.grams.convolution import convolved, network
from fastmm.grams.images import check_images, take_images
from fastmm.grams.tile_work import convolution_work
from fastmm.grams.tiled import Tiling, tiled

__all__ = ["convolutional_kernel"]


def _check(X: Any, Y: Any) -> None:
    check_images(X, Y)
    for name, images in (("X", X), ("Y", Y)):
        if images is not None and (images.ndim != 3 or images.shape[1:] != X.shape[1:]):
            raise ValueError(
                f"`{name}` must have shape (images, height, width), of one size, got "
                f"{tuple(images.shape)}."
            )


@tiled(Tiling(convolution_work, _check, images=True))
def convolutional_kernel(
    X: Any,
    Y: Any = None,
    *,
    filter_size: int = 3,
    depth: int = 3,
    pool: int = 1,
    tangent: bool = False,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Compute the kernel of an infinitely wide convolutional ReLU network with pooling.

    Between place p of image a and place q of image b, with F the offsets of a filter and 0
    beyond the border,

    .. math::

        S^0_{pq} &= a_p b_q, \qquad
        A^h_{pq} = \frac1{|F|} \sum_{f \in F} S^{h-1}_{p+f, q+f}, \\
        S^h_{pq} &= \tfrac1\pi \sqrt{A^h_{pp}(a, a) A^h_{qq}(b, b)}\,
            (\sin\theta + (\pi - \theta) \cos\theta), \\
        T^h_{pq} &= \frac{\pi - \theta}{\pi} \Bigl(A^h_{pq} +
            \frac1{|F|} \sum_f T^{h-1}_{p+f, q+f}\Bigr), \qquad T^0 = 0,

    with the angle theta of :math:`A^h_{pq}`. With L = `depth`, the result is the mean of
    :math:`S^L_{pq}`, or :math:`S^L_{pq} + T^L_{pq}` with `tangent`, over all p and q at most
    `pool` - 1 pixels apart, weighted by the product of :math:`1 - |p_i - q_i| / pool`.

    Parameters
    ----------
    X : array of shape (n, height, width)
        Images. NumPy, CuPy, or any DLPack array;
        memory-mapped, or on disk behind slices, such as those of zarr and h5py.
    Y : array of shape (m, height, width), optional
        Images to compare with, on the same device. Default: `X`.
    filter_size : int, default 3
        Height and width of the filters in pixels, odd.
    depth : int, default 3
        Number of convolutional layers, at least 1.
    pool : int, default 1
        Side in pixels of the windows whose mean is taken after the last layer, one at each
        place; 1 is none.
    tangent : bool, default False
        Whether all layers are trained (the neural tangent kernel), or only the last (the
        Gaussian process of the network).
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": the
        result is made in tiles that fit. It counts, unless `out` is given.
    out : array, optional
        Where the result goes: a NumPy, memory-mapped or zarr array of its shape and dtype; or
        one of CuPy's, to which images on disk go up in parts.

    Returns
    -------
    array of shape (n, m)
        float32, or float64 where an input is float64; where `X` lives.

    Raises
    ------
    ValueError
        If the shapes do not fit, a value is not finite, a parameter is out of its range, or
        the result overflows.
    TypeError
        If the arrays live on different devices.

    Notes
    -----
    neural-tangents' ``Conv(C, (s, s), W_std=1, padding="SAME"), Relu()``, then ``depth - 1``
    times ``Conv(..., W_std=sqrt(2)), Relu()``, average pooling, ``Flatten(),
    Dense(1, W_std=sqrt(2))``, up to a constant factor.

    Cost: about 70 operations, or 6 ns of one core, for each pair of images, pixel and layer
    (10 ns with `tangent`), times :math:`(2\,pool - 1)^2`; half of the pairs where `Y` is None.
    That makes 23 s on two cores for 746 images 96 x 96 with three layers, 4 minutes with
    `pool` 2. Global average pooling would compare all places with all, h w times as much as
    none: two and a half days. It is not offered; a large `pool` comes near.
    Runs in float64 whatever the inputs. Exact to 1e-12 of the largest value; with `tangent`
    to 1e-7 where images are nearly the same, since an angle has half of the digits of its
    cosine.

    References
    ----------
    .. [1] Novak, R., et al. (2019). Bayesian deep convolutional networks with many channels
       are Gaussian processes. ICLR. https://doi.org/10.48550/arXiv.1810.05148
    .. [2] Arora, S., Du, S. S., Hu, W., Li, Z., Salakhutdinov, R., & Wang, R. (2019). On exact
       computation with an infinitely wide neural net. NeurIPS 32.
       https://doi.org/10.48550/arXiv.1904.11955

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import convolutional_kernel
    >>> images = np.random.default_rng(0).normal(size=(3, 8, 8))
    >>> convolutional_kernel(images, depth=2, pool=2).shape
    (3, 3)
    """
    net = network(filter_size, depth, pool, tangent)
    space, X, Y, leave = take_images(X, Y)
    _check(X, Y)
    gram = convolved(X, Y, net, space)
    largest = float(np.finfo(X.dtype).max)
    if not float(abs(gram).max()) <= largest:
        raise ValueError(f"The kernel overflows {X.dtype}; rescale the images.")
    return leave(gram.astype(X.dtype, copy=False))
