"""The directories of a TIFF file: one page each, checked before a pixel is read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from struct import Struct
from struct import error as struct_error
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import LimitError, PictureError
from fastmm.read.pictures.layout import PictureLayout

__all__ = ["TIFF_SIGNATURES", "Page", "TiffLayout", "read_tiff_layout"]

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MOST_PAGES = 1 << 16
_LONGEST = 1 << 24  # of the values of a tag
_SHARED_VALUES = 4  # times that the bytes of a file may be values of tags
_TAGS = {
    256: "ImageWidth", 257: "ImageLength", 258: "BitsPerSample", 259: "Compression",
    262: "PhotometricInterpretation", 266: "FillOrder", 270: "ImageDescription",
    273: "StripOffsets", 274: "Orientation", 277: "SamplesPerPixel", 278: "RowsPerStrip",
    279: "StripByteCounts", 284: "PlanarConfiguration", 317: "Predictor", 320: "ColorMap",
    322: "TileWidth", 323: "TileLength", 324: "TileOffsets", 325: "TileByteCounts",
    338: "ExtraSamples", 339: "SampleFormat",
}  # fmt: skip
_TYPES = {1: "B", 2: "B", 3: "H", 4: "I", 16: "Q"}  # integers, and text as bytes
_COMPRESSIONS = {1, 5, 8, 32773, 32946}
_KINDS = {1: "u", 2: "i", 3: "f"}
_WIDTHS = {"u": (1, 2, 4, 8, 16, 32, 64), "i": (8, 16, 32, 64), "f": (16, 32, 64)}
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE = range(4)

_Tags = dict[str, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Page:
    """How the samples of one page lie in the file."""

    rows: int
    columns: int
    channels: int  # alpha included
    bits: int
    kind: str  # "u", "i" or "f"
    order: str  # "<" or ">"
    photometric: int
    orientation: int
    compression: int
    predictor: int
    planar: bool
    tiled: bool
    block: tuple[int, int]  # rows and columns of a strip or tile
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]
    colormap: NDArray[np.uint8 | np.uint16] | None  # (2 ** bits, 3)

    @property
    def alike(self) -> tuple[object, ...]:
        """What all pages of a file must have in common."""
        color = self.photometric in (RGB, PALETTE)
        return self.rows, self.columns, self.bits, self.kind, color, self.orientation


@dataclass(frozen=True, eq=False)
class TiffLayout(PictureLayout):
    """Layout of a TIFF file."""

    pages: tuple[Page, ...]


def read_tiff_layout(path: Path, file: BinaryIO) -> TiffLayout:
    """Read all directories; no pixel is read."""
    pages = []
    for order, tags in _directories(path, file):
        pages.append(_page(path, tags, order, os.fstat(file.fileno()).st_size))
        if pages[-1].alike != pages[0].alike:
            raise PictureError(
                f"{path}: page {len(pages) - 1} differs from page 0 in size, depth, color or "
                "orientation; save the pages as files of their own."
            )
        images = re.match(rb"ImageJ=[^\n]*\nimages=(\d+)", bytes(tags.get("ImageDescription", ())))
    if images is not None and int(images[1]) != len(pages):
        raise PictureError(
            f"{path}: ImageJ wrote {int(images[1])} images with directories for {len(pages)}; "
            "save it as a standard TIFF first."
        )
    first = pages[0]
    color = first.photometric in (RGB, PALETTE)
    bits = first.bits
    if first.photometric == PALETTE:
        narrow = all(p.colormap is not None and p.colormap.dtype == np.uint8 for p in pages)
        bits = 8 if narrow else 16
        if not narrow:
            pages = [_wide(page) for page in pages]
    return TiffLayout(
        rows=first.rows,
        columns=first.columns,
        frames=len(pages),
        samples=3 if color else 1,
        bits=bits,
        orientation=first.orientation,
        pages=tuple(pages),
    )


def _wide(page: Page) -> Page:
    colormap = page.colormap
    if colormap is not None and colormap.dtype == np.uint8:
        colormap = colormap.astype(np.uint16) * np.uint16(257)
    return replace(page, colormap=colormap)


def _directories(path: Path, file: BinaryIO) -> Iterator[tuple[str, _Tags]]:
    """Yield byte order and tags of each directory of the chain."""
    file.seek(0)
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = 43 in (head[2], head[3])
    count, entry, link = (
        Struct(order + f) for f in (("Q", "HHQ", "Q") if big else ("H", "HHI", "I"))
    )
    inline = link.size
    seen: set[int] = set()
    # Tags that share their values can make a small file endless.
    left = _SHARED_VALUES * os.fstat(file.fileno()).st_size + _LONGEST
    try:
        (offset,) = link.unpack_from(head, 8 if big else 4)
        while offset:
            if offset in seen:
                raise PictureError(f"{path}: is damaged: its chain of directories is a circle.")
            if len(seen) >= _MOST_PAGES:
                raise LimitError(f"{path}: has more than {_MOST_PAGES} pages.")
            seen.add(offset)
            (entries,) = count.unpack(_at(path, file, offset, count.size))
            step = entry.size + inline
            body = _at(path, file, offset + count.size, entries * step + inline)
            tags: _Tags = {}
            for i in range(entries):
                tag, kind, n = entry.unpack_from(body, i * step)
                if tag in _TAGS and kind in _TYPES:
                    size = Struct(order + _TYPES[kind]).size * n
                    value = body[i * step + entry.size : (i + 1) * step]
                    left -= size
                    if _TAGS[tag] in tags or left < 0:
                        raise _damaged(path)
                    if size > inline:
                        value = _at(path, file, link.unpack(value)[0], size)
                    tags[_TAGS[tag]] = Struct(f"{order}{n}{_TYPES[kind]}").unpack(value[:size])
            yield order, tags
            (offset,) = link.unpack_from(body, entries * step)
    except (struct_error, OverflowError, OSError):
        raise _damaged(path) from None
    if not seen:
        raise _damaged(path)


def _at(path: Path, file: BinaryIO, offset: int, size: int) -> bytes:
    if size > _LONGEST or offset + size > os.fstat(file.fileno()).st_size:
        raise PictureError(f"{path}: is damaged or cut: a TIFF tag points beyond its end.")
    file.seek(offset)
    return file.read(size)


def _page(path: Path, tags: _Tags, order: str, size: int) -> Page:
    def one(name: str, default: int | None = None, *, maximum: int = 2**31 - 1) -> int:
        value = tags.get(name, () if default is None else (default,))
        if not value or len(set(value)) > 1:
            raise PictureError(f"{path}: {name} must be one number, got {len(value)}.")
        if not 0 <= value[0] <= maximum:
            raise PictureError(f"{path}: {name} must be at most {maximum}, got {value[0]}.")
        return value[0]

    rows, columns = one("ImageLength"), one("ImageWidth")
    if not rows or not columns:
        raise PictureError(f"{path}: its header says {rows} x {columns} pixels.")
    bits, kind = one("BitsPerSample", 1), _KINDS.get(one("SampleFormat", 1), "")
    compression, predictor = one("Compression", 1), one("Predictor", 1)
    if bits not in _WIDTHS.get(kind, ()):
        raise PictureError(f"{path}: SampleFormat and BitsPerSample say {kind or '?'}{bits}.")
    if compression not in _COMPRESSIONS or one("FillOrder", 1) != 1:
        raise PictureError(
            f"{path}: the compression {compression} is not decoded; save the picture without "
            "compression, or with LZW or Deflate."
        )
    if predictor not in (1, 2, 3) or (predictor == 3) > (kind == "f") or predictor > 1 > bits // 8:
        raise PictureError(f"{path}: the predictor {predictor} does not suit {bits} bits.")
    photometric, channels = one("PhotometricInterpretation"), one("SamplesPerPixel", 1)
    _check_channels(path, photometric, channels, tags.get("ExtraSamples"))
    if photometric == WHITE_IS_ZERO and kind != "u":
        raise PictureError(f"{path}: white is zero, which has no meaning for {kind}{bits}.")
    colormap = None
    if photometric == PALETTE:
        colormap = _colormap(path, tags.get("ColorMap", ()), bits, kind)
    orientation = one("Orientation", 1)
    tiled = "TileOffsets" in tags
    block = (
        (one("TileLength"), one("TileWidth"))
        if tiled
        else (min(rows, one("RowsPerStrip", rows, maximum=2**32 - 1)), columns)
    )
    if not all(block):
        raise _damaged(path)
    planar = one("PlanarConfiguration", 1) == 2 and channels > 1
    page = Page(
        rows=rows, columns=columns, channels=channels, bits=bits, kind=kind, order=order,
        photometric=photometric, orientation=orientation if 1 <= orientation <= 8 else 1,
        compression=compression,
        predictor=1 if compression in (1, 32773) else predictor,
        planar=planar, tiled=tiled, block=block,
        offsets=tags.get("TileOffsets" if tiled else "StripOffsets", ()),
        lengths=tags.get("TileByteCounts" if tiled else "StripByteCounts", ()),
        colormap=colormap,
    )  # fmt: skip
    _check_blocks(path, page, size)
    return page


def _check_channels(
    path: Path, photometric: int, channels: int, extra: tuple[int, ...] | None
) -> None:
    colors = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1}.get(photometric)
    if colors is None:
        raise PictureError(
            f"{path}: PhotometricInterpretation is {photometric}, and its samples are no "
            "intensities; convert the picture to grey or RGB first."
        )
    more = channels - colors
    if more not in (0, 1) or (more and photometric == PALETTE) or len(extra or ()) > more:
        raise PictureError(
            f"{path}: has {channels} samples a pixel, of which {colors} were expected, and one "
            "more for alpha; save the channels as pages."
        )


def _colormap(
    path: Path, values: tuple[int, ...], bits: int, kind: str
) -> NDArray[np.uint8 | np.uint16]:
    if kind != "u" or bits > 16 or len(values) != 3 << bits or max(values) > 0xFFFF:
        raise PictureError(f"{path}: its palette does not suit {bits} bits.")
    colors = np.array(values, np.uint16).reshape(3, -1).T
    # 8-bit colours are written either as v * 256 or as v * 257.
    high = colors >> 8
    if not (colors & 255).any() or np.array_equal(high * 257, colors):
        return high.astype(np.uint8)
    return colors


def _check_blocks(path: Path, page: Page, size: int) -> None:
    down, across = -(-page.rows // page.block[0]), -(-page.columns // page.block[1])
    expected = down * across * (page.channels if page.planar else 1)
    if len(page.offsets) != expected or len(page.lengths) != expected:
        raise PictureError(
            f"{path}: expected {expected} strips or tiles, got {len(page.offsets)} offsets and "
            f"{len(page.lengths)} lengths."
        )
    end = max(map(sum, zip(page.offsets, page.lengths, strict=True)))
    if end > size:
        raise PictureError(f"{path}: is cut: expected at least {end} bytes, got {size}.")


def _damaged(path: Path) -> PictureError:
    return PictureError(f"{path}: is damaged: it breaks the rules of TIFF.")
