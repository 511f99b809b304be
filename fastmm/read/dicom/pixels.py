"""Stored pixels out of the bytes of a DICOM pixel element: bit-exact, or an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import DicomError
from fastmm.read.codecs.colour import unpack_422, ybr_to_rgb
from fastmm.read.dicom.layout import Layout
from fastmm.read.dicom.tags import label

__all__ = [
    "extend",
    "pick_channel",
    "valid_mask",
    "words",
]


def words(raw: bytes, layout: Layout, *, big_endian: bool, word_vr: bool) -> NDArray[Any]:
    """View native bytes as unsigned containers, (frames, rows, columns[, samples])."""
    size = layout.allocated // 8
    flat = np.frombuffer(raw, np.dtype(f"{'>' if big_endian else '<'}u{size}"))
    if size == 1 and big_endian and word_vr:
        # OW in big endian swaps the bytes of each 16-bit word, 8-bit pixels included.
        flat = flat[: flat.size // 2 * 2].reshape(-1, 2)[:, ::-1].reshape(-1)
        if flat.nbytes < layout.n_bytes:
            raise DicomError(f"{label('PixelData')} has an odd length in a VR of 16-bit words.")
    flat = flat[: layout.n_bytes // size].astype(f"u{size}", copy=False)
    if not layout.photometric.startswith("YBR"):
        return _shaped(flat, layout)
    if layout.subsampled:
        colours = unpack_422(flat, layout.rows, layout.columns)
    else:
        colours = _shaped(flat, layout)
    if layout.photometric not in ("YBR_FULL", "YBR_FULL_422") or layout.signed:
        raise DicomError(
            f"{label('PhotometricInterpretation')} {layout.photometric} has no meaning for "
            f"{'signed' if layout.signed else 'uncompressed'} pixels."
        )
    colours = colours >> (layout.high_bit + 1 - layout.stored) & (1 << layout.stored) - 1
    rgb = ybr_to_rgb(colours, layout.stored)
    return rgb << (layout.high_bit + 1 - layout.stored)


def extend(containers: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Cut BitsStored bits down from HighBit out of each container and extend the sign."""
    kind = np.dtype(f"{'i' if layout.signed else 'u'}{layout.allocated // 8}")
    values: NDArray[Any] = containers.view(kind)
    if layout.stored == layout.allocated:
        return values
    # Shifting up drops what lies above HighBit; shifting down again is arithmetic for
    # signed types, so it extends the sign, and drops what lies below.
    values = np.left_shift(values, kind.type(layout.allocated - 1 - layout.high_bit))
    values >>= kind.type(layout.allocated - layout.stored)
    return values


def valid_mask(
    containers: NDArray[Any], values: NDArray[Any], layout: Layout
) -> NDArray[np.bool_] | None:
    """Return False where a pixel is padding; None where none is."""
    if layout.padding_range is None:
        return None
    low, high, of_values = layout.padding_range
    kind = np.dtype(f"{'i' if layout.signed else 'u'}{layout.allocated // 8}")
    where = values if of_values else containers.view(kind)
    valid: NDArray[np.bool_] = (where < low) | (where > high)
    return None if valid.all() else valid


def pick_channel(
    path: Path, pixels: NDArray[Any], layout: Layout, channel: int | None
) -> NDArray[Any]:
    """Reduce colour to the chosen channel, or to any where red = green = blue."""
    if layout.samples == 1:
        return pixels
    if channel is not None:
        return pixels[..., channel]
    first = pixels[..., 0]
    if np.array_equal(first, pixels[..., 1]) and np.array_equal(first, pixels[..., 2]):
        return first
    raise DicomError(
        f"{path}: the image is in colour and its channels differ; "
        "choose one with `channel=` (0 red, 1 green, 2 blue)."
    )


def _shaped(flat: NDArray[Any], layout: Layout) -> NDArray[Any]:
    shape = (layout.frames, layout.rows, layout.columns)
    if layout.samples == 1:
        return flat.reshape(shape)
    if layout.planar == 0:
        return flat.reshape(*shape, layout.samples)
    return np.moveaxis(flat.reshape(layout.frames, layout.samples, *shape[1:]), 1, -1)
