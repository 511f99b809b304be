"""From encapsulated pixels to the containers an uncompressed file would hold."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import DicomError, LimitError
from fastmm.read import limits
from fastmm.read.codecs import pool as processes
from fastmm.read.codecs.choosing import CODECS, RLE, choose_decoder
from fastmm.read.codecs.codestream import Codestream, CodestreamError, read_codestream
from fastmm.read.codecs.colour import ybr_to_rgb
from fastmm.read.codecs.encapsulated import read_fragments, split_frames
from fastmm.read.codecs.entropy import HUFFMAN, check_entropy
from fastmm.read.codecs.process import DecoderError
from fastmm.read.codecs.rle import RleError, decode_rle
from fastmm.read.dicom.layout import Layout
from fastmm.read.dicom.tags import label

__all__ = ["read_encapsulated"]

# The limits that are set in fastmm.read.limits count from these sizes on.
_SMALL = 32 << 20
_TIMED_BYTES = 64 << 20
_SPREADING = threading.Lock()
_RLE_GAIN = 64  # a pair of bytes stands for at most 128 of the image
_JPEG_2000 = 0x51


def read_encapsulated(
    path: Path, file: BinaryIO, offset: int, syntax: str, layout: Layout
) -> tuple[NDArray[Any], int]:
    """Read and decode compressed pixels.

    Parameters
    ----------
    path : pathlib.Path
        Named in errors.
    file : binary file
        Open and seekable.
    offset : int
        Of the value of PixelData.
    syntax : str
        UID of the transfer syntax, one of `CODECS`.
    layout : Layout
        What the header promises.

    Returns
    -------
    containers : ndarray of shape (frames, rows, columns[, 3]), unsigned
        As an uncompressed file holds them; colours are red, green and blue.
    n_bytes : int
        Bytes of compressed data.

    Raises
    ------
    DicomError
        If the pixels are damaged, contradict the header, or no decoder is installed.
    LimitError
        If they promise more than `MAX_EXPANSION` allows.

    Notes
    -----
    Native decoders run in processes of their own, several frames at a time.
    """
    fragments = read_fragments(path, file, offset)
    n_bytes = fragments.n_bytes
    if syntax == RLE and layout.n_bytes > _RLE_GAIN * n_bytes:
        raise DicomError(
            f"{path}: {label('PixelData')} is cut: {n_bytes} bytes of RLE cannot hold "
            f"{layout.n_bytes} bytes of pixels."
        )
    if layout.n_bytes > max(_SMALL, limits.MAX_EXPANSION * n_bytes):
        raise LimitError(
            f"{path}: {n_bytes} compressed bytes promise {layout.n_bytes} bytes of pixels, more "
            f"than {limits.MAX_EXPANSION} times as many (fastmm.read.limits.MAX_EXPANSION); "
            "raise the limit if the file is right."
        )
    frames = split_frames(path, fragments, layout.frames)
    del fragments
    if syntax == RLE:
        return _decode_rle(path, frames, layout), n_bytes
    # All headers first: a contradiction in the last frame must not cost the decoding.
    streams = [_checked(path, syntax, layout, i, data) for i, data in enumerate(frames)]
    shape = (layout.frames, layout.rows, layout.columns)
    out = np.empty(shape + (layout.samples,) * (layout.samples > 1), f"u{layout.allocated // 8}")

    def decode(i: int) -> None:
        out[i] = _decode_frame(path, syntax, layout, i, *streams[i])

    _each_frame(decode, layout.frames)
    return out, n_bytes


def _each_frame(decode: Callable[[int], None], frames: int) -> None:
    workers = min(frames, processes.WORKERS)
    # Where several threads read files, one of them spreads its frames; that is enough.
    if workers == 1 or not _SPREADING.acquire(blocking=False):
        for i in range(frames):
            decode(i)
        return
    try:
        with ThreadPoolExecutor(workers) as pool:
            try:
                for _ in pool.map(decode, range(frames)):
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        _SPREADING.release()


def _checked(
    path: Path, syntax: str, layout: Layout, index: int, data: bytes
) -> tuple[str, Codestream]:
    try:
        found = read_codestream(data)
    except CodestreamError as error:
        raise _damaged(path, syntax, index, str(error)) from None
    for name, ours, its in (
        ("Rows", layout.rows, found.rows),
        ("Columns", layout.columns, found.columns),
        ("SamplesPerPixel", layout.samples, found.samples),
    ):
        if ours != its:
            raise DicomError(
                f"{path}: {label(name)} is {ours}, but the codestream of frame {index} says {its}."
            )
    if found.precision > layout.allocated:
        raise DicomError(
            f"{path}: {label('BitsAllocated')} is {layout.allocated}, but the codestream of frame "
            f"{index} has {found.precision} bits."
        )
    if layout.high_bit != layout.stored - 1 and found.precision <= layout.high_bit:
        raise DicomError(
            f"{path}: {label('HighBit')} is {layout.high_bit}, but the codestream of frame {index} "
            f"has {found.precision} bits only."
        )
    if layout.samples > 1:
        _check_colour(path, layout, index, found)
    return choose_decoder(path, syntax, found), found


def _check_colour(path: Path, layout: Layout, index: int, found: Codestream) -> None:
    """Refuse colours of which the codestream and the header do not say the same."""
    told, says = layout.photometric, found.colour
    if found.process == _JPEG_2000:
        # YBR_ICT and YBR_RCT name the transform the decoder undoes; RGB is often left there.
        fits = says == "RGB" if told in ("YBR_ICT", "YBR_RCT") else told in ("RGB", "YBR_FULL")
        fits = fits and not (told == "YBR_FULL" and says)
        says = "a" if says else "no"
        says += " component transform"
    else:
        # Some writers leave RGB in the header though an Adobe marker says what they wrote.
        fits = (told == "RGB" and (says in ("RGB", "") or found.adobe)) or (
            told in ("YBR_FULL", "YBR_FULL_422") and says in ("YBR", "")
        )
    if not fits:
        raise DicomError(
            f"{path}: {label('PhotometricInterpretation')} {told} contradicts the "
            f"codestream of frame {index}, which has {says or 'no'} colours."
        )
    if told.startswith("YBR_FULL") and (layout.signed or found.precision != layout.stored):
        raise DicomError(
            f"{path}: {label('PhotometricInterpretation')} {told} needs unsigned samples of "
            f"{layout.stored} bits, got {found.precision}."
        )


def _decode_frame(
    path: Path, syntax: str, layout: Layout, index: int, decoder: str, found: Codestream
) -> NDArray[Any]:
    if found.process in HUFFMAN:
        try:
            check_entropy(found.data)
        except CodestreamError as error:
            raise _damaged(path, syntax, index, str(error)) from None
    size = 1 if found.precision <= 8 else 2 if found.precision <= 16 else 4
    shape = (layout.rows, layout.columns) + (layout.samples,) * (layout.samples > 1)
    samples = np.empty(shape, f"<{'i' if found.signed else 'u'}{size}")
    seconds = limits.DECODE_SECONDS * -(-samples.nbytes // _TIMED_BYTES)
    try:
        processes.decode(
            decoder,
            found.data,
            (layout.rows, layout.columns, layout.samples),
            samples.reshape(-1).view(np.uint8).data,
            seconds,
        )
    except DecoderError as error:
        raise _damaged(path, syntax, index, f"the decoder failed: {error}") from None
    if found.colour == "YBR" or layout.photometric in ("YBR_FULL", "YBR_FULL_422"):
        samples = ybr_to_rgb(samples, found.precision)
    return _contained(path, syntax, layout, index, samples, found)


def _contained(
    path: Path, syntax: str, layout: Layout, index: int, samples: NDArray[Any], found: Codestream
) -> NDArray[Any]:
    """Put samples into containers, where their bits mean what the header says.

    A codestream as wide as BitsStored holds those bits, whatever it says of their sign. A
    wider one holds the container. In a narrower one the sign has to be told by either.
    """
    precision, stored = found.precision, layout.stored
    if precision < stored and found.signed != layout.signed:
        # Read with the other sign, the highest bit would mean something else.
        top = samples.min() < 0 if found.signed else samples.max() >= 1 << (precision - 1)
        if top:
            raise DicomError(
                f"{path}: {label('PixelRepresentation')} is {int(layout.signed)}, but the "
                f"codestream of frame {index} is {'' if found.signed else 'un'}signed, and its "
                f"{precision} bits are fewer than {label('BitsStored')}."
            )
    if precision > stored and not CODECS[syntax].lossless:
        # Noise of the compression may pass the end of the range; cut, it would wrap around.
        half = 1 << (precision - 1)
        wide = samples.astype(np.int64)
        if layout.signed and not found.signed:
            wide = (wide ^ half) - half
        low, high = layout.limits
        shift = layout.high_bit + 1 - stored
        if wide.min() >> shift < low or wide.max() >> shift > high:
            raise DicomError(
                f"{path}: {label('BitsStored')} is {stored}, but the codestream of frame {index} "
                f"holds values of up to {precision} bits."
            )
    kind = np.dtype(f"{'i' if found.signed else 'u'}{layout.allocated // 8}")
    return samples.astype(kind, copy=False).view(f"u{kind.itemsize}")


def _decode_rle(path: Path, frames: list[bytes], layout: Layout) -> NDArray[Any]:
    size = layout.allocated // 8
    shape = (layout.frames, layout.rows, layout.columns)
    out = np.empty(shape + (layout.samples,) * (layout.samples > 1), f"<u{size}")
    raw = out.view(np.uint8).reshape(*shape, layout.samples, size)
    for i, data in enumerate(frames):
        try:
            raw[i] = decode_rle(data, layout.rows, layout.columns, layout.samples, size)
        except RleError as error:
            raise _damaged(path, RLE, i, str(error)) from None
    if layout.photometric == "YBR_FULL":
        return ybr_to_rgb(out, layout.stored)
    return out.astype(f"u{size}", copy=False)


def _damaged(path: Path, syntax: str, index: int, what: str) -> DicomError:
    return DicomError(
        f"{path}: the {CODECS[syntax].name} pixels of frame {index} are damaged: {what}."
    )
