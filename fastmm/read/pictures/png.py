"""PNG, decoded to what is stored: every depth whole, a palette as colours, checks by CRC.

Pillow cuts colours of 16 bits to 8, and takes a stream that ends early for an image. So the
chunks and the inflated length are checked here, and Pillow only undoes the row filters. Those
work on each byte of a pixel by itself, so that pixels of 6 and 8 bytes pass as two images.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import PictureError
from fastmm.read.pictures.layout import (
    PictureLayout,
    drop_alpha,
    exif_orientation,
    pillow,
    transparency,
)

__all__ = ["PNG_SIGNATURE", "PngLayout", "decode_png", "read_png_layout"]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_CHANNELS = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGB_ALPHA: 4}
_DEPTHS = {_GREY: (1, 2, 4, 8, 16), _PALETTE: (1, 2, 4, 8)}
_UNFILTERED = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
# First row and column, and steps, of the seven passes of an interlaced image.
_PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
           (1, 0, 2, 1)]  # fmt: skip
_LONGEST = 1 << 20  # of a chunk that is kept, other than pixels


@dataclass(frozen=True, eq=False)
class PngLayout(PictureLayout):
    """Layout of a PNG file."""

    color_type: int
    interlaced: bool
    palette: NDArray[np.uint8] | None  # (n, 3)
    transparent: bytes | None


class _Chunk(NamedTuple):
    kind: bytes
    offset: int
    length: int


def read_png_layout(path: Path, file: BinaryIO) -> PngLayout:
    """Read the header chunks; no pixel is inflated."""
    kept = {}
    for chunk in _chunks(path, file):
        if chunk.kind in (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"acTL"):
            if chunk.length > _LONGEST or (chunk.kind in kept and chunk.kind != b"eXIf"):
                raise _damaged(path)
            kept[chunk.kind] = _content(path, file, chunk)
    columns, rows, bits, color_type, *methods = struct.unpack(">IIBBBBB", kept[b"IHDR"])
    if bits not in _DEPTHS.get(color_type, (8, 16)) or color_type not in _CHANNELS:
        raise PictureError(f"{path}: color type {color_type} with {bits} bits is no PNG.")
    if not (0 < rows < 1 << 31 and 0 < columns < 1 << 31) or methods[:2] != [0, 0]:
        raise _damaged(path)
    if methods[2] > 1:
        raise _damaged(path)
    frames = struct.unpack(">I", kept[b"acTL"][:4])[0] if len(kept.get(b"acTL", b"")) == 8 else 1
    if frames != 1:
        raise PictureError(f"{path}: is an animation of {frames} images; save them one by one.")
    palette = None
    if color_type == _PALETTE:
        colors = kept.get(b"PLTE", b"")
        if not colors or len(colors) % 3:
            raise PictureError(f"{path}: is a palette PNG without a palette.")
        palette = np.frombuffer(colors, np.uint8).reshape(-1, 3)
    return PngLayout(
        rows=rows,
        columns=columns,
        frames=1,
        samples=1 if color_type in (_GREY, _GREY_ALPHA) else 3,
        bits=bits if palette is None else 8,
        orientation=exif_orientation(kept.get(b"eXIf", b"")),
        color_type=color_type,
        interlaced=methods[2] == 1,
        palette=palette,
        transparent=kept.get(b"tRNS"),
    )


def decode_png(path: Path, file: BinaryIO, layout: PngLayout) -> tuple[NDArray[Any], int]:
    """Decode to (1, rows, columns, samples); return the bytes of pixel data too."""
    packed = []
    for chunk in _chunks(path, file):
        content = _content(path, file, chunk)
        if chunk.kind == b"IDAT":
            packed.append(content)
    depth = layout.bits if layout.palette is None else _stored_depth(path, file)
    pixels = _pixels(path, b"".join(packed), layout, depth)
    return _opaque(path, pixels, layout)[None], sum(map(len, packed))


def _stored_depth(path: Path, file: BinaryIO) -> int:
    header = next(iter(_chunks(path, file)))
    return _content(path, file, header)[8]


def _pixels(path: Path, packed: bytes, layout: PngLayout, depth: int) -> NDArray[Any]:
    """Inflate and unfilter the samples, (rows, columns, channels)."""
    channels = _CHANNELS[layout.color_type]
    passes = _PASSES if layout.interlaced else [(0, 0, 1, 1)]
    shapes = [
        (-(-(layout.rows - y) // dy), -(-(layout.columns - x) // dx)) for y, x, dy, dx in passes
    ]
    shapes = [(rows, columns) if rows > 0 < columns else (0, 0) for rows, columns in shapes]
    sizes = [rows * (1 + -(-columns * channels * depth // 8)) for rows, columns in shapes]
    raw = _inflate(path, packed, sum(sizes))
    kind = np.uint16 if depth == 16 else np.uint8
    pixels: NDArray[Any] = np.empty((layout.rows, layout.columns, channels), kind)
    start = 0
    for (y, x, dy, dx), (rows, columns), size in zip(passes, shapes, sizes, strict=True):
        if size:
            part = np.frombuffer(raw, np.uint8, size, start).reshape(rows, -1)
            whole = _unfilter(path, part, max(1, channels * depth // 8))
            pixels[y::dy, x::dx] = _unpack(whole, columns * channels, depth).reshape(
                rows, columns, channels
            )
        start += size
    return pixels


def _inflate(path: Path, packed: bytes, expected: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(packed, expected + 1)
    except zlib.error:
        raise _damaged(path) from None
    if len(raw) != expected or not inflater.eof:
        got = f"more than {expected}" if len(raw) > expected else f"{len(raw)}"
        raise PictureError(
            f"{path}: its pixels are cut or contradict the header: expected {expected} bytes, "
            f"got {got}."
        )
    return raw


def _unfilter(path: Path, rows: NDArray[np.uint8], unit: int) -> NDArray[np.uint8]:
    """Undo the filters of rows (n, 1 + bytes), the first byte being the filter's number."""
    filters = rows[:, 0]
    if not filters.any():
        return rows[:, 1:]
    if filters.max() > 4:
        raise _damaged(path)
    if unit > 4:
        out = np.empty((len(rows), rows.shape[1] - 1), np.uint8)
        for half in (0, 1):
            lane = np.concatenate([rows[:, :1], rows[:, 1 + half :: 2]], axis=1)
            out[:, half::2] = _unfilter(path, lane, unit // 2)
        return out
    mode, size = _UNFILTERED[unit], ((rows.shape[1] - 1) // unit, len(rows))
    with pillow(path) as image:
        # Level 0 stores the bytes as they are: this inflates again at the speed of a copy.
        filtered = zlib.compress(rows.tobytes(), 0)
        decoded = image.frombytes(mode, size, filtered, "zip", mode, 0)
        return np.asarray(decoded).reshape(len(rows), -1)


def _unpack(rows: NDArray[np.uint8], count: int, depth: int) -> NDArray[Any]:
    """Turn rows of bytes into rows of `count` samples."""
    if depth == 16:
        return np.ascontiguousarray(rows).view(">u2")
    if depth == 8:
        return rows
    shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
    samples = (rows[:, :, None] >> shifts) & ((1 << depth) - 1)
    return samples.reshape(len(rows), -1)[:, :count]


def _opaque(path: Path, pixels: NDArray[Any], layout: PngLayout) -> NDArray[Any]:
    """Expand a palette and drop alpha, which must be opaque."""
    if layout.palette is not None:
        return _colors(path, pixels[..., 0], layout.palette, layout.transparent)
    if layout.color_type in (_GREY_ALPHA, _RGB_ALPHA):
        return drop_alpha(path, pixels, np.iinfo(pixels.dtype).max)
    if layout.transparent is not None:
        if len(layout.transparent) != 2 * layout.samples:
            raise _damaged(path)
        key = np.frombuffer(layout.transparent, ">u2")
        count = int((pixels == key).all(axis=-1).sum())
        if count:
            raise transparency(path, count)
    return pixels


def _colors(
    path: Path, indices: NDArray[Any], palette: NDArray[np.uint8], transparent: bytes | None
) -> NDArray[Any]:
    if int(indices.max()) >= len(palette):
        raise PictureError(
            f"{path}: a pixel has the palette index {int(indices.max())}, but the palette has "
            f"{len(palette)} colors."
        )
    if transparent:
        alpha = np.full(max(len(palette), len(transparent)), 255, np.uint8)
        alpha[: len(transparent)] = np.frombuffer(transparent, np.uint8)
        count = int((alpha[indices] != 255).sum())
        if count:
            raise transparency(path, count)
    colors: NDArray[Any] = palette[indices]
    return colors


def _chunks(path: Path, file: BinaryIO) -> Iterator[_Chunk]:
    """Yield all chunks up to IEND, which must be there."""
    size = os.fstat(file.fileno()).st_size
    offset, first = len(PNG_SIGNATURE), True
    while True:
        file.seek(offset)
        head = file.read(8)
        if len(head) < 8:
            raise PictureError(f"{path}: is cut: its last chunk is missing.")
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if not kind.isalpha() or (kind == b"IHDR") != first or (first and length != 13):
            raise _damaged(path)
        # A capital says that the image cannot be understood without the chunk.
        if kind[:1].isupper() and kind not in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            raise PictureError(f"{path}: has a critical chunk that PNG does not know.")
        if offset + 12 + length > size:
            raise PictureError(
                f"{path}: is cut: expected at least {offset + 12 + length} bytes, got {size}."
            )
        yield _Chunk(kind, offset, length)
        if kind == b"IEND":
            return
        offset, first = offset + 12 + length, False


def _content(path: Path, file: BinaryIO, chunk: _Chunk) -> bytes:
    file.seek(chunk.offset + 4)
    content = file.read(chunk.length + 8)
    if zlib.crc32(content[:-4]) != int.from_bytes(content[-4:], "big"):
        raise PictureError(f"{path}: is damaged: the CRC of a chunk is wrong.")
    return content[4:-4]


def _damaged(path: Path) -> PictureError:
    return PictureError(f"{path}: is damaged: it breaks the rules of PNG.")
