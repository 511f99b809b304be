"""Pictures compressed by the encoders that the decoders are compared with."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import write
from pydicom.encaps import encapsulate

STEM = "1.2.840.10008.1.2.4."
J2K, JLS, BASELINE, LOSSLESS = STEM + "90", STEM + "80", STEM + "50", STEM + "70"


def picture(seed: int, bits: int, signed: bool = False, shape=(40, 36)) -> np.ndarray:
    """Return smooth pixels with noise that reach both ends of their range."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    wave = np.sin(x / 5 + seed) + np.cos(y / 7) + rng.normal(0, 0.05, shape)
    scaled = (wave - wave.min()) / np.ptp(wave) * ((1 << bits) - 1)
    size = 1 if bits <= 8 else 2
    values = np.round(scaled).astype(np.int64) - (1 << (bits - 1) if signed else 0)
    return values.astype(f"{'i' if signed else 'u'}{size}")


def encode(syntax: str, pixels: np.ndarray, bits: int) -> bytes:
    """Encode a frame; signed pixels as the bits they have, save in JPEG 2000."""
    unsigned = pixels.view(f"u{pixels.itemsize}") & ((1 << bits) - 1)
    colour = pixels.ndim == 3
    if syntax in (STEM + "90", STEM + "91"):
        utils = pytest.importorskip("openjpeg.utils")
        kind = 1 if colour else 2
        return bytes(utils.encode_array(pixels, bits_stored=bits, photometric_interpretation=kind))
    if syntax in (STEM + "80", STEM + "81"):
        jls = pytest.importorskip("jpeg_ls")
        return bytes(
            jls.encode_buffer(
                unsigned.tobytes(), *pixels.shape[:2], 3 if colour else 1, bits,
                interleave_mode=2 if colour else 0,
            )
        )  # fmt: skip
    imagecodecs = pytest.importorskip("imagecodecs")
    if syntax in (STEM + "57", STEM + "70"):
        return imagecodecs.jpeg8_encode(unsigned, lossless=True, bitspersample=bits)
    assert syntax in (STEM + "201", STEM + "202", STEM + "203")
    return imagecodecs.htj2k_encode(pixels)


def compressed(path: Path, syntax: str, frames, pixels: np.ndarray, bits: int, **tags) -> Path:
    """Write a file of encoded frames; `pixels` has the shape and type of one of them."""
    frames = [frames] if isinstance(frames, bytes) else list(frames)
    colour = {"SamplesPerPixel": 3, "PlanarConfiguration": 0} if pixels.ndim == 3 else {}
    if len(frames) > 1:
        colour["NumberOfFrames"] = len(frames)
    first = pixels[..., 0] if pixels.ndim == 3 else pixels
    tags = {"BitsStored": bits, "HighBit": bits - 1, "Modality": "OT", **colour, **tags}
    write(path, first, **tags)
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate(frames)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path)
    return path


def carried(pattern: str) -> list[Path]:
    """Find files that pydicom and pydicom-data carry, without pydicom's own search.

    That one would download what is not there.
    """
    folders = [Path(pydicom.__file__).parent / "data" / "test_files"]
    store = find_spec("data_store")
    if store is not None and store.origin is not None:
        folders.append(Path(store.origin).parent / "data")
    return [path for folder in folders for path in sorted(folder.glob(pattern))]
