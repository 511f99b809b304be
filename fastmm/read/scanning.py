"""What lies in a folder, series by series, without decoding a pixel."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fastmm.errors import FastmmError
from fastmm.read.dicom.extra_tags import read_extra
from fastmm.read.dicom.header import Header
from fastmm.read.dicom.series import group_headers, read_members
from fastmm.read.dicom.syntaxes import syntax_name
from fastmm.read.findings import examine, orientation_word
from fastmm.read.folder import is_folder, kind_of, look_into
from fastmm.read.series_info import SeriesInfo

__all__ = ["SeriesInfo", "scan"]

_PATIENT_ID = 0x00100020
_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".nii", ".nii.gz")


def scan(folder: str | os.PathLike[str], *, ids: bool = False) -> list[SeriesInfo]:
    """List what is in a folder, by series; no pixel is decoded.

    Parameters
    ----------
    folder : str or PathLike
        Searched with its sub-folders; hidden files are left out, links to folders are not
        followed, pipes and devices are not opened. One file is a list of one.
    ids : bool, default False
        Tell the PatientID of each DICOM series. Without it, nothing of a patient is read
        into the result.

    Returns
    -------
    list of SeriesInfo
        DICOM series by their first file, grouped as `read_volume` groups them, then NIfTI
        files, then folders of pictures, then one entry each for what is unreadable and for
        what holds no images.

    Raises
    ------
    FileNotFoundError, PermissionError
        If the folder cannot be read.
    FastmmError
        If the path leads nowhere in another way: links in a circle, a name that is too long.

    Notes
    -----
    Reads headers only. What stands in the way of a volume (gaps, a tilted gantry, several
    images at one place, missing positions, two patients in one series) is a problem of the
    entry, never an error.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> [info] = scan(get_testdata_file("CT_small.dcm"))
    >>> info.modality, info.shape, info.orientation
    ('CT', (128, 128), 'axial')
    """
    folder = Path(folder)
    if not isinstance(ids, bool):
        raise TypeError(f"`ids` must be True or False, got {ids!r}.")
    if is_folder(folder):
        contents = look_into(folder)
        dicom, nifti, pictures = contents.dicom, contents.nifti, contents.pictures
        skipped, other = contents.skipped, contents.other
    else:
        kind = kind_of(folder)
        dicom = [folder] if kind == "DICOM" else []
        nifti = [folder] if kind == "NIfTI" else []
        pictures = [folder] if kind not in ("", "DICOM", "NIfTI") else []
        skipped, other = [] if kind else [folder], []
    members, no_images = read_members(dicom)
    faults: list[tuple[Path, str]] = [(m.path, str(m.error)) for m in members if m.error]
    misnamed = [path for path in other if path.name.lower().endswith(_SUFFIXES)]
    other = [path for path in other if path not in set(misnamed)]
    faults += [(p, "is not what its suffix says") for p in (*skipped, *misnamed)]
    groups = group_headers(m.header for m in members if m.header is not None)
    found = [_dicom_info(group, ids) for group in groups]
    found += _nifti_infos(nifti, faults)
    found += _picture_infos(pictures, faults)
    found += _rest(folder, faults, no_images, other)
    return found


def _dicom_info(group: Sequence[Header], ids: bool) -> SeriesInfo:
    first = group[0]
    n_frames = sum(h.frames for h in group)
    findings = examine(group)
    return SeriesInfo(
        kind="DICOM",
        path=_common_folder([h.path for h in group]),
        n_files=len(group),
        n_frames=n_frames,
        modality=first.modality,
        shape=(first.layout.rows, first.layout.columns),
        slices=findings.slices,
        spacing=(findings.step, *first.spacing),
        orientation=orientation_word(first.orientation),
        syntax=", ".join(dict.fromkeys(syntax_name(h.syntax) for h in group)),
        units=", ".join(dict.fromkeys(h.units for h in group)),
        series=first.series,
        problems=tuple(findings.problems),
        patient=_patients(group) if ids else None,
    )


def _patients(group: Sequence[Header]) -> str:
    by_digest = {h.patient: h.path for h in group}
    texts = []
    for path in by_digest.values():
        found, _ = read_extra(path, {_PATIENT_ID})
        texts.append(found.get(_PATIENT_ID, b"").decode("utf-8", "replace").strip(" \0"))
    return ", ".join(texts)


def _nifti_infos(paths: Sequence[Path], faults: list[tuple[Path, str]]) -> Iterator[SeriesInfo]:
    if not paths:
        return
    from fastmm.read.nifti.header import read_nifti_header

    for path in paths:
        try:
            header = read_nifti_header(path, time="stack")
        except FastmmError as error:
            faults.append((path, str(error)))
            continue
        columns = (header.affine[:3, :2] / header.spacing[:0:-1]).T.reshape(-1)
        several = header.times is not None and header.times > 1
        yield SeriesInfo(
            kind="NIfTI",
            path=path,
            n_files=1,
            n_frames=header.frames,
            shape=header.shape[1:],
            slices=header.shape[0],
            spacing=header.spacing,
            orientation=orientation_word(columns.tolist()) if np.isfinite(columns).all() else "",
            syntax=header.dtype.name,
            units=header.units,
            problems=(*((f"{header.times} time points",) if several else ()), *header.notes),
        )


def _picture_infos(paths: Sequence[Path], faults: list[tuple[Path, str]]) -> Iterator[SeriesInfo]:
    """Make one entry of the pictures of one kind in one folder."""
    if not paths:
        return
    from fastmm.read.pictures.volumes import PictureHeader, read_picture_header

    groups: dict[tuple[Path, str], list[PictureHeader]] = {}
    for path in paths:
        try:
            header = read_picture_header(path)
        except FastmmError as error:
            faults.append((path, str(error)))
            continue
        groups.setdefault((path.parent, header.kind), []).append(header)
    for (folder, kind), group in groups.items():
        shapes = list(dict.fromkeys(header.shape for header in group))
        n_frames = sum(header.frames for header in group)
        problems = [f"{len(shapes)} sizes, so no volume"] if len(shapes) > 1 else []
        if any(header.samples > 1 for header in group):
            problems.append("in colour: needs `channel=` unless red, green and blue are equal")
        problems += dict.fromkeys(note for header in group for note in header.notes)
        yield SeriesInfo(
            kind=kind,
            path=folder if len(group) > 1 else group[0].path,
            n_files=len(group),
            n_frames=n_frames,
            shape=shapes[0] if len(shapes) == 1 else (0, 0),
            slices=n_frames,
            syntax=f"{max(header.bits for header in group)} bits",
            units=group[0].units,
            problems=tuple(problems),
        )


def _rest(
    folder: Path,
    faults: Sequence[tuple[Path, str]],
    no_images: Sequence[Path],
    other: Sequence[Path],
) -> Iterator[SeriesInfo]:
    if faults:
        reasons: dict[str, list[str]] = {}
        for path, text in faults:
            reasons.setdefault(text.removeprefix(f"{path}: ").rstrip("."), []).append(path.name)
        problems = tuple(
            f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}: {reason}"
            for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1]))
        )
        paths = [path for path, _ in faults]
        yield SeriesInfo("unreadable", _common_folder(paths), len(faults), 0, problems=problems)
    if no_images or other:
        counts = {
            "DICOM objects without images": len(no_images),
            "files of other formats": len(other),
        }
        told = tuple(f"{n} {what}" for what, n in counts.items() if n)
        paths = [*no_images, *other]
        yield SeriesInfo("other", _common_folder(paths), len(paths), 0, problems=told)


def _common_folder(paths: Sequence[Path]) -> Path:
    if len(paths) == 1:
        return paths[0]
    return Path(os.path.commonpath([p.parent for p in paths]))
