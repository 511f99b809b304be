"""From a folder to the slices of one series, in order; never two series interleaved."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastmm.errors import DicomError, FastmmError, GeometryError
from fastmm.read.dicom import read_header, read_pixels
from fastmm.read.encoding import is_dicom
from fastmm.read.geometry import order_along_normal
from fastmm.read.header import Header, NoImageError
from fastmm.read.source import Slice
from fastmm.read.tags import label

__all__ = ["Member", "choose_series", "find_members", "sort_slices"]

_DICOM_SUFFIXES = {".dcm", ".dicom", ".ima"}


@dataclass(frozen=True)
class Member:
    """A DICOM file of a folder: its header, or what is wrong with it."""

    path: Path
    header: Header | None
    error: FastmmError | None = None


def find_members(folder: Path) -> tuple[list[Member], list[Path]]:
    """Read the headers of all DICOM images under a folder.

    Returns the members by path, and the files that call themselves DICOM by their suffix
    but are none. Links to folders are not followed.
    """
    paths: list[Path] = []
    skipped: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=_raise):
        folders.sort()
        for name in sorted(files):
            path = Path(parent, name)
            if _bears_mark(path):
                paths.append(path)
            elif path.suffix.lower() in _DICOM_SUFFIXES:
                skipped.append(path)
    members = [member for member in map(_member, paths) if member is not None]
    return members, skipped


def choose_series(
    folder: Path, headers: Sequence[Header], series: str | int | None
) -> list[Header]:
    """Return the slices of the one series there is, or of the chosen one."""
    groups = _groups(headers)
    if isinstance(series, str):
        groups = [group for group in groups if group[0].series == series]
        if not groups:
            raise ValueError(f"`series` names no series in {folder}.")
    elif series is not None:
        if not 0 <= series < len(groups):
            raise ValueError(
                f"`series` must lie in 0 to {len(groups) - 1}, got {series}.\n{_listed(groups)}"
            )
        groups = [groups[series]]
    if len(groups) != 1:
        raise DicomError(
            f"{folder}: holds {len(groups)} groups of images that form no common volume; choose "
            f"one with `series=` (number or SeriesInstanceUID):\n{_listed(groups)}"
        )
    _check_one(groups[0])
    return groups[0]


def sort_slices(headers: Sequence[Header]) -> tuple[list[Header], list[str]]:
    """Order single-frame slices along their normal; drop copies, which the notes tell."""
    first = headers[0]
    if len(headers) == 1:
        return [first], []
    for name in ("positions", "orientation"):
        lacking = next((h for h in headers if getattr(h, name) is None), None)
        if lacking is not None:
            tag = f"Image{name.removesuffix('s').capitalize()}Patient"
            raise GeometryError(
                f"{lacking.path}: {label(tag)} is missing, so its place in the series of "
                f"{len(headers)} slices is not known."
            )
    positions = np.array([h.positions[0] for h in headers if h.positions is not None])
    order, runs = order_along_normal(positions, first.orientation or ())
    dropped: set[int] = set()
    for run in runs:
        _check_copies([headers[i] for i in run], len(headers), runs)
        dropped.update(run[1:])
    notes = []
    if dropped:
        notes.append(f"{len(dropped)} slices are copies of others and were dropped")
    return [headers[i] for i in order if i not in dropped], notes


def _member(path: Path) -> Member | None:
    try:
        return Member(path, read_header(path))
    except NoImageError:
        return None
    except FastmmError as error:
        return Member(path, None, error)


def _bears_mark(path: Path) -> bool:
    try:
        return is_dicom(path)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOENT):  # a link in a circle, or to nowhere
            return False
        if isinstance(error, PermissionError):
            raise
        raise DicomError(f"{path}: cannot be read ({error.strerror}).") from None


def _raise(error: OSError) -> None:
    raise error


def _groups(headers: Sequence[Header]) -> list[list[Header]]:
    groups: list[list[Header]] = []
    for header in headers:
        for group in groups:
            if _belong_together(group[0], header):
                group.append(header)
                break
        else:
            groups.append([header])
    return groups


def _belong_together(a: Header, b: Header) -> bool:
    return (
        a.series == b.series
        and a.modality == b.modality
        and a.frame_of_reference == b.frame_of_reference
        and a.layout.frames == b.layout.frames == 1
        and (a.layout.rows, a.layout.columns) == (b.layout.rows, b.layout.columns)
        and np.allclose(a.spacing, b.spacing, rtol=1e-4, atol=0, equal_nan=True)
        and (a.orientation is None) == (b.orientation is None)
        and (a.orientation is None or np.allclose(a.orientation, b.orientation or (), atol=1e-3))
    )


def _check_one(group: Sequence[Header]) -> None:
    first = group[0]
    for what, values in (
        ("patients", [h.patient for h in group]),
        (label("PhotometricInterpretation"), [h.layout.photometric for h in group]),
        ("units", [h.units for h in group]),
    ):
        other = next((h for h, v in zip(group, values, strict=True) if v != values[0]), None)
        if other is not None:
            raise DicomError(
                f"{first.path} and {other.path} are of one series but differ in {what}; "
                "separate them first."
            )


def _check_copies(same: Sequence[Header], total: int, runs: Sequence[Sequence[int]]) -> None:
    first: Slice | None = None
    for header in same:
        other = read_pixels(header)
        first = first or other
        if not (
            np.array_equal(first.stored, other.stored)
            and np.array_equal(first.header.slope, header.slope)
            and np.array_equal(first.header.intercept, header.intercept)
        ):
            several = (
                f" All {total // len(same)} places hold {len(same)} images each: time points, "
                "echoes or b-values, which must be separated first."
                if len(runs) > 1 and len(runs) * len(same) == total
                else ""
            )
            raise GeometryError(
                f"{same[0].path} and {header.path} lie at the same place but differ in their "
                f"pixels.{several}"
            )


def _listed(groups: Sequence[Sequence[Header]]) -> str:
    return "\n".join(
        f"  {i}: {len(g)} x {g[0].modality or '?'}, {g[0].layout.frames} frame(s) of "
        f"{g[0].layout.rows} x {g[0].layout.columns}, first {g[0].path.name}"
        for i, g in enumerate(groups)
    )
