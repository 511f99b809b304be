"""Where in an image a score comes from: contributions of slices, patches and pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.explain.patch_attribution import spread_patches
from fastmm.modalities import ImageModality

__all__ = ["contribution_map", "slice_contributions"]


def slice_contributions(
    modality: ImageModality, slopes: Any, scaler: Any, images: Any
) -> np.ndarray[Any, Any]:
    """Split the contributions of an examination's features among its slices.

    The sum over slices is what the pooled features add: the mean of slices is a sum, and a
    largest feature is that of the slice that has it.

    Parameters
    ----------
    modality : ImageModality
        How slices become features, and those one row.
    slopes : array of shape (rows, features)
        Of the examination's rows, by standardised feature: one, or with ``pool="rows"`` one
        for each slice.
    scaler : object
        ``apply(values)`` standardises features.
    images : array of shape (slices, h, w)
        As the modality loads them.

    Returns
    -------
    array of shape (slices, features of a slice), float64
    """
    count = len(images)
    values = modality.extract([each[None] for each in images]).values
    if modality.pool == "stack":
        standard = scaler.apply(values.reshape(1, -1))
        return np.asarray((slopes * standard).reshape(count, -1), np.float64)
    standard = scaler.apply(values)
    if modality.pool == "max":
        largest = values.argmax(axis=0) == np.arange(count)[:, None]
        return np.asarray(slopes * standard * largest, np.float64)
    return np.asarray(slopes * standard / count, np.float64)


def contribution_map(modality: ImageModality, parts: Any) -> np.ndarray[Any, Any]:
    """Bring the contributions of image features to the pixels; the sum stays what it is.

    Parameters
    ----------
    modality : ImageModality
        Its features are pixels, or the mean and the deviation of patches; what a patch
        adds is divided among its pixels.
    parts : array of shape (..., features)
        Contributions of slices, or of an examination.

    Returns
    -------
    array of shape (maps, height, width), float64
        One map for each slice, or for all that were pooled.
    """
    height, width = modality.shape
    if modality.features == "pixels":
        return np.asarray(parts, np.float64).reshape(-1, height, width)
    (tall, wide), step = modality.patch_size, modality.step
    down, across = (height - tall) // step + 1, (width - wide) // step + 1
    # Of each patch the mean's part and the deviation's, together.
    patches = np.asarray(parts, np.float64).reshape(-1, 2, down, across).sum(axis=1)
    found: np.ndarray[Any, Any] = spread_patches(patches, (tall, wide), step, modality.shape)
    return found
