"""Pictures of a report: a few images of each modality, as PNG data."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastmm.report.values import to_json

__all__ = ["choose_pictures", "encode_picture"]

_SHOWN = 8  # pictures of one modality
_MAX_SIDE = 256


def choose_pictures(pictures: Mapping[str, np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
    """Return for each modality a few pictures, evenly spread over those there are."""
    gallery = []
    for name, images in pictures.items():
        array = np.asarray(images)
        if array.ndim not in (2, 3) or array.dtype.kind not in "biuf" or 0 in array.shape[-2:]:
            raise ValueError(
                f"`pictures[{name!r}]` must be real images of shape (h, w) or (n, h, w), got "
                f"shape {array.shape}, dtype {array.dtype}."
            )
        array = array.reshape(-1, *array.shape[-2:])
        there = [i for i in range(len(array)) if not np.isnan(array[i].astype(np.float32)).all()]
        spread = np.linspace(0, len(there) - 1, min(_SHOWN, len(there)))
        shown = [there[i] for i in np.rint(spread).astype(int)]
        gallery.append(
            {
                "name": to_json(str(name), "pictures"),
                "images": [encode_picture(array[i]) for i in shown],
                "count": len(array),
                "shape": f"{array.shape[1]} x {array.shape[2]}",
            }
        )
    return gallery


def encode_picture(image: np.ndarray[Any, Any]) -> str:
    """Encode one grey image as a ``data:`` address of a PNG.

    Parameters
    ----------
    image : array of shape (h, w), real
        Grey values from 0 (black) to 1 (white); others are clipped, NaN becomes black.
        Above 256 pixels a side the picture is averaged down by a whole factor.

    Returns
    -------
    str
        ``data:image/png;base64,...``

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm.report.pictures import encode_picture
    >>> encode_picture(np.eye(4))[:22]
    'data:image/png;base64,'
    """
    from PIL import Image

    grey = np.clip(np.nan_to_num(np.asarray(image, np.float64), nan=0.0), 0.0, 1.0)
    picture = Image.fromarray(np.rint(255.0 * grey).astype(np.uint8))
    factor = -(-max(picture.size) // _MAX_SIDE)
    buffer = io.BytesIO()
    picture.reduce(factor).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
