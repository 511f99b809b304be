"""Tags of one DICOM file that few callers need, read in a second, short pass over its header."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from fastmm.read.dicom.elements import Scanner
from fastmm.read.dicom.encoding import SYNTAXES, data_set, opened

__all__ = ["read_extra"]

_LONGEST = 256


def read_extra(path: Path, wanted: Collection[int]) -> tuple[dict[int, bytes], bool]:
    """Read short values by tag; return those that are there, and whether little-endian."""
    last = max(wanted)
    with opened(path) as file:
        syntax, _, data = data_set(path, file)
        implicit, little_endian = SYNTAXES[syntax]
        scanner = Scanner(path, data, implicit=implicit, little_endian=little_endian)
        found: dict[int, bytes] = {}
        for element in scanner.elements():
            if element.tag > last:
                break
            if element.tag in wanted and element.length <= _LONGEST:
                found[element.tag] = scanner.value(element)
    return found, little_endian
