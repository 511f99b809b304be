"""What lies in a folder: files by the format their first bytes show, and none left out."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fastmm.errors import DicomError

__all__ = ["Contents", "kind_of", "look_into"]

_DICOM_SUFFIXES = {".dcm", ".dicom", ".ima"}
_PICTURES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_NIFTI_MAGIC = {b"n+1\0", b"ni1\0"}
_NIFTI_SIZES = {(348).to_bytes(4, o): 344 for o in ("little", "big")}
_NIFTI_SIZES |= {(540).to_bytes(4, o): 4 for o in ("little", "big")}
_NIFTI2_MAGIC = {b"n+2\0", b"ni2\0"}
_HEAD = 348
_OPEN = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass
class Contents:
    """The files under a folder, each list in the order of the paths.

    `skipped` call themselves DICOM by their suffix but are none; `other` are of no format
    that is read. Hidden files are in none of the lists.
    """

    dicom: list[Path] = field(default_factory=list)
    nifti: list[Path] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    other: list[Path] = field(default_factory=list)


def look_into(folder: Path) -> Contents:
    """Sort the files under a folder by their format.

    Links to files are followed, links to folders are not, so that no circle is walked.
    Pipes and devices are never opened.
    """
    found = Contents()
    for path, regular in _walk(folder):
        kind = _kind(path, _head(path)) if regular else ""
        if kind == "DICOM":
            found.dicom.append(path)
        elif kind == "NIfTI":
            found.nifti.append(path)
        elif kind:
            found.pictures.append(path)
        elif path.suffix.lower() in _DICOM_SUFFIXES:
            found.skipped.append(path)
        else:
            found.other.append(path)
    return found


def kind_of(path: Path) -> str:
    """Name the format of a file by its first bytes: "DICOM", "NIfTI", "PNG", ..., or ""."""
    return _kind(path, _head(path)) if stat.S_ISREG(path.stat().st_mode) else ""


def _kind(path: Path, head: bytes) -> str:
    if head[128:132] == b"DICM":
        return "DICOM"
    kind = next((kind for magic, kind in _PICTURES.items() if head.startswith(magic)), "")
    return kind or ("NIfTI" if _is_nifti(path, head) else "")


def _walk(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the files under a folder, and whether each is a regular one."""
    todo = [str(folder)]
    while todo:
        with os.scandir(todo.pop()) as entries:
            listed = sorted((e for e in entries if e.name[:1] != "."), key=lambda e: e.name)
        folders = []
        for entry in listed:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif not _is_linked_folder(entry):
                yield Path(entry.path), _is_regular(entry)
        todo += reversed(folders)


def _is_linked_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _is_regular(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _head(path: Path) -> bytes:
    try:
        # O_NONBLOCK: a pipe that took the place of the file meanwhile must not stop us.
        number = os.open(
            path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
        with os.fdopen(number, "rb", buffering=0) as file:
            return file.read(_HEAD) if stat.S_ISREG(os.fstat(number).st_mode) else b""
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOENT):
            return b""
        if isinstance(error, PermissionError):
            raise
        raise DicomError(f"{path}: cannot be read ({error.strerror}).") from None


def _is_nifti(path: Path, head: bytes) -> bool:
    if head.startswith(b"\x1f\x8b"):
        return path.name.lower().endswith((".nii.gz", ".hdr.gz"))
    at = _NIFTI_SIZES.get(head[:4])
    if at is None:
        return False
    magic = head[at : at + 4]
    return magic in (_NIFTI_MAGIC if at == 344 else _NIFTI2_MAGIC)
