"""What lies in a folder: files by the format their first bytes show, and none left out."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fastmm.errors import DicomError, FastmmError

__all__ = ["Contents", "is_folder", "kind_of", "look_into"]

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

    `skipped` call themselves DICOM by their suffix, or are named as the DICOM files beside
    them, but are none; `other` are of no format that is read. Hidden files are in none of
    the lists.
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
    _suspect_siblings(found)
    return found


def _suspect_siblings(found: Contents) -> None:
    """Call those skipped which are named as the DICOM files beside them: "IM07", "1.2.3.7"."""
    named = {(p.parent, _ending(p)) for p in found.dicom if p.name.upper() != "DICOMDIR"}
    suspects = [p for p in found.other if (p.parent, _ending(p)) in named]
    if suspects:
        found.other = [p for p in found.other if p not in set(suspects)]
        found.skipped = sorted([*found.skipped, *suspects])


def _ending(path: Path) -> str:
    # What follows the last dot of a UID is no suffix.
    return "" if path.suffix[1:].isdigit() else path.suffix.lower()


def kind_of(path: Path) -> str:
    """Name the format of a file by its first bytes: "DICOM", "NIfTI", "PNG", ..., or ""."""
    try:
        return _kind(path, _head(path)) if stat.S_ISREG(path.stat().st_mode) else ""
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as error:  # links in a circle, a name that is too long
        raise FastmmError(f"{path}: cannot be read ({error.strerror}).") from None


def is_folder(path: Path) -> bool:
    """Say whether a path is a folder; what else may be wrong with it, `kind_of` tells."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 (each of many files is asked)
    except PermissionError:
        raise
    except (OSError, ValueError):
        return False


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
