"""From a folder to the slices of one series; never two series interleaved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastmm.errors import DicomError, FastmmError
from fastmm.read.dicom.header import Header, NoImageError
from fastmm.read.dicom.heads import read_headers
from fastmm.read.dicom.stacking import sort_slices
from fastmm.read.dicom.tags import label
from fastmm.read.folder import look_into

__all__ = [
    "Member",
    "choose_series",
    "differences",
    "find_members",
    "group_headers",
    "read_members",
    "sort_slices",
]

# Spacings may differ by this share, direction cosines by this much, within one series.
_LISTED = 20  # groups in an error
_SPACING_SHARE, _COSINE = 1e-4, 1e-3


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
    contents = look_into(folder)
    members, _ = read_members(contents.dicom)
    return members, contents.skipped


def read_members(paths: Iterable[Path]) -> tuple[list[Member], list[Path]]:
    """Read the headers of DICOM files; return the images, and the objects without pixels."""
    members, no_images = [], []
    paths = list(paths)
    for path, found in zip(paths, read_headers(paths), strict=True):
        if isinstance(found, NoImageError):
            no_images.append(path)
        elif isinstance(found, FastmmError):
            members.append(Member(path, None, found))
        elif isinstance(found, OSError):
            raise found
        else:
            members.append(Member(path, found))
    return members, no_images


def choose_series(
    folder: Path, headers: Sequence[Header], series: str | int | None, beside: str = ""
) -> list[Header]:
    """Return the slices of the one series there is, or of the chosen one.

    `beside` says what else lies in the folder, which must not be mistaken for part of it.
    """
    groups = list(enumerate(group_headers(headers)))
    listed = _listed(folder, groups)
    if isinstance(series, str):
        groups = [(i, group) for i, group in groups if group[0].series == series]
        if not groups:
            raise ValueError(f"`series` names no series in {folder}.\n{listed}")
        listed = _listed(folder, groups)
    elif series is not None:
        if series >= len(groups):
            raise ValueError(
                f"`series` must lie in 0 to {len(groups) - 1}, got {series}.\n{listed}"
            )
        groups = [groups[series]]
    if len(groups) != 1 or (beside and series is None):
        what = f"{len(groups)} groups of images" if len(groups) != 1 else "one series of images"
        more = f" and {beside}" if beside and series is None else ""
        raise DicomError(
            f"{folder}: holds {what}{more} that form no common volume; choose "
            f"one with `series=` (number or SeriesInstanceUID):\n{listed}"
        )
    group = groups[0][1]
    for what, other in differences(group):
        raise DicomError(
            f"{group[0].path} and {other.path} are of one series but differ in {what}; "
            "separate them first."
        )
    return group


def group_headers(headers: Iterable[Header]) -> list[list[Header]]:
    """Group the slices that may form one volume, in the order of their first ones.

    A multi-frame file is a group of its own. Exact keys come first, so that the tolerant
    comparison meets only the distinct geometries of one series.
    """
    groups: list[list[Header]] = []
    exact: dict[tuple[object, ...], list[Header]] = {}
    alike: dict[tuple[object, ...], _Geometries] = {}
    for header in headers:
        if header.frames > 1:
            groups.append([header])
            continue
        kind = (
            header.series,
            header.modality,
            header.frame_of_reference,
            (header.layout.rows, header.layout.columns),
            header.orientation is None,
        )
        geometry = (*header.spacing, *(header.orientation or ()))
        key = (kind, str(geometry))  # as text, in which NaN equals NaN
        if key not in exact:
            known = alike.setdefault(kind, _Geometries(len(geometry)))
            group = known.find(geometry)
            if group is None:
                groups.append(group := [])
                known.add(geometry, group)
            exact[key] = group
        exact[key].append(header)
    return groups


def differences(group: Sequence[Header]) -> list[tuple[str, Header]]:
    """Tell in what slices of one series differ that must not, and the first that does."""
    found = []
    for what, values in (
        ("patients", [h.patient for h in group]),
        (label("PhotometricInterpretation"), [h.layout.photometric for h in group]),
        ("units", [h.units for h in group]),
    ):
        if (other := next((i for i, v in enumerate(values) if v != values[0]), None)) is not None:
            found.append((what, group[other]))
    return found


class _Geometries:
    """Distinct spacings and orientations of one series, compared all at once."""

    def __init__(self, size: int) -> None:
        self._groups: list[list[Header]] = []
        self._table = np.empty((8, size))

    def find(self, geometry: tuple[float, ...]) -> list[Header] | None:
        """Return the group of the first geometry within the tolerances."""
        table, own = self._table[: len(self._groups)], np.array(geometry)
        allowed = np.where(np.arange(own.size) < 2, _SPACING_SHARE * own, _COSINE)
        close = (np.abs(table - own) <= allowed) | (np.isnan(table) & np.isnan(own))
        fits = close.all(axis=1)
        return self._groups[int(fits.argmax())] if fits.any() else None

    def add(self, geometry: tuple[float, ...], group: list[Header]) -> None:
        if len(self._groups) == len(self._table):
            self._table = np.concatenate([self._table, np.empty_like(self._table)])
        self._table[len(self._groups)] = geometry
        self._groups.append(group)


def _listed(folder: Path, groups: Sequence[tuple[int, Sequence[Header]]]) -> str:
    lines = [
        f"  {i}: {len(g)} x {g[0].modality or '?'}, {g[0].layout.frames} frame(s) of "
        f"{g[0].layout.rows} x {g[0].layout.columns}, first {_below(folder, g[0].path)}"
        for i, g in groups[:_LISTED]
    ]
    if len(groups) > _LISTED:
        lines.append(f"  and {len(groups) - _LISTED} more; `fastmm scan` lists them all")
    return "\n".join(lines)


def _below(folder: Path, path: Path) -> Path:
    return path.relative_to(folder) if path.is_relative_to(folder) else path
