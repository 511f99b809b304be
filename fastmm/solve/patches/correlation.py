r"""Correlations of images with filters, and of images with maps, by Fourier transforms.

A filter of the size of a patch gives a map over its positions, and back:

.. math:: z(\mathrm{pos}) = \sum_i x(\mathrm{pos} + i)\, f(i), \qquad
    f(i) = \sum_{\mathrm{pos}} x(\mathrm{pos} + i)\, z(\mathrm{pos})

No index passes the image's last, so that transforms of the image's own size do not wrap.
"""

from __future__ import annotations

from typing import Any

from fastmm._space import Space
from fastmm.image.grid import PatchGrid

__all__ = ["Correlation"]


class Correlation:
    r"""Correlations with images (..., modalities, \*spatial) of one size, in float64.

    `images_at_once` says how many may be transformed at a time for a work space of `work` bytes.
    """

    def __init__(
        self, shape: tuple[int, ...], grid: PatchGrid, space: Space, work: int = 1 << 27
    ) -> None:
        from scipy.fft import next_fast_len

        self.grid, self.space, self.work = grid, space, work
        self.axes = tuple(range(-len(shape), 0))
        self.sizes = tuple(next_fast_len(n, real=True) for n in shape)
        steps = zip(grid.steps, grid.counts, strict=True)
        self._places = (..., *(slice(0, s * (g - 1) + 1, s) for s, g in steps))
        self._patch = (..., *(slice(0, p) for p in grid.size))

    def images_at_once(self, channels: int) -> int:
        """Return how many images with so many spectra each fit into the work space."""
        size = 8
        for n in self.sizes:
            size *= n
        return max(1, self.work // (size * channels))

    def spectra(self, images: Any) -> Any:
        """Transform images or filters."""
        if self.space.kind == "cuda":
            return self.space.xp.fft.rfftn(images, s=self.sizes, axes=self.axes)
        from scipy.fft import rfftn

        return rfftn(images, s=self.sizes, axes=self.axes, workers=-1)

    def maps(self, images: Any, filters: Any) -> Any:
        r"""Return maps (..., \*grid) from spectra of images and filters (..., m, \*s)."""
        every = (slice(None),) * len(self.sizes)
        total = images[(..., 0, *every)] * filters[(..., 0, *every)].conj()
        for a in range(1, images.shape[-1 - len(self.sizes)]):
            total += images[(..., a, *every)] * filters[(..., a, *every)].conj()
        return self._inverse(total)[self._places]

    def filters(self, images: Any, maps: Any, total: int | None = None) -> Any:
        r"""Return filters (..., m, \*patch_size) from spectra (..., m, \*s) and maps.

        The maps broadcast with the images less their axis m. With `total`, an axis of the
        result, counted before the transform, is summed over.
        """
        xp, rank = self.space.xp, len(self.sizes)
        spread = xp.zeros((*maps.shape[:-rank], *self.sizes))
        spread[self._places] = maps
        spectra = self.spectra(spread)
        product = images * xp.expand_dims(spectra, -1 - rank).conj()
        if total is not None:
            product = product.sum(axis=total)
        return self._inverse(product)[self._patch]

    def _inverse(self, spectra: Any) -> Any:
        if self.space.kind == "cuda":
            return self.space.xp.fft.irfftn(spectra, s=self.sizes, axes=self.axes)
        from scipy.fft import irfftn

        return irfftn(spectra, s=self.sizes, axes=self.axes, workers=-1)
