"""What PNG, JPEG and TIFF files say about their images: formats by content, sizes by header."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import LimitError, PictureError
from fastmm.read import limits
from fastmm.read.pictures.jpeg import JPEG_SIGNATURE, decode_jpeg, read_jpeg_layout
from fastmm.read.pictures.layout import PictureLayout
from fastmm.read.pictures.png import PNG_SIGNATURE, decode_png, read_png_layout
from fastmm.read.pictures.tiff import TIFF_SIGNATURES, read_tiff_layout
from fastmm.read.pictures.tiff_pixels import decode_tiff
from fastmm.read.regular import open_regular

__all__ = ["PictureHeader", "check_limit", "decode", "read_picture_header"]

_Decode = Callable[[Path, BinaryIO, Any], tuple[NDArray[Any], int]]
_FORMATS: dict[str, tuple[tuple[bytes, ...], Callable[[Path, BinaryIO], Any], _Decode]] = {
    "PNG": ((PNG_SIGNATURE,), read_png_layout, decode_png),
    "JPEG": ((JPEG_SIGNATURE,), read_jpeg_layout, decode_jpeg),
    "TIFF": (TIFF_SIGNATURES, read_tiff_layout, decode_tiff),
}
_EXPECTED = "one PNG, JPEG or TIFF file"


@dataclass(frozen=True, eq=False)
class PictureHeader:
    """What one PNG, JPEG or TIFF file says about its images; no pixel is decoded.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    kind : str
        "PNG", "JPEG" or "TIFF".
    shape : tuple of int
        Rows and columns, turned as the orientation of the file asks for.
    frames : int
        Pages of a TIFF file, else 1.
    samples, bits : int
        1 (grey) or 3 (colour) samples a pixel, and the bits of each.
    slope, intercept : ndarray of shape (frames,), float64
        Ones and zeros: a picture knows no rescale.
    units, modality : str
        "stored" and "".
    notes : tuple of str
        What the caller should be warned of.

    Examples
    --------
    >>> from PIL import Image
    >>> Image.new("L", (4, 3)).save("grey.png")
    >>> header = read_picture_header("grey.png")
    >>> header.kind, header.shape, header.bits
    ('PNG', (3, 4), 8)
    """

    path: Path
    kind: str
    shape: tuple[int, int]
    frames: int
    samples: int
    bits: int
    slope: NDArray[np.float64]
    intercept: NDArray[np.float64]
    units: str
    modality: str
    notes: tuple[str, ...]
    layout: PictureLayout


def read_picture_header(path: str | os.PathLike[str]) -> PictureHeader:
    """Read and check what a PNG, JPEG or TIFF file says about its pixels.

    Parameters
    ----------
    path : str or PathLike
        A file; its content tells its format, not its suffix.

    Returns
    -------
    PictureHeader
        See `PictureHeader`.

    Raises
    ------
    PictureError
        If the file is damaged, or of a kind whose samples are no intensities: CMYK, YCbCr
        TIFF, animations, JPEG of 12 bits, pages of different sizes.
    LimitError
        If its float32 image would take more than ``fastmm.read.limits.MAX_BYTES``.
    FileNotFoundError, PermissionError
        If the path cannot be read.

    Notes
    -----
    Pillow is neither imported nor asked, so that its limits on size do not matter.

    Examples
    --------
    See `PictureHeader`.
    """
    path = Path(path)
    with open_regular(path, PictureError, _EXPECTED) as file:
        kind = _kind(file.read(8))
        if kind is None:
            what = "empty" if os.fstat(file.fileno()).st_size == 0 else "no PNG, JPEG or TIFF file"
            raise PictureError(f"{path}: is {what}.")
        layout: PictureLayout = _FORMATS[kind][1](path, file)
    check_limit(path, layout.frames, layout.rows, layout.columns, layout.samples)
    turned = layout.orientation >= 5
    rows, columns = layout.rows, layout.columns
    return PictureHeader(
        path=path,
        kind=kind,
        shape=(columns, rows) if turned else (rows, columns),
        frames=layout.frames,
        samples=layout.samples,
        bits=layout.bits,
        slope=np.ones(layout.frames),
        intercept=np.zeros(layout.frames),
        units="stored",
        modality="",
        notes=(),
        layout=layout,
    )


def decode(header: PictureHeader) -> tuple[NDArray[Any], int]:
    """Decode the images (frames, rows, columns, samples) as they lie, and tell the bytes read."""
    with open_regular(header.path, PictureError, _EXPECTED) as file:
        return _FORMATS[header.kind][2](header.path, file, header.layout)


def check_limit(path: Path, frames: int, rows: int, columns: int, samples: int) -> None:
    """Refuse images whose float32 values would take more than the limit."""
    needed = frames * rows * columns * samples * 4
    if needed > limits.MAX_BYTES:
        raise LimitError(
            f"{path}: {frames} images of {rows} x {columns} pixels need {needed} bytes as "
            f"float32, more than the {limits.MAX_BYTES} of fastmm.read.limits.MAX_BYTES; "
            "raise the limit if the file is right."
        )


def _kind(head: bytes) -> str | None:
    for kind, (signatures, _, _) in _FORMATS.items():
        if head.startswith(signatures):
            return kind
    return None
