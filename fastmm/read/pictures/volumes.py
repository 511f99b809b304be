"""PNG, JPEG and TIFF files as sources of images, and as volumes without a place in space."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm import _check
from fastmm.errors import PictureError
from fastmm.read.finiteness import check_nonfinite, require_finite
from fastmm.read.pictures.header import PictureHeader, check_limit, decode, read_picture_header
from fastmm.read.pictures.layout import orient
from fastmm.read.source import Slice
from fastmm.read.volume import Volume

__all__ = ["PictureHeader", "picture_volume", "read_picture", "read_picture_header"]

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def read_picture(
    header: PictureHeader, *, channel: int | None = None, nonfinite: str | float = "raise"
) -> Slice:
    """Decode the pixels a header points to, each sample as it is stored.

    Parameters
    ----------
    header : PictureHeader
        From `read_picture_header`.
    channel : int, optional
        0 (red), 1 (green) or 2 (blue): which sample of colour pixels to take. Without it
        colour is an error unless the three are equal. Grey pictures have one sample only.
    nonfinite : "raise" or float, default "raise"
        What NaN and infinite pixels (of a float TIFF) become.

    Returns
    -------
    Slice
        On the host, with images (frames, rows, columns).

    Raises
    ------
    PictureError
        If the pixels are damaged, cut, in colour without `channel`, transparent, not finite
        or beyond float32.

    Notes
    -----
    PNG and TIFF are bit-exact at every depth. Pictures of 1, 2 and 4 bits keep their values
    (0 and 1, 0 to 3, 0 to 15). A palette is expanded to its colours. Alpha is dropped if it
    is opaque everywhere, else it is an error. Orientation (EXIF, TIFF) is applied. TIFF
    whose white is zero is inverted, v = 2**bits - 1 - stored. Gamma and colour profiles are
    not applied. JPEG carries no checksum: damage is found where its codes no longer make up
    the image, but not where they stand for other values; that of PNG is found.

    Examples
    --------
    >>> from PIL import Image
    >>> Image.new("RGB", (4, 3), (7, 8, 9)).save("color.png")
    >>> read_picture(read_picture_header("color.png"), channel=2).stored.max()
    np.uint8(9)
    """
    if channel is not None and _check.integer(channel, "channel", minimum=0) > 2:
        raise ValueError(f"`channel` must be 0, 1 or 2, got {channel}.")
    check_nonfinite(nonfinite)
    pixels, n_bytes = decode(header)
    stored = orient(_one_channel(header.path, pixels, channel), header.layout.orientation)
    stored = np.ascontiguousarray(stored)
    if stored.dtype.kind == "f":
        stored = require_finite(
            header.path, stored, header.slope, header.intercept, nonfinite, PictureError
        )
    return Slice(header, stored, None, n_bytes)


def picture_volume(
    paths: Paths, *, channel: int | None = None, nonfinite: str | float = "raise"
) -> Volume:
    """Read pictures of one size as a volume whose place and spacing are not known.

    Parameters
    ----------
    paths : str, PathLike or iterable of these
        One file, whose pages are the slices, or the files in the order of z.
    channel, nonfinite
        As in `read_picture`.

    Returns
    -------
    Volume
        On the host; units "stored", spacing and affine NaN. The resolution that a file
        claims is that of a print or a screen, and is not taken for mm.

    Raises
    ------
    PictureError
        As `read_picture`, and if the files differ in size.
    LimitError
        If the volume would take more than ``fastmm.read.limits.MAX_BYTES``.
    FileNotFoundError, PermissionError
        If a path cannot be read.

    Examples
    --------
    >>> from PIL import Image
    >>> for z in range(2):
    ...     Image.new("L", (4, 3), z).save(f"slice{z}.png")
    >>> picture_volume(["slice0.png", "slice1.png"]).array[:, 0, 0]
    array([0., 1.], dtype=float32)
    """
    files = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if not files:
        raise ValueError("`paths` must name at least one file, got none.")
    headers = [read_picture_header(path) for path in files]
    first = headers[0]
    for header in headers:
        if header.shape != first.shape:
            raise PictureError(
                f"{first.path} has {first.shape[0]} x {first.shape[1]} pixels but {header.path} "
                f"has {header.shape[0]} x {header.shape[1]}; slices of a volume must have one size."
            )
    depth = sum(header.frames for header in headers)
    check_limit(first.path, depth, *first.shape, 1)
    array, start = np.empty((depth, *first.shape), np.float32), 0
    for header in headers:
        part = read_picture(header, channel=channel, nonfinite=nonfinite)
        array[start : start + header.frames] = part.stored
        start += header.frames
    affine = np.full((4, 4), np.nan)
    affine[3] = 0, 0, 0, 1
    return Volume(
        array=array,
        units=first.units,
        spacing=(math.nan, math.nan, math.nan),
        affine=affine,
        source=tuple(header.path for header in headers),
    )


def _one_channel(path: Path, pixels: NDArray[Any], channel: int | None) -> NDArray[Any]:
    """Reduce colour (frames, rows, columns, samples) to the chosen channel, or to any if grey."""
    if pixels.shape[-1] == 1:
        return pixels[..., 0]
    if channel is not None:
        return pixels[..., channel]
    first = pixels[..., 0]
    if np.array_equal(first, pixels[..., 1]) and np.array_equal(first, pixels[..., 2]):
        return first
    raise PictureError(
        f"{path}: the picture is in colour and its channels differ; "
        "choose one with `channel=` (0 red, 1 green, 2 blue)."
    )
