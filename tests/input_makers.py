"""Files for the table of treacherous inputs, right by default and spoilt where asked."""

from __future__ import annotations

import gzip
import io
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import image, write
from input_cases import Make
from nifti_files import nifti
from PIL import Image
from pydicom.data import get_testdata_file

STEM = "1.2.840.10008.1.2.4."


RGB = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)


GREY = np.arange(20, dtype=np.uint8).reshape(4, 5)
VOXELS = np.random.default_rng(5).integers(-500, 500, (5, 4, 3)).astype(np.int16)


def one(pixels: Any = None, **tags: Any) -> Make:
    """Make one file; of a tag given as bytes these bytes are written, with its own VR."""
    return lambda d, n: write(d / "a.dcm", pixels, **tags)


def raw(**values: Any) -> Make:
    return lambda d, n: write(d / "a.dcm", raw=values)


def content(data: bytes | Callable[[], bytes], name: str = "a.dcm") -> Make:
    def make(d: Path, n: int) -> Path:
        (d / name).write_bytes(data() if callable(data) else data)
        return d / name

    return make


def edited(make: Make, edit: Callable[[bytes], bytes]) -> Make:
    def made(d: Path, n: int) -> Path:
        path = make(d, n)
        path.write_bytes(edit(path.read_bytes()))
        return path

    return made


def carried(name: str) -> Make:
    def make(d: Path, n: int) -> Path:
        found = get_testdata_file(name, download=False)
        if found is None:
            pytest.skip(f"pydicom does not carry {name}")
        decoder = {"jp2k": "openjpeg", "jpeg_ls": "jpeg_ls"}
        for part, module in decoder.items():
            if part in name:
                pytest.importorskip(module, reason=f"{name} needs the decoder {module}")
        return Path(shutil.copy(found, d / "a.dcm"))

    return make


def told(syntax: str) -> Callable[[bytes], bytes]:
    """Put another transfer syntax into the file meta information, its length right."""

    def edit(data: bytes) -> bytes:
        size = struct.unpack("<I", data[140:144])[0]
        meta, rest = data[144 : 144 + size], data[144 + size :]
        at = meta.index(b"\x02\0\x10\0UI")
        old = struct.unpack("<H", meta[at + 6 : at + 8])[0]
        uid = syntax.encode() + b"\0" * (len(syntax) % 2)
        meta = meta[: at + 6] + struct.pack("<H", len(uid)) + uid + meta[at + 8 + old :]
        return data[:140] + struct.pack("<I", len(meta)) + meta + rest

    return edit


def colour(photometric: str = "RGB", **tags: Any) -> Make:
    rgb = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    given = {"SamplesPerPixel": 3, "PhotometricInterpretation": photometric, "Modality": "OT",
             "PlanarConfiguration": 0, "PixelData": rgb.tobytes()} | tags  # fmt: skip
    return one(rgb[..., 0], **given)


def saved(kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(GREY).save(out, kind, **options)
    return out.getvalue()


def floats(values: np.ndarray) -> Make:
    gone = dict.fromkeys(["PixelData", "BitsStored", "HighBit", "PixelRepresentation"])
    given = {"FloatPixelData": ("OF", values.astype("<f4").tobytes())}
    return one(np.zeros(values.shape, np.int32), raw=given, **gone)


def slices(places: Callable[[int], Any] | None = None, **tags: Any) -> Make:
    """Make a folder of n slices whose names and InstanceNumbers go against their places."""

    def make(d: Path, n: int) -> Path:
        for z in range(n):
            where = [-10, -20, 30 + 2.5 * z] if places is None else places(z)
            given = {k: v(z) if callable(v) else v for k, v in tags.items()}
            write(d / "s" / f"{n - z:03d}.dcm", image(z), ImagePositionPatient=where,
                  InstanceNumber=(7 * z) % n, **given)  # fmt: skip
        return d / "s"

    return make


def plus(make: Make, add: Callable[[Path], object]) -> Make:
    def made(d: Path, n: int) -> Path:
        folder = make(d, n)
        add(folder)
        return folder

    return made


def stack(path: Path) -> np.ndarray:
    """Return the slices made by `slices` by position, read by pydicom."""
    found = [pydicom.dcmread(p) for p in sorted(path.glob("0*.dcm"), reverse=True)]
    return np.stack([ds.pixel_array for ds in found]).astype(float)


def nii(name: str = "a.nii", voxels: np.ndarray = VOXELS, **fields: Any) -> Make:
    pack = gzip.compress if name.endswith("gz") else bytes
    return content(lambda: pack(nifti(voxels, **fields)), name)


PLAIN = slices()
NOTHING = {
    "empty": (b"", "empty"),
    "zeros": (bytes(5000), "no DICOM file"),
    "text": (b"hello SECRET^NAME\n" * 50, "no DICOM file"),
    "zip": (b"PK\x03\x04" + bytes(500), "zip"),
    "marked": (bytes(128) + b"DICM" + bytes(range(256)), r"a\.dcm"),
}
