"""Fisher vectors of dense gradient descriptors: features of whole images, learnt without labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from fastmm._check import integer, number
from fastmm._lazy import Cost
from fastmm._space import Space, telling_of_memory
from fastmm.features.descriptors import draw_descriptors, parts_of, principal_axes
from fastmm.features.gradients import (
    Descriptors,
    describe,
    descriptor_positions,
    measure_gradients,
)
from fastmm.features.image_transformer import ImageTransformer
from fastmm.features.mixture import Mixture, deviations, fit_mixture
from fastmm.features.room import check_descriptors
from fastmm.features.stacks import take_stack
from fastmm.streams.lazy_rows import LazyRows
from fastmm.streams.limits import check_limit

__all__ = ["FisherVectors"]


class FisherVectors(ImageTransformer):
    r"""Deviations of an image's gradient descriptors from a mixture of Gaussians.

    A descriptor holds the gradients around a place in 4 x 4 cells by orientation (dense
    SIFT, root-normalised); its principal components and its position are a row :math:`x_i`.
    With the weights :math:`w_k`, means :math:`\mu_k`, deviations :math:`\sigma_k` and
    posteriors :math:`\gamma_{ik}` of a mixture fitted to rows of all images, features are

    .. math::
        u_k = \frac{1}{N \sqrt{w_k}} \sum_i \gamma_{ik} \frac{x_i - \mu_k}{\sigma_k}, \qquad
        v_k = \frac{1}{N \sqrt{2 w_k}} \sum_i \gamma_{ik}
              \left(\frac{(x_i - \mu_k)^2}{\sigma_k^2} - 1\right),

    of which signed powers are taken, and the whole is brought to length 1.

    Parameters
    ----------
    cells : sequence of float, default (3, 4)
        Sizes of a descriptor's cells in pixels; descriptors of all sizes go into one
        mixture. Each looks at about 5 cells squared.
    n_gaussians : int, default 64
        Components of the mixture.
    n_components : int, default 48
        Principal components of descriptors to keep.
    step : int, default 4
        Distance between neighbouring descriptors in pixels.
    orientations : int, default 8
        Bins of the direction of gradients.
    position : float, default 2.0
        Weight of row and column, from -1 to 1 over the image, beside the principal
        components, whose mean deviation is 1. 0 leaves them out.
    contrast : float, default 0.01
        Share of the root mean square length of descriptors in training that is added to the
        length of each, so that noise in flat regions is not blown up.
    power : float, default 0.5
        Exponent of :math:`\operatorname{sign}(u) |u|^p`.
    mirror : bool, default False
        Whether the images mirrored left to right are learnt from as well, so that Fisher
        vectors of mirrored images are as apt as those of the images.
    n_descriptors : int, default 40_000
        Descriptors to learn from.
    rounds : int, default 8
        Rounds of k-means, and then of expectation-maximisation.
    seed : int, default 0
        Seed of all that is drawn, on the host, whatever the device.

    Attributes
    ----------
    center_, axes_ : float32 arrays of shape (d,) and (n_components, d)
        Mean and principal axes of descriptors, on the host, as all that is learnt.
    weights_, means_, variances_ : float32 arrays of shape (k,), (k, c) and (k, c)
        The mixture; rows are principal components, then row and column.
    gain_, floors_ : float and float32 array of shape (len(cells), channels)
        Factor of the images, and what is added to the lengths of descriptors.
    image_shape_ : tuple of int
        Shape of an image, channels first, if there are any.
    n_features_in_ : int
        Number of pixels of an image, of all channels.

    See Also
    --------
    fastmm.PatchDictionary : Pooled responses of patches to atoms.

    Notes
    -----
    For two spatial axes; descriptors of channels are normalised each and joined. Cells weigh
    pixels by triangles: all of a size come from two matrix products. Computed in float32, a few
    images at a time, within tens of megabytes. A constant image has a finite vector. [1]_

    References
    ----------
    .. [1] Sanchez J, Perronnin F, Mensink T, Verbeek J. Image classification with the
       Fisher vector: theory and practice. International Journal of Computer Vision
       2013;105(3):222-245. doi:10.1007/s11263-013-0636-x
    .. [2] Lowe DG. Distinctive image features from scale-invariant keypoints.
       International Journal of Computer Vision 2004;60(2):91-110.
       doi:10.1023/B:VISI.0000029664.99615.94
    .. [3] Arandjelovic R, Zisserman A. Three things everyone should know to improve object
       retrieval. CVPR 2012:2911-2918. doi:10.1109/CVPR.2012.6248018

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import FisherVectors
    >>> images = np.random.default_rng(0).normal(size=(9, 32, 32)).astype("float32")
    >>> FisherVectors(n_gaussians=4, n_components=10).fit_transform(images).shape
    (9, 96)
    """

    _cost = Cost(size=24 << 20, device_size=3 << 28)

    def __init__(
        self,
        cells: Sequence[float] = (3, 4),
        *,
        n_gaussians: int = 64,
        n_components: int = 48,
        step: int = 4,
        orientations: int = 8,
        position: float = 2.0,
        contrast: float = 0.01,
        power: float = 0.5,
        mirror: bool = False,
        n_descriptors: int = 40_000,
        rounds: int = 8,
        seed: int = 0,
    ) -> None:
        self.cells = cells
        self.n_gaussians = n_gaussians
        self.n_components = n_components
        self.step = step
        self.orientations = orientations
        self.position = position
        self.contrast = contrast
        self.power = power
        self.mirror = mirror
        self.n_descriptors = n_descriptors
        self.rounds = rounds
        self.seed = seed

    def fit(
        self, images: Any, y: Any = None, *, memory_limit: int | str | None = None
    ) -> FisherVectors:
        """Learn principal axes and the mixture from descriptors drawn at random.

        Parameters
        ----------
        images : array of shape (n, height, width) or (n, channels, height, width)
            Training images. NumPy, CuPy, or any DLPack array.
        y : None
            Ignored.
        memory_limit : int or str, optional
            Bytes that the fit may take on the host, such as "2GB": memory-mapped images, zarr's
            or anything of h5py's kind are then read some at a time, to the same bits.

        Returns
        -------
        FisherVectors
            The fitted transformer.

        Raises
        ------
        ValueError
            If a parameter is out of its range, there are fewer descriptors than Gaussians,
            an image holds NaN or infinity, or the limit is too low.
        TypeError
            If `images` is no array of real numbers.
        """
        limit = check_limit(memory_limit)
        space, stack, shape, _ = take_stack(self, images, self._spatial_axes(), limit=limit)
        count, rounds = integer(self.n_gaussians, "n_gaussians"), integer(self.rounds, "rounds")
        number(self.power, "power", above=0)
        rng = np.random.default_rng(integer(self.seed, "seed", minimum=0))
        share = number(self.contrast, "contrast", minimum=0)
        most = integer(self.n_descriptors, "n_descriptors")
        kept = integer(self.n_components, "n_components")
        floors = np.zeros((len(self._cells()), stack.shape[1]), np.float32)
        made, positions = self._descriptors(1.0, floors), self._places(tuple(stack.shape[2:]))
        every = (1 + bool(self.mirror)) * len(stack) * len(positions) * len(self._cells())
        several = min(most + 2 * len(self._cells()), every), count, kept
        check_descriptors(limit, stack, made, len(positions), *several)
        with telling_of_memory(space):
            made = made._replace(gain=measure_gradients(space, stack))
            sides = (stack, _mirrored(stack)) if self.mirror else (stack,)
            drawn = draw_descriptors(space, sides, made, positions, most, share, rng)
        rows, places, floors = drawn
        if len(rows) < count:
            raise ValueError(
                f"`n_gaussians` must be at most the number of descriptors to learn from, got "
                f"{count} for {len(rows)} descriptors."
            )
        center = rows.mean(0)
        axes = principal_axes(rows, center, kept)
        rows -= center
        rows = np.concatenate([rows @ axes.T, places], axis=1)
        self.weights_, self.means_, self.variances_ = fit_mixture(rows, count, rounds, rng)
        self.center_, self.axes_, self.gain_, self.floors_ = center, axes, made.gain, floors
        self.image_shape_, self.n_features_in_ = shape[1:], math.prod(shape[1:])
        return self

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the name of each feature, such as "mean 12 of Gaussian 3".

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        array of shape (features,), object
            Means, then variances, by Gaussian, then by component; the last two components are
            row and column, if `position` is not 0.
        """
        check_is_fitted(self)
        count, size = self.means_.shape
        return np.array(
            [
                f"{what} {c} of Gaussian {k}"
                for what in ("mean", "variance")
                for k in range(count)
                for c in range(size)
            ],
            dtype=object,
        )

    def _spatial_axes(self) -> int:
        return 2

    def _cells(self) -> tuple[float, ...]:
        given: Any = self.cells if isinstance(self.cells, Sequence) else (self.cells,)
        if not given or isinstance(given, str):
            raise ValueError(f"`cells` must hold at least one size in pixels, got {given!r}.")
        return tuple(number(cell, f"cells[{i}]", minimum=1) for i, cell in enumerate(given))

    def _descriptors(self, gain: float, floors: Any) -> Descriptors:
        bins = integer(self.orientations, "orientations", minimum=2)
        floors = np.asarray(floors, np.float32)
        return Descriptors(self._cells(), integer(self.step, "step"), bins, gain, floors)

    def _places(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the positions of descriptors, as far as they count."""
        weight = number(self.position, "position", minimum=0)
        positions = descriptor_positions(shape, self.step)
        return positions * np.float32(weight) if weight else positions[:, :0]

    def _encode(self, space: Space, stack: Any) -> Any:
        xp, made = space.xp, self._descriptors(self.gain_, self.floors_)
        power = np.float32(number(self.power, "power", above=0))
        center, axes = (space.asarray(np.asarray(part)) for part in (self.center_, self.axes_))
        learnt = (self.weights_, self.means_, self.variances_)
        mixture = Mixture(*(space.asarray(np.asarray(part)) for part in learnt))
        places = space.asarray(self._places(tuple(stack.shape[2:])))
        out = xp.empty((len(stack), 2 * self.means_.size), np.float32)
        for begin, part in parts_of(stack, space):
            beside = xp.broadcast_to(places, (len(part), *places.shape))
            rows = [
                xp.concatenate([(values - center) @ axes.T, beside], axis=-1)
                for values in describe(space, part, made)
            ]
            found = deviations(xp, xp.concatenate(rows, axis=1), mixture)
            found = found.reshape(len(part), -1)
            found = xp.sign(found) * xp.abs(found) ** power
            length = xp.sqrt((found * found).sum(1, keepdims=True))
            out[begin : begin + len(part)] = found / xp.where(length > 0, length, 1)
        return out


def _mirrored(stack: Any) -> Any:
    """Return images mirrored left to right, without a copy."""
    if isinstance(stack, LazyRows):
        return stack.turned(stack.shape, lambda images: images[..., ::-1])
    return stack[..., ::-1]
