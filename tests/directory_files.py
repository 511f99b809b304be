"""Small DICOMDIR files for tests, right by default and wrong where asked."""

from __future__ import annotations

import warnings
from pathlib import Path

import pydicom
from dicom_files import PATIENT, PATIENT_ID
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

MEDIA = "1.2.840.10008.1.3.10"


def write_directory(
    path: Path,
    ids: list[object],
    *,
    kind: str = "IMAGE",
    in_use: int = 0xFFFF,
    syntax: str = "1.2.840.10008.1.2.1",
) -> Path:
    """Write a DICOMDIR with one patient and a flat list of records below."""
    with warnings.catch_warnings():  # pydicom warns of names that are none
        warnings.simplefilter("ignore")
        return _write(path, ids, kind, in_use, syntax)


def _write(path: Path, ids: list[object], kind: str, in_use: int, syntax: str) -> Path:
    ds = Dataset()
    ds.FileSetID = "DISC"
    top = Dataset()
    top.DirectoryRecordType, top.RecordInUseFlag = "PATIENT", 0xFFFF
    top.PatientName, top.PatientID = PATIENT, PATIENT_ID
    records = [top]
    for file_id in ids:
        record = Dataset()
        record.RecordInUseFlag, record.DirectoryRecordType = in_use, kind
        record.ReferencedFileID = file_id
        records.append(record)
    ds.DirectoryRecordSequence = Sequence(records)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = MEDIA
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(path, ds, enforce_file_format=True)
    return path
