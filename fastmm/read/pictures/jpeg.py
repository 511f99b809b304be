"""JPEG of 8 bits, grey or colour: its header read here, its scans decoded by Pillow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import PictureError
from fastmm.read.codecs.codestream import CodestreamError
from fastmm.read.codecs.entropy import check_entropy
from fastmm.read.pictures.layout import PictureLayout, exif_orientation, pillow

__all__ = ["JPEG_SIGNATURE", "JpegLayout", "decode_jpeg", "read_jpeg_layout"]

JPEG_SIGNATURE = b"\xff\xd8\xff"
_EXIF = b"Exif\0\0"
_SCAN, _APP1 = 0xDA, 0xE1
# Baseline, extended and progressive, all with Huffman codes. C4, C8 and CC are no frames.
_DECODED = (0xC0, 0xC1, 0xC2)
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
# A Huffman code takes a bit, and each block of 64 pixels has one for its mean at least.
_PIXELS_PER_BYTE = 64 * 8


@dataclass(frozen=True, eq=False)
class JpegLayout(PictureLayout):
    """Layout of a JPEG file."""


def read_jpeg_layout(path: Path, file: BinaryIO) -> JpegLayout:
    """Read the markers up to the first scan."""
    frame, orientation = None, 1
    file.seek(2)
    while (marker := _marker(path, file)) != _SCAN:
        if marker in _WITHOUT_LENGTH:
            continue
        if marker in (0xD8, 0xD9):
            raise _damaged(path)
        content = _segment(path, file)
        if marker in _FRAMES:
            if frame is not None:
                raise _damaged(path)
            frame = marker, content
        elif marker == _APP1 and content.startswith(_EXIF):
            orientation = exif_orientation(content[len(_EXIF) :])
    if frame is None:
        raise _damaged(path)
    return _layout(path, file, *frame, orientation)


def decode_jpeg(path: Path, file: BinaryIO, layout: JpegLayout) -> tuple[NDArray[Any], int]:
    """Decode to (1, rows, columns, samples); return the bytes of the file too."""
    file.seek(0)
    data = file.read()
    try:
        check_entropy(data)
    except CodestreamError as error:
        raise PictureError(f"{path}: {error}.") from None
    mode = "L" if layout.samples == 1 else "RGB"
    with pillow(path) as image:
        decoded = image.frombytes(mode, (layout.columns, layout.rows), data, "jpeg", mode, "")
        pixels = np.asarray(decoded)
    return pixels.reshape(1, layout.rows, layout.columns, layout.samples), len(data)


def _layout(path: Path, file: BinaryIO, marker: int, frame: bytes, orientation: int) -> JpegLayout:
    if marker not in _DECODED:
        raise PictureError(
            f"{path}: is a JPEG of a rare kind (lossless, arithmetic or hierarchical); save it "
            "as PNG first."
        )
    if len(frame) < 6 or len(frame) != 6 + 3 * frame[5]:
        raise _damaged(path)
    bits, samples = frame[0], frame[5]
    rows, columns = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    if bits != 8:
        raise PictureError(f"{path}: is a JPEG of {bits} bits; save it as PNG of 16 bits first.")
    if samples not in (1, 3):
        raise PictureError(
            f"{path}: has {samples} samples a pixel (CMYK has 4), which are no intensities; "
            "convert it to grey or RGB first."
        )
    if not rows or not columns:
        raise PictureError(f"{path}: its header says {rows} x {columns} pixels.")
    left = os.fstat(file.fileno()).st_size - file.tell()
    if rows * columns > _PIXELS_PER_BYTE * left:
        raise PictureError(
            f"{path}: is cut: {left} bytes of JPEG cannot hold {rows} x {columns} pixels."
        )
    return JpegLayout(rows, columns, 1, samples, 8, orientation)


def _marker(path: Path, file: BinaryIO) -> int:
    if file.read(1) != b"\xff":
        raise _damaged(path)
    for _ in range(1 << 16):
        byte = file.read(1)
        if byte not in (b"\xff", b"\0", b""):  # 0xFF may be repeated to fill
            return byte[0]
        if byte != b"\xff":
            break
    raise _damaged(path)


def _segment(path: Path, file: BinaryIO) -> bytes:
    length = int.from_bytes(file.read(2), "big")
    content = file.read(max(0, length - 2))
    if length < 2 or len(content) != length - 2:
        raise _damaged(path)
    return content


def _damaged(path: Path) -> PictureError:
    return PictureError(f"{path}: is damaged or cut: its JPEG header breaks off.")
