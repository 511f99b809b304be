"""A mask beside images: the part that belongs to a part of them."""

from __future__ import annotations

from typing import Any

from fastmm.streams.sources import Region, open_source

__all__ = ["Mask"]


class Mask:
    """A mask that broadcasts to images of `shape`, read as they are.

    Parameters
    ----------
    mask : array, memory-mapped array or chunked store
        What a call was given.
    shape : tuple of int
        Of the images.

    Raises
    ------
    ValueError
        If it does not broadcast.

    Examples
    --------
    >>> import numpy as np
    >>> Mask(np.ones((3, 1, 4)), (3, 2, 4)).read((slice(1, 3),)).shape
    (2, 1, 4)
    """

    def __init__(self, mask: Any, shape: tuple[int, ...]) -> None:
        self._source = open_source(mask)
        own, self._skipped = self._source.shape, len(shape) - len(self._source.shape)
        fits = self._skipped >= 0 and all(
            n in (1, size) for n, size in zip(own, shape[self._skipped :], strict=True)
        )
        if not fits:
            raise ValueError(
                f"`mask` must broadcast to `images`, got shapes {tuple(own)} and {shape}."
            )
        self.itemsize, self.extra = self._source.dtype.itemsize, self._source.extra

    def read(self, region: Region) -> Any:
        """Return what belongs to a region of the images."""
        sizes = self._source.shape
        own = tuple(
            slice(0, 1) if size == 1 else part
            for size, part in zip(sizes, region[self._skipped :], strict=False)
        )
        return self._source.read(own)
