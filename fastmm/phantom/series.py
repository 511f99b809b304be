"""Write the scans of the synthetic cohort as DICOM series, as a scanner would export them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastmm.phantom.anatomy import draw_anatomy
from fastmm.phantom.people import UID_ROOT, CohortPlan, Person, Purpose
from fastmm.phantom.scanners import Grid, ct_slices, mr_slices

__all__ = ["write_series"]

_FIELD = {"ct": 380.0, "mr": 400.0}  # field of view across, mm
_DEPTH = 300.0  # the field of view front to back that every chest fits in, mm
_STEP = 5.0  # between slices, mm
_SOP_CLASS = {"ct": "1.2.840.10008.5.1.4.1.1.2", "mr": "1.2.840.10008.5.1.4.1.1.4"}
_SYNTHETIC_DATA = 0x0008001C  # newer than some DICOM dictionaries in use


def write_series(folder: Path, study: CohortPlan, person: Person, modality: str) -> None:
    """Write the slices of one scan into a new folder."""
    folder.mkdir(parents=True)
    rows, columns = study.shape
    # Rounded, since DICOM holds a decimal of 16 characters and the picture must agree.
    pitch = round(max(_FIELD[modality] / columns, _DEPTH / rows), 6)
    grid = Grid(rows, columns, pitch)
    anatomy = draw_anatomy(study.stream(Purpose.ANATOMY, person.number), person.signs)
    heights = (np.arange(study.slices) - (study.slices - 1) / 2) * _STEP
    scan, purpose = (ct_slices, Purpose.CT) if modality == "ct" else (mr_slices, Purpose.MR)
    images = scan(anatomy, heights.tolist(), grid, study.stream(purpose, person.number))
    dataset = _header(study, person, modality, pitch)
    # Scanners excite every other slice first, and number files as they come.
    excited = [*range(0, study.slices, 2), *range(1, study.slices, 2)]
    for index, image in enumerate(images):
        height = round(float(heights[index]), 3)
        instance = study.slices - index if modality == "ct" else index + 1
        dataset.SOPInstanceUID = study.uid(person.number, modality, index)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.InstanceNumber = instance
        dataset.ImagePositionPatient = [round(grid.left, 6), round(grid.top, 6), height]
        dataset.SliceLocation = height
        stored = np.clip(np.rint(image + (1024 if modality == "ct" else 0)), 0, 4095)
        dataset.PixelData = stored.astype("<u2").tobytes()
        path = folder / f"I{1000 + excited.index(index) + 1}.dcm"
        dataset.save_as(path, enforce_file_format=True)


def _header(study: CohortPlan, person: Person, modality: str, pitch: float) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _SOP_CLASS[modality]
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = f"2.25.{UID_ROOT.int}"
    meta.ImplementationVersionName = "FASTMM_PHANTOM"
    dataset = Dataset()
    dataset.file_meta = meta
    entries = {
        **_COMMON,
        **_OF_MODALITY[modality],
        "SOPClassUID": _SOP_CLASS[modality],
        "PatientName": f"PHANTOM^{person.number:04d}",
        "PatientID": person.name,
        "StudyInstanceUID": study.uid(person.number),
        "SeriesInstanceUID": study.uid(person.number, modality),
        "FrameOfReferenceUID": study.uid(person.number, "frame"),
        "Rows": study.shape[0],
        "Columns": study.shape[1],
        "PixelSpacing": [pitch, pitch],
    }
    for keyword, value in entries.items():
        setattr(dataset, keyword, value)
    dataset.add_new(_SYNTHETIC_DATA, "CS", "YES")
    return dataset


_COMMON: dict[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 192",
    "StudyDate": "20200101",
    "SeriesDate": "20200101",
    "StudyTime": "120000",
    "SeriesTime": "120000",
    "AccessionNumber": "",
    "ReferringPhysicianName": "",
    "PatientBirthDate": "",
    "PatientSex": "",
    "StudyID": "1",
    "StudyDescription": "SYNTHETIC phantom, no patient",
    "ImageComments": "synthetic phantom",
    "BurnedInAnnotation": "NO",
    "Manufacturer": "fastmm",
    "PatientPosition": "HFS",
    "PositionReferenceIndicator": "",
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "SliceThickness": _STEP,
    "AcquisitionNumber": 1,
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
}
_OF_MODALITY: dict[str, dict[str, Any]] = {
    "ct": {
        "Modality": "CT",
        "SeriesNumber": 1,
        "SeriesDescription": "Phantom CT",
        "BodyPartExamined": "CHEST",
        "ImageType": ["DERIVED", "PRIMARY", "AXIAL"],
        "KVP": 120,
        "RescaleIntercept": -1024,
        "RescaleSlope": 1,
        "RescaleType": "HU",
    },
    "mr": {
        "Modality": "MR",
        "SeriesNumber": 2,
        "SeriesDescription": "Phantom T1 fat suppressed",
        "BodyPartExamined": "CHEST",
        "ImageType": ["DERIVED", "PRIMARY", "OTHER"],
        "ScanningSequence": "GR",
        "SequenceVariant": "SP",
        "ScanOptions": "FS",
        "MRAcquisitionType": "2D",
        "RepetitionTime": 4,
        "EchoTime": 2,
        "EchoTrainLength": 1,
    },
}
