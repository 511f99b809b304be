"""Small DICOM files for tests, right by default and wrong where asked."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

PATIENT = "SECRET^NAME"
PATIENT_ID = "00123SECRET"
BIRTH = "19700102"
SERIES = "1.2.826.0.1.3680043.8.498.1"


def image(seed: int = 0, shape: tuple[int, ...] = (6, 5), low: int = -1000, high: int = 1000):
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.int16)


def dataset(pixels: np.ndarray | None = None, **tags: Any) -> Dataset:
    """Return a CT slice; a tag given as None is left out."""
    pixels = image() if pixels is None else pixels
    bits = pixels.dtype.itemsize * 8
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, SERIES + ".9"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = PATIENT, PATIENT_ID, BIRTH
    ds.Modality, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "CT", SERIES, SERIES + ".7"
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-10, -20, 30], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [0.5, 0.75], 2
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape[-2:]
    ds.BitsAllocated = ds.BitsStored = bits
    ds.HighBit, ds.PixelRepresentation = bits - 1, int(pixels.dtype.kind == "i")
    ds.RescaleSlope, ds.RescaleIntercept = 1, 0
    data = pixels.tobytes()
    ds.add_new("PixelData", "OB" if bits == 8 else "OW", data + b"\0" * (len(data) % 2))
    for name, value in tags.items():
        if value is None:
            delattr(ds, name)
        else:
            setattr(ds, name, value)
    return ds


def write(
    path: Path,
    pixels: np.ndarray | None = None,
    *,
    syntax: str = ExplicitVRLittleEndian,
    raw: dict[str, tuple[str, bytes]] | None = None,
    **tags: Any,
) -> Path:
    """Write a CT slice; `raw` sets elements to (VR, bytes) past all of pydicom's checks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = dataset(pixels, **tags)
        for name, (vr, value) in (raw or {}).items():
            tag = Tag(name)
            ds[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = syntax
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        path.parent.mkdir(parents=True, exist_ok=True)
        ds.save_as(path, enforce_file_format=True)
    return path


def write_series(folder: Path, n: int = 4, *, step: float = 2.5, **tags: Any) -> np.ndarray:
    """Write slices along z, file names in another order; return them by position."""
    folder.mkdir(parents=True, exist_ok=True)
    stack = np.stack([image(seed) for seed in range(n)])
    for z in range(n):
        name = f"{(z * 7 + 3) % n:03d}_{n - z:03d}.dcm"
        position = [-10, -20, 30 + step * z]
        write(folder / name, stack[z], **{"ImagePositionPatient": position, **tags})
    return stack


def carried_file(name: str) -> str:
    """Return the path of a file that comes with pydicom."""
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"pydicom does not carry {name}")
    return path
