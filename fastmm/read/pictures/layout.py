"""What PNG, JPEG and TIFF have in common: a layout, an orientation, alpha and colour."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fastmm.errors import FastmmError, PictureError

__all__ = ["PictureLayout", "drop_alpha", "exif_orientation", "orient", "pillow"]

_ORIENTATION = 274


@dataclass(frozen=True, eq=False)
class PictureLayout:
    """Size and samples of the images of a file, as they are stored.

    `samples` counts 1 (grey) or 3 (colour), without alpha; a palette counts as colour.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    bits: int
    orientation: int


@contextmanager
def pillow(path: Path) -> Iterator[Any]:
    """Give ``PIL.Image``; whatever its decoders raise becomes a PictureError.

    Nothing is opened or loaded the usual way, which would warn, and depend on settings that
    belong to the whole process: the limit on pixels, and whether truncated images may pass.
    """
    from PIL import Image

    try:
        yield Image
    except FastmmError:
        raise
    except Exception as error:
        raise PictureError(
            f"{path}: its pixels are damaged or cut (Pillow: {type(error).__name__})."
        ) from None


def drop_alpha(path: Path, pixels: NDArray[Any], opaque: float) -> NDArray[Any]:
    """Drop the last sample, alpha, of opaque images (..., samples); others are errors."""
    transparent = int((pixels[..., -1] != opaque).sum())
    if transparent:
        raise transparency(path, transparent)
    return pixels[..., :-1]


def transparency(path: Path, count: int) -> PictureError:
    """Make the error about pixels that are not opaque."""
    return PictureError(
        f"{path}: {count} pixels are transparent, so their intensity depends on what is behind "
        "them; save the picture without transparency first."
    )


def exif_orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, that EXIF data ask for; 1 where they do not say."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for i in range(count):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", exif, start + 2 + 12 * i)
            if tag == _ORIENTATION and kind == 3:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def orient(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn stored images (frames, rows, columns, ...) the way they are to be looked at."""
    if orientation >= 5:
        pixels = pixels.swapaxes(1, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, :, ::-1]
    return pixels
