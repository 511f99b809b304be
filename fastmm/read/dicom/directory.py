"""The DICOMDIR of a medium: which image files it refers to, none of them outside its folder."""

from __future__ import annotations

from pathlib import Path

from fastmm.errors import DicomError
from fastmm.read.dicom.elements import Scanner
from fastmm.read.dicom.encoding import SYNTAXES, data_set, opened
from fastmm.read.dicom.sequences import Item, read_items
from fastmm.read.dicom.tags import shown

__all__ = ["is_directory", "referenced_files"]

_CLASS = "1.2.840.10008.1.3.10"
_RECORDS, _IN_USE, _TYPE, _FILE = 0x00041220, 0x00041410, 0x00041430, 0x00041500
_WANTED = {_IN_USE: None, _TYPE: None, _FILE: None}


def is_directory(path: Path) -> bool:
    """Say whether a DICOM file is a DICOMDIR, by its class."""
    with opened(path) as file:
        return data_set(path, file)[1] == _CLASS


def referenced_files(path: Path) -> list[Path]:
    """Return the image files a DICOMDIR refers to, in its order.

    File IDs are looked up below its folder alone and in any case of letters, since file
    systems of discs differ in it. One that leads elsewhere, or to no file, is an error.
    """
    base = path.parent
    names = _Names()
    found: dict[Path, None] = {}
    missing: list[Path] = []
    for parts in _file_ids(path):
        file, there = _find(path, base, parts, names)
        if there:
            found[file] = None
        else:
            missing.append(file)
    if missing:
        # A file ID may be anything, so only the part of it that exists is shown.
        raise DicomError(
            f"{path}: {len(missing)} of the {len(missing) + len(found)} image files it refers to "
            f"are missing, the first from {missing[0]}; give the folder to read what is there."
        )
    if not found:
        raise DicomError(f"{path}: refers to no images.")
    return list(found)


def _file_ids(path: Path) -> list[tuple[str, ...]]:
    with opened(path) as file:
        syntax, _, data = data_set(path, file)
        implicit, little_endian = SYNTAXES[syntax]
        scanner = Scanner(path, data, implicit=implicit, little_endian=little_endian)
        scanner.check_vr()
        items: list[Item] = []
        for element in scanner.elements():
            if element.tag == _RECORDS:
                items = read_items(scanner, element, _WANTED)
                break
    order = "little" if little_endian else "big"
    ids = []
    for item in items:
        in_use = int.from_bytes(item.get(_IN_USE, b"\xff"), order)  # type: ignore[arg-type]
        if in_use == 0 or _text(item.get(_TYPE, b"")) != "IMAGE" or not item.get(_FILE):
            continue
        ids.append(_checked(path, _text(item[_FILE])))
    return ids


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "replace").strip(" \0")


def _checked(path: Path, text: str) -> tuple[str, ...]:
    """Split a file ID; nothing in it may be more than a name of a folder or file."""
    parts = tuple(part.strip(" \0") for part in text.split("\\"))
    for part in parts:
        if part in ("", ".", "..") or any(c in part for c in "/:\0\ufffd"):
            raise DicomError(
                f"{path}: ReferencedFileID (0004,1500) must name files below its folder, got "
                f"{shown(text)}."
            )
    return parts


class _Names:
    """The names in folders by their upper-case form, each folder listed once."""

    def __init__(self) -> None:
        self._known: dict[Path, dict[str, list[str]]] = {}

    def find(self, folder: Path, name: str) -> str | None:
        if folder not in self._known:
            listed: dict[str, list[str]] = {}
            for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
                listed.setdefault(entry.name.upper(), []).append(entry.name)
            self._known[folder] = listed
        names = self._known[folder].get(name.upper(), [])
        return name if name in names else names[0] if names else None


def _find(path: Path, base: Path, parts: tuple[str, ...], names: _Names) -> tuple[Path, bool]:
    """Return the file and True, or the deepest folder on the way that exists and False."""
    here = base
    for part in parts:
        name = names.find(here, part)
        if name is None:
            return here, False
        here /= name
    try:
        inside = here.resolve(strict=True).is_relative_to(base.resolve())
    except (OSError, RuntimeError):  # a link to nowhere, or in a circle
        return here, False
    if not inside:
        raise DicomError(f"{path}: refers to {here}, a link that leads out of its folder.")
    return here, here.is_file()
