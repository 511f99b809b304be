"""Features of images by a dictionary of patches, learnt without labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastmm._check import integer, number, one_of, sizes
from fastmm._lazy import Cost
from fastmm._space import Space, telling_of_memory
from fastmm.features.atoms import learn_atoms
from fastmm.features.contrast import draw_places, measure_contrast, sample_rows
from fastmm.features.image_transformer import ImageTransformer
from fastmm.features.layers import (
    SIGNS,
    Responses,
    check_below,
    layout_of,
    name_features,
    pooled_responses,
)
from fastmm.features.room import check_dictionary
from fastmm.features.stacks import take_stack
from fastmm.streams.limits import check_limit

__all__ = ["PatchDictionary"]


class PatchDictionary(ImageTransformer):
    r"""Pooled responses of all patches of an image to a learnt dictionary.

    A patch :math:`x` of :math:`K` pixels is normalised to :math:`z = (x - \bar x) /
    \sqrt{\sigma_x^2 + c}`, whitened by :math:`W`, compared with atoms :math:`d_k` of length
    1, and its responses thresholded; features are their means over the patches of a cell:

    .. math::
        r_k = d_k^\top W z, \qquad
        f^+_{k} = \operatorname{mean} \max(r_k - t, 0), \qquad
        f^-_{k} = \operatorname{mean} \max(-r_k - t, 0)

    Parameters
    ----------
    patch_size : sequence of 1 to 3 ints
        Size of a patch in pixels, (height, width) for images; its length says how many
        axes are spatial.
    n_atoms : int, default 1024
        Number of atoms.
    pool : int, sequence of ints, or sequence of such sequences, default 6
        Cells along each spatial axis, over each of which responses are averaged. Several
        grids, such as ``[(6, 6), (2, 2), (1, 1)]``, form a pyramid in one pass.
    step : int or sequence of ints, default 1
        Distance between neighbouring patches in pixels.
    atoms : {"kmeans", "random"}, default "kmeans"
        Directions that explain the whitened patches best (gain-shape vector quantisation,
        for both signs), or patches drawn at random.
    threshold : float, default 0.25
        Soft threshold :math:`t` of the responses, not negative; a whitened pixel has about
        variance 1.
    sign : {"both", "positive", "absolute"}, default "both"
        Which features: :math:`f^+` and :math:`f^-`, :math:`f^+` alone, or their sum.
    whitening : float or None, default 0.1
        Added to the variances along the principal axes of the normalised patches, of which
        the mean is about 1, before they are made equal (ZCA). None: no whitening.
    contrast : float, default 0.01
        Share of the mean variance of patches in training that is added to that of each
        patch (:math:`c`), so that noise in flat regions is not blown up.
    per_channel : bool or None, default None
        Whether each channel of a patch has a mean and variance of its own, as channels of
        different units need. None: for channels of images, but not for those of `below`.
    n_components : int or None, default None
        Principal axes of the whitened patches to keep, those of the largest variances; None
        keeps all. It makes large patches cheap.
    dilation : int, default 1
        Distance between neighbouring pixels of a patch.
    overlap : int, default 1
        Neighbouring cells along each axis whose means are averaged again, so that pools
        overlap: there are `pool` - `overlap` + 1 along an axis. Only for a single grid.
    below : PatchDictionary, optional
        The layer below, with a single grid: patches are then those of its pooled responses,
        one channel for each sign and atom, instead of the pixels of images. It is fitted
        first, as a clone.
    n_patches : int, default 100_000
        Patches to learn from, drawn among all.
    rounds : int, default 10
        Rounds of "kmeans".
    seed : int, default 0
        Seed of all that is drawn, on the host, whatever the device.

    Attributes
    ----------
    atoms_ : float32 array of shape (n_atoms, axes)
        Atoms :math:`d_k`, in terms of the principal axes; on the host, as all that is learnt.
    axes_ : float32 array of shape (axes, K) or None
        Principal axes of normalised patches, divided by their deviations.
    filters_ : float32 array of shape (n_atoms, channels, \*patch_size)
        :math:`W^\top d_k`: what a normalised patch is compared with.
    below_ : PatchDictionary or None
        The layer below, fitted.
    gain_ : float
        Power of two by which images are multiplied, so that a patch has about variance 1.
    floors_ : float32 array of shape (channels,) or (1,)
        :math:`c`, for images times `gain_`.
    image_shape_ : tuple of int
        Shape of an image, channels first, if there are any.
    n_features_in_ : int
        Number of pixels of an image, of all channels.

    See Also
    --------
    fastmm.patch_statistics : Moments, percentiles and entropy of patches.
    fastmm.LSSVC : A kernel machine for such features.

    Notes
    -----
    Images (n, \*spatial) are grey; (n, channels, \*spatial) have channels, and patches then
    span all of them. The mean of the normalised patches over the training set is not taken
    off, since that of each is 0: a patch without contrast, and so a constant image, has
    features 0.

    Costs 2 K n_atoms flops a patch: 0.6 GFLOP an image of 96 x 96 with 6 x 6 patches and
    1,024 atoms. Patches are made for a few images at a time, and responses never leave
    registers: memory is that of the result and a few megabytes (0.1 GB on a GPU). All is
    float32, differences of pixels first, whatever the mean of the images: equal to float64
    on explicit patches to 1e-5. The same seed and images give the same atoms, and an image
    the same features whatever others are transformed with it.

    References
    ----------
    .. [1] Coates A, Lee H, Ng AY. An analysis of single-layer networks in unsupervised
       feature learning. AISTATS 2011, PMLR 15:215-223.
    .. [2] Coates A, Ng AY. The importance of encoding versus training with sparse coding
       and vector quantization. ICML 2011:921-928.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import PatchDictionary
    >>> images = np.random.default_rng(0).normal(size=(20, 16, 16)).astype("float32")
    >>> PatchDictionary((4, 4), n_atoms=8, pool=(2, 2)).fit_transform(images).shape
    (20, 64)
    """

    _cost = Cost(outputs=2, size=12 << 20, device_size=3 << 27)

    def __init__(
        self,
        patch_size: Sequence[int],
        n_atoms: int = 1024,
        *,
        pool: Any = 6,
        step: int | Sequence[int] = 1,
        atoms: str = "kmeans",
        threshold: float = 0.25,
        sign: str = "both",
        whitening: float | None = 0.1,
        contrast: float = 0.01,
        per_channel: bool | None = None,
        n_components: int | None = None,
        dilation: int = 1,
        overlap: int = 1,
        below: PatchDictionary | None = None,
        n_patches: int = 100_000,
        rounds: int = 10,
        seed: int = 0,
    ) -> None:
        self.patch_size = patch_size
        self.n_atoms = n_atoms
        self.pool = pool
        self.step = step
        self.atoms = atoms
        self.threshold = threshold
        self.sign = sign
        self.whitening = whitening
        self.contrast = contrast
        self.per_channel = per_channel
        self.n_components = n_components
        self.dilation = dilation
        self.overlap = overlap
        self.below = below
        self.n_patches = n_patches
        self.rounds = rounds
        self.seed = seed

    def fit(
        self, images: Any, y: Any = None, *, memory_limit: int | str | None = None
    ) -> PatchDictionary:
        r"""Learn contrast, whitening and atoms from patches drawn at random.

        Parameters
        ----------
        images : array of shape (n, \*spatial) or (n, channels, \*spatial)
            Training images. NumPy, CuPy, or any DLPack array.
        y : None
            Ignored.
        memory_limit : int or str, optional
            Bytes that the fit may take on the host, such as "2GB": memory-mapped images, zarr's
            or anything of h5py's kind are then read some at a time, to the same bits.

        Returns
        -------
        PatchDictionary
            The fitted transformer.

        Raises
        ------
        ValueError
            If a parameter is out of its range, a patch does not fit, there are fewer
            patches than atoms, an image holds NaN or infinity, or the limit is too low.
        TypeError
            If `images` is no array of real numbers.
        """
        limit = check_limit(memory_limit)
        space, stack, shape, _ = take_stack(self, images, self._spatial_axes(), limit=limit)
        count, rounds = self._check()
        rng = np.random.default_rng(integer(self.seed, "seed", minimum=0))
        below = None
        if self.below is not None:
            below = check_below(self.below, len(self.patch_size), PatchDictionary)
        pictures = stack if below is None else Responses(below, space, stack)
        patches, _ = layout_of(self, pictures.shape)
        most = integer(self.n_patches, "n_patches")
        drawn = min(most, len(stack) * math.prod(patches.counts))
        pixels = pictures.shape[1] * math.prod(patches.size)
        check_dictionary(limit, pictures, pixels, drawn, count, len(patches.size))
        if below is not None:
            stack = Responses(below.fit(images, memory_limit=limit), space, stack)
        with telling_of_memory(space):
            places = draw_places(len(stack), patches.counts, most, rng)
            if len(places) < count:
                raise ValueError(
                    f"`n_atoms` must be at most the number of patches to learn from, got {count} "
                    f"for {len(places)} patches."
                )
            apart = self.below is None if self.per_channel is None else self.per_channel
            parts = stack.shape[1] if apart else 1
            share = number(self.contrast, "contrast", minimum=0)
            contrast, found = measure_contrast(space, stack, patches, places, share, parts)
            rows = sample_rows(space, found, contrast)
            kept = self.n_components
            kept = kept if kept is None else integer(kept, "n_components")
            learnt = learn_atoms(space, rows, count, rng, self.whitening, kept, rounds)
        self.below_ = below
        self.atoms_, self.axes_ = learnt
        self.image_shape_ = shape[1:]
        self.n_features_in_ = math.prod(self.image_shape_)
        self.gain_, self.floors_ = contrast
        self.patch_shape_ = (stack.shape[1], *patches.size)
        return self

    def _check(self) -> tuple[int, int]:
        """Check what is not looked at before; return the number of atoms, rounds to learn them."""
        number(self.threshold, "threshold", minimum=0)
        one_of(self.sign, "sign", tuple(SIGNS))
        one_of(self.atoms, "atoms", ("kmeans", "random"))
        rounds = integer(self.rounds, "rounds", minimum=0)
        return integer(self.n_atoms, "n_atoms"), 0 if self.atoms == "random" else rounds

    @property
    def filters_(self) -> np.ndarray[Any, Any]:
        """What a normalised patch is compared with: atoms, the whitening in them."""
        rows = self.atoms_
        if self.axes_ is not None:
            rows = (rows.astype(np.float64) @ self.axes_).astype(np.float32)
        return rows.reshape(len(rows), *self.patch_shape_)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray[Any, Any]:
        """Return the name of each feature, such as "6x6[0,5] atom 17 +".

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        array of shape (features,), object
            Grid and cell, atom, and sign ("+", "-" or "" for the sum): in the order of
            features, by cells, then signs, then atoms.
        """
        check_is_fitted(self)
        return np.array(name_features(self), dtype=object)

    def _encode(self, space: Space, stack: Any) -> Any:
        return pooled_responses(self, space, stack)

    def _spatial_axes(self) -> int:
        return len(sizes(self.patch_size, "patch_size"))
