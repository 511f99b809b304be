"""What a folder holds that is no DICOM: one NIfTI file, or pictures that form a stack."""

from __future__ import annotations

from pathlib import Path

from fastmm.errors import DicomError, FastmmError
from fastmm.read.folder import Contents
from fastmm.read.sources import find_pictures

__all__ = ["beside", "files_of"]

_SHOWN = 5


def beside(contents: Contents) -> str:
    """Say which files of other formats are in a folder, "" where there are none."""
    counts = {"NIfTI file(s)": len(contents.nifti), "picture(s)": len(contents.pictures)}
    return " and ".join(f"{count} {what}" for what, count in counts.items() if count)


def files_of(path: Path, contents: Contents) -> list[Path]:
    """Return the only NIfTI file of a folder without DICOM, or its pictures in order."""
    if contents.nifti and contents.pictures:
        raise FastmmError(f"{path}: holds {beside(contents)}; give one of the files or folders.")
    if len(contents.nifti) > 1:
        names = ", ".join(p.name for p in contents.nifti[:_SHOWN])
        more = len(contents.nifti) - _SHOWN
        raise FastmmError(
            f"{path}: holds {len(contents.nifti)} NIfTI files "
            f"({names}{f' and {more} more' if more > 0 else ''}); give one."
        )
    if contents.nifti:
        return contents.nifti
    folders = sorted({p.parent for p in contents.pictures})
    if len(folders) > 1:
        raise FastmmError(
            f"{path}: holds pictures in {len(folders)} folders; give one of the folders."
        )
    if not folders:
        raise DicomError(f"{path}: holds no DICOM images, NIfTI files or pictures.")
    return find_pictures(folders[0])[0]
