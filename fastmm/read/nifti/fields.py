"""The fields of a NIfTI header, one by one: each a value that can be right, or an error."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from fastmm.errors import LimitError, NiftiError

__all__ = ["EXPECTED", "dtype_of", "grid_of", "offset_of", "pair_of", "parse", "scaling_of"]

EXPECTED = "one NIfTI file"
# Datatype codes whose voxels are one real number of at most 64 bits.
_DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4",
           1024: "i8", 1280: "u8"}  # fmt: skip
_OTHERS = {1: "bits", 32: "complex numbers", 128: "RGB colors", 1536: "128-bit floats",
           1792: "complex numbers", 2048: "complex numbers", 2304: "RGBA colors"}  # fmt: skip
_MAGIC = {348: (344, (b"n+1\0", b"ni1\0")), 540: (4, (b"n+2\0", b"ni2\0"))}
_PARTNERS = {".hdr": ".img", ".img": ".hdr"}
# The header and its extensions; they hold comments, at most some tables.
_LONGEST_HEADER = 64 << 20


def pair_of(path: Path) -> tuple[Path, Path]:
    """Return the files with the header and with the voxels."""
    zipped = path.suffix if path.suffix.lower() == ".gz" else ""
    bare = path.with_suffix("") if zipped else path
    partner = _PARTNERS.get(bare.suffix.lower())
    if partner is None:
        return path, path
    other = Path(f"{bare.with_suffix(partner.upper() if bare.suffix.isupper() else partner)}")
    other = other.with_name(other.name + zipped)
    return (path, other) if partner == ".img" else (other, path)


def parse(path: Path, block: bytes, paired: bool) -> tuple[Any, bool]:
    """Return nibabel's header, and whether the voxels follow in the same file."""
    if not block:
        raise NiftiError(f"{path}: is empty; {EXPECTED} was expected.")
    sizes = {int.from_bytes(block[:4], order): order for order in ("big", "little")}
    size = next((s for s in sizes if s in _MAGIC), 0)
    if not size:
        raise NiftiError(f"{path}: is no NIfTI file; its header has neither size of NIfTI.")
    if len(block) < size:
        raise NiftiError(f"{path}: its header is cut: expected {size} bytes, got {len(block)}.")
    at, magics = _MAGIC[size]
    magic = block[at : at + 4]
    if magic not in magics:
        raise NiftiError(
            f"{path}: is an Analyze 7.5 file or damaged: without the mark of NIfTI its "
            "orientation is not known; convert it to NIfTI first."
        )
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    kind = Nifti1Header if size == 348 else Nifti2Header
    order = "<" if sizes[size] == "little" else ">"
    single = magic == magics[0]
    if single == paired:
        raise NiftiError(
            f"{path}: its mark says that the voxels are in "
            f"{'this file' if single else 'a file of their own'}, its name the contrary."
        )
    return kind(block[:size], order, False), single


def grid_of(path: Path, head: Any) -> tuple[int, int, int, int]:
    """Return (times, z, y, x), 1 for the axes that are not there."""
    dim = [int(n) for n in head["dim"]]
    if not 1 <= dim[0] <= 7:
        raise NiftiError(f"{path}: dim[0] must lie in 1 to 7, got {dim[0]}.")
    size = dim[1 : dim[0] + 1]
    for axis, length in enumerate(size):
        if length < 1:
            raise NiftiError(f"{path}: dim[{axis + 1}] must be at least 1, got {length}.")
    while len(size) > 4 and size[-1] == 1:
        size.pop()
    if len(size) > 4:
        raise NiftiError(
            f"{path}: has {len(size)} axes of sizes {tuple(size)}: vectors or several contrasts; "
            "images of three axes, and time, are read."
        )
    x, y, z, times = size + [1] * (4 - len(size))
    return times, z, y, x


def dtype_of(path: Path, head: Any) -> np.dtype[Any]:
    """Return the dtype of the voxels with its byte order; one real number each."""
    code, bits = int(head["datatype"]), int(head["bitpix"])
    if code not in _DTYPES:
        raise NiftiError(
            f"{path}: holds {_OTHERS.get(code, 'an unknown datatype')} (datatype {code}); one "
            "real number of at most 64 bits a voxel is read."
        )
    dtype = np.dtype(_DTYPES[code]).newbyteorder(head.endianness)
    if bits not in (0, 8 * dtype.itemsize):
        raise NiftiError(
            f"{path}: bitpix must be {8 * dtype.itemsize} for datatype {code}, got {bits}."
        )
    return dtype


def offset_of(path: Path, head: Any, single: bool) -> int:
    """Return where the voxels begin; extensions before them are never unbounded."""
    offset, first = float(head["vox_offset"]), int(head["sizeof_hdr"]) if single else 0
    if not math.isfinite(offset) or offset != int(offset) or not offset >= first:
        raise NiftiError(
            f"{path}: vox_offset must be an integer of at least {first}, got {offset:g}."
        )
    if offset > _LONGEST_HEADER:
        raise LimitError(
            f"{path}: vox_offset says that {offset:g} bytes of extensions come before the voxels; "
            f"at most {_LONGEST_HEADER} are skipped."
        )
    return int(offset)


def scaling_of(path: Path, head: Any) -> tuple[float, float]:
    """Return slope and intercept; a slope of 0 or NaN means no scaling, as in nibabel."""
    slope, intercept = float(head["scl_slope"]), float(head["scl_inter"])
    if slope == 0 or math.isnan(slope):
        return 1.0, 0.0
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise NiftiError(
            f"{path}: scl_slope and scl_inter must be finite, got {slope:g} and {intercept:g}."
        )
    return slope, intercept
