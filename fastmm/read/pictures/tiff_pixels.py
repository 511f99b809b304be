"""The pixels of TIFF pages: strips and tiles, decompressed and put together."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import PictureError
from fastmm.read.pictures.layout import drop_alpha, pillow
from fastmm.read.pictures.tiff import RGB, WHITE_IS_ZERO, Page, TiffLayout

__all__ = ["decode_tiff"]

_NONE, _LZW, _PACKBITS = 1, 5, 32773


def decode_tiff(path: Path, file: BinaryIO, layout: TiffLayout) -> tuple[NDArray[Any], int]:
    """Decode to (pages, rows, columns, samples); return the bytes of pixel data too."""
    out: NDArray[Any] | None = None
    for i, page in enumerate(layout.pages):
        pixels = _intensities(path, _assemble(path, file, page), page)
        if out is None:
            out = np.empty((layout.frames, *pixels.shape), pixels.dtype)
        out[i] = pixels
    if out is None:
        raise PictureError(f"{path}: has no page.")
    return out, sum(sum(page.lengths) for page in layout.pages)


def _intensities(path: Path, pixels: NDArray[Any], page: Page) -> NDArray[Any]:
    """Drop alpha, expand a palette, invert where white is zero."""
    if page.colormap is not None:
        colors: NDArray[Any] = page.colormap[pixels[..., 0]]
        return colors
    if page.channels > (3 if page.photometric == RGB else 1):
        opaque = 1.0 if page.kind == "f" else int(np.iinfo(pixels.dtype).max)
        if page.bits < 8:
            opaque = (1 << page.bits) - 1
        pixels = drop_alpha(path, pixels, opaque)
    if page.photometric == WHITE_IS_ZERO:
        pixels = pixels.dtype.type((1 << page.bits) - 1) - pixels
    return pixels


def _assemble(path: Path, file: BinaryIO, page: Page) -> NDArray[Any]:
    """Return the samples of a page, (rows, columns, channels)."""
    kind = f"u{max(1, page.bits // 8)}" if page.kind == "u" else f"{page.kind}{page.bits // 8}"
    out: NDArray[Any] = np.empty((page.rows, page.columns, page.channels), kind)
    height, width = page.block
    across, down = -(-page.columns // width), -(-page.rows // height)
    depth = 1 if page.planar else page.channels
    for i, (offset, length) in enumerate(zip(page.offsets, page.lengths, strict=True)):
        plane, place = divmod(i, across * down)
        top, left = place // across * height, place % across * width
        # The last strip ends with the image; a tile is always whole.
        rows = height if page.tiled else min(height, page.rows - top)
        file.seek(offset)
        block = _block(path, file.read(length), page, (rows, width, depth))
        target = out[top : top + height, left : left + width, plane : plane + depth]
        target[...] = block[: target.shape[0], : target.shape[1]]
    return out


def _block(path: Path, data: bytes, page: Page, shape: tuple[int, int, int]) -> NDArray[Any]:
    """Decompress a strip or tile to samples of that shape."""
    rows, columns, depth = shape
    row_bytes = -(-columns * depth * page.bits // 8)
    raw = _decompress(path, data, page.compression, rows, row_bytes)
    if page.bits < 8:
        lines = np.frombuffer(raw, np.uint8).reshape(rows, row_bytes)
        shifts = np.arange(8 - page.bits, -1, -page.bits, dtype=np.uint8)
        samples = (lines[:, :, None] >> shifts) & ((1 << page.bits) - 1)
        return samples.reshape(rows, -1)[:, : columns * depth].reshape(shape)
    size = page.bits // 8
    if page.predictor == 3:
        return _undo_float_prediction(raw, shape, size)
    words = np.frombuffer(raw, f"{page.order}u{size}").reshape(shape)
    words = words.astype(f"u{size}", copy=False)
    if page.predictor == 2:
        words = np.cumsum(words, axis=1, dtype=words.dtype)
    return words.view(f"{page.kind}{size}")


def _undo_float_prediction(raw: bytes, shape: tuple[int, int, int], size: int) -> NDArray[Any]:
    """Undo predictor 3: differences of bytes, most significant bytes of a row first."""
    rows, columns, depth = shape
    lines = np.frombuffer(raw, np.uint8).reshape(rows, -1, depth)
    lines = np.cumsum(lines, axis=1, dtype=np.uint8)
    planes = lines.reshape(rows, size, columns * depth)
    floats = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(f">f{size}")
    return floats.reshape(shape).astype(f"f{size}")


def _decompress(path: Path, data: bytes, compression: int, rows: int, row_bytes: int) -> bytes:
    expected = rows * row_bytes
    if compression == _NONE:
        raw = data[:expected]
    elif compression in (_LZW, _PACKBITS):
        raw = _libtiff(path, data, compression, rows, row_bytes)
    else:
        try:
            raw = zlib.decompressobj().decompress(data, expected)
        except zlib.error:
            raise PictureError(f"{path}: its Deflate data are damaged.") from None
    if len(raw) != expected:
        raise PictureError(
            f"{path}: a strip or tile is cut: expected {expected} bytes, got {len(raw)}."
        )
    return raw


def _libtiff(path: Path, data: bytes, compression: int, rows: int, row_bytes: int) -> bytes:
    """Let Pillow's libtiff decompress a strip, wrapped as a grey TIFF of 8 bits.

    That it holds other samples, and perhaps differences, does not matter to the codec, so
    that every depth passes whole, and nothing but its bytes comes from the file.
    """
    tags = [(256, row_bytes), (257, rows), (258, 8), (259, compression), (262, 1),
            (273, 8 + 2 + 9 * 12 + 4), (277, 1), (278, rows), (279, len(data))]  # fmt: skip
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    head += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    with pillow(path) as image:
        from PIL.TiffImagePlugin import TiffImageFile

        with TiffImageFile(io.BytesIO(head + bytes(4) + data)) as strip:
            # With a target to write to, Pillow does not compare with its limit on pixels.
            strip.im = image.new("L", (row_bytes, rows)).im
            return strip.tobytes()
