"""Stored pixels out of the bytes of a DICOM pixel element: bit-exact, or an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import DicomError
from fastmm.read.layout import Layout
from fastmm.read.tags import label, quiet_pydicom

__all__ = [
    "decode_rle",
    "extend",
    "pick_channel",
    "valid_mask",
    "words",
]

# A pair of RLE bytes stands for at most 128 of the image.
_RLE_GAIN = 64


def words(raw: bytes, layout: Layout, *, big_endian: bool, word_vr: bool) -> NDArray[Any]:
    """View native bytes as unsigned containers, (frames, rows, columns[, samples])."""
    size = layout.allocated // 8
    flat = np.frombuffer(raw, np.dtype(f"{'>' if big_endian else '<'}u{size}"))
    if size == 1 and big_endian and word_vr:
        # OW in big endian swaps the bytes of each 16-bit word, 8-bit pixels included.
        flat = flat[: flat.size // 2 * 2].reshape(-1, 2)[:, ::-1].reshape(-1)
        if flat.size < layout.values:
            raise DicomError(f"{label('PixelData')} has an odd length in a VR of 16-bit words.")
    flat = flat[: layout.values].astype(f"u{size}", copy=False)
    return _shaped(flat, layout, layout.planar)


def decode_rle(path: Path, raw: bytes, layout: Layout) -> NDArray[Any]:
    """Decode RLE Lossless fragments into unsigned containers."""
    if layout.n_bytes > _RLE_GAIN * len(raw):
        raise DicomError(
            f"{path}: {label('PixelData')} is cut: {len(raw)} bytes of RLE cannot hold "
            f"{layout.n_bytes} bytes of pixels."
        )
    size = layout.allocated // 8
    with quiet_pydicom(path, "its RLE pixels are damaged"):
        from pydicom.pixels import get_decoder
        from pydicom.uid import RLELossless

        decoded, _ = get_decoder(RLELossless).as_buffer(
            raw,
            decoding_plugin="pydicom",
            rows=layout.rows,
            columns=layout.columns,
            number_of_frames=layout.frames,
            samples_per_pixel=layout.samples,
            photometric_interpretation=layout.photometric,
            planar_configuration=layout.planar,
            pixel_representation=int(layout.signed),
            bits_allocated=layout.allocated,
            bits_stored=layout.stored,
            pixel_keyword="PixelData",
        )
    flat = np.frombuffer(decoded, f"<u{size}")
    if flat.size < layout.values:
        raise DicomError(
            f"{path}: {label('PixelData')} is cut: expected {layout.n_bytes} bytes, "
            f"got {flat.nbytes}."
        )
    # Decoded RLE is planar, whatever PlanarConfiguration says.
    return _shaped(flat[: layout.values].astype(f"u{size}", copy=False), layout, planar=1)


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
    if layout.padding is None:
        return None
    kind = np.dtype(f"{'i' if layout.signed else 'u'}{layout.allocated // 8}")
    raw = np.array(layout.padding, f"u{kind.itemsize}").view(kind)
    low, high = int(raw.min()), int(raw.max())
    lowest, highest = layout.limits
    # Padding outside of the stored bits is met only before they are cut out.
    inside = lowest <= low and high <= highest
    where = values if inside else containers.view(kind)
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


def _shaped(flat: NDArray[Any], layout: Layout, planar: int) -> NDArray[Any]:
    shape = (layout.frames, layout.rows, layout.columns)
    if layout.samples == 1:
        return flat.reshape(shape)
    if planar == 0:
        return flat.reshape(*shape, layout.samples)
    return np.moveaxis(flat.reshape(layout.frames, layout.samples, *shape[1:]), 1, -1)
