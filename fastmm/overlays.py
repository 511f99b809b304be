"""Where in an image the score comes from: maps of contributions, drawn over the scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastmm.modalities import ImageModality

__all__ = ["contribution_map", "draw_overlay"]


def contribution_map(modality: ImageModality, parts: Any) -> np.ndarray[Any, Any]:
    """Bring the contributions of image features to the pixels; the sum stays what it is.

    Parameters
    ----------
    modality : ImageModality
        Its features are pixels, or the mean and the deviation of patches; what a patch
        adds is divided among its pixels.
    parts : array of shape (features,)
        Contributions of one examination, or of one slice.

    Returns
    -------
    array of shape (maps, height, width), float64
        One map for each slice with ``pool="stack"``, else one.
    """
    height, width = modality.shape
    if modality.features == "pixels":
        return np.asarray(parts, np.float64).reshape(-1, height, width)
    (tall, wide), step = modality.patch_size, modality.step
    down, across = (height - tall) // step + 1, (width - wide) // step + 1
    # Of each patch the mean's part and the deviation's, together.
    patches = np.asarray(parts, np.float64).reshape(-1, 2, down, across).sum(axis=1)
    found = np.zeros((len(patches), height, width))
    for i in range(down):
        for j in range(across):
            at = np.s_[:, i * step : i * step + tall, j * step : j * step + wide]
            found[at] += (patches[:, i, j] / (tall * wide))[:, None, None]
    return found


def draw_overlay(image: Any, contribution: Any, limit: float, file: Path, zoom: int = 3) -> None:
    """Draw a map over a grey image: red speaks for the class, blue against it.

    Parameters
    ----------
    image, contribution : arrays of shape (h, w)
        What is drawn, and what it adds to the score.
    limit : float
        Contribution of a pixel that gets the full colour.
    file : Path
        PNG file to write.
    zoom : int, default 3
        Pixels of the picture for one of the image.
    """
    from PIL import Image

    low, high = np.percentile(image, [1, 99])
    grey = np.clip((image - low) / max(float(high - low), 1e-12), 0, 1)
    strength = np.clip(abs(contribution) / max(limit, 1e-300), 0, 1)[..., None]
    colour = np.where((contribution > 0)[..., None], (0.85, 0.1, 0.1), (0.1, 0.3, 0.9))
    mixed = grey[..., None] * (1 - 0.6 * strength) + colour * 0.6 * strength
    picture = Image.fromarray((255 * mixed).round().astype(np.uint8))
    size = (picture.width * zoom, picture.height * zoom)
    picture.resize(size, Image.Resampling.NEAREST).save(file)
