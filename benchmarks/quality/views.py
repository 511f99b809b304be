"""Kernels between images that take an image and its mirror image for the same."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["View", "mean_kernel"]


class View:
    """One way to see images: features learnt without labels, and the kernel on them.

    With D the squared distance of rows over its median in the training set, the kernel is
    the mean of exp(-D) over the image and its mirror image on either side, divided by the
    mean of its centred diagonal.

    Parameters
    ----------
    encoder : transformer of images
        Such as fastmm.FisherVectors or fastmm.PatchDictionary.
    mirror : bool
        Whether mirror images count as the same.
    standardise : bool
        Whether features are standardised by the training images.
    """

    def __init__(self, encoder: Any, *, mirror: bool = True, standardise: bool = False) -> None:
        self.encoder, self.mirror, self.standardise = encoder, mirror, standardise

    def fit(self, images: Any) -> Any:
        """Learn the features; return the kernel (n, n) of these images."""
        self.encoder.fit(images)
        self.centre, self.spread = np.float32(0), np.float32(1)
        rows = self._rows(images)
        if self.standardise:
            both = np.concatenate(rows)
            # A feature that hardly ever differs must not become as loud as the others.
            self.centre, self.spread = both.mean(0), both.std(0) + 0.01 * both.std()
            rows = [(one - self.centre) / self.spread for one in rows]
        self.rows, self.unit = rows, 1.0
        self.scale = float(np.median(_distances(rows[0], rows[0])))
        kernel = self._kernel(rows)
        kernel = (kernel + kernel.T) / 2  # apart by rounding only
        self.unit = (np.trace(kernel) - kernel.sum() / len(kernel)) / len(kernel)
        return kernel / self.unit

    def between(self, images: Any) -> Any:
        """Return the kernel (m, n) of new images with those of `fit`."""
        return self._kernel(self._rows(images))

    def _rows(self, images: Any) -> list[Any]:
        sides = [images, np.ascontiguousarray(images[:, :, ::-1])] if self.mirror else [images]
        return [(self.encoder.transform(side) - self.centre) / self.spread for side in sides]

    def _kernel(self, rows: list[Any]) -> Any:
        pairs = [(one, other) for one in rows for other in self.rows]
        return mean_kernel([np.exp(-_distances(*pair) / self.scale) for pair in pairs]) / self.unit


def mean_kernel(kernels: Any) -> Any:
    """Return the mean of kernels."""
    return sum(kernels) / len(kernels)


def _distances(rows: Any, others: Any) -> Any:
    """Return squared Euclidean distances, float64, of float32 products."""
    inner = (rows @ others.T).astype(np.float64)
    lengths = [np.einsum("ij,ij->i", each, each, dtype=np.float64) for each in (rows, others)]
    return np.maximum(lengths[0][:, None] + lengths[1] - 2 * inner, 0)
