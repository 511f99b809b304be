"""Several images at each place of one series: told apart, and put in the order of time.

The tags this takes are in few series needed, so they are read in a second, short pass over
the files of such a series alone.
"""

from __future__ import annotations

import datetime
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastmm.errors import GeometryError
from fastmm.read.dicom.extra_tags import read_extra

__all__ = ["INSTANCE_NUMBER", "Marks", "TimeAxis", "find_time_axis", "read_marks"]

INSTANCE_NUMBER = 0x00200013

# The tags that tell images of one place apart, in the order in which they are tried. Each
# is the first of its alternatives that a file has, compared as one tuple.
_AXES: dict[str, tuple[tuple[int, ...], ...]] = {
    "TemporalPositionIdentifier": ((0x00200100,),),
    "TriggerTime": ((0x00181060,),),
    "EchoTime": ((0x00180081,),),
    "DiffusionBValue": ((0x00189087,),),
    "AcquisitionNumber": ((0x00200012,),),
    "AcquisitionTime": ((0x0008002A,), (0x00080022, 0x00080032), (0x00080032,)),
    "ContentTime": ((0x00080023, 0x00080033), (0x00080033,)),
    "InstanceNumber": ((INSTANCE_NUMBER,),),
}
# What all images of one time point have in common, if they tell it at all.
_COMMON: dict[str, tuple[int, ...]] = {
    "TemporalPositionIdentifier": (0x00200100,),
    "EchoTime": (0x00180081,),
    "DiffusionBValue": (0x00189087,),
    "InversionTime": (0x00180082,),
    "FlipAngle": (0x00181314,),
    "ImageType": (0x00080008,),
}
_TEXT = {0x00080008}
_DATES = {0x00080022: 8, 0x00080023: 8}
_CLOCKS = {0x0008002A, 0x00080032, 0x00080033}
_BINARY = {0x00189087}
_WANTED = {t for ways in _AXES.values() for way in ways for t in way} | {
    t for tags in _COMMON.values() for t in tags
}
_DAY = datetime.date

#: What may tell the time point of one file: by tag, numbers that can be ordered, and text.
Marks = dict[int, float | str]


class TimeAxis(NamedTuple):
    """The keyword that tells time points apart, and the order of the images of each place."""

    keyword: str
    order: list[list[int]]


def read_marks(path: Path) -> Marks:
    """Read the tags of one file that may tell its time point."""
    found, little_endian = read_extra(path, _WANTED)
    marks = {tag: _mark(tag, raw, little_endian) for tag, raw in found.items()}
    return {tag: mark for tag, mark in marks.items() if mark is not None}


def find_time_axis(
    names: Sequence[str], marks: Sequence[Marks], places: Sequence[Sequence[int]]
) -> TimeAxis | None:
    """Order the images of each place, of which all hold as many, by the first tag that can.

    Returns None where no tag tells the images of every place apart.
    """
    for keyword, ways in _AXES.items():
        keys = [_key(m, ways) for m in marks]
        if not all(_distinct([keys[i] for i in place]) for place in places):
            continue
        order = [sorted(place, key=lambda i: keys[i]) for place in places]
        _check_common(names, marks, order, keyword)
        return TimeAxis(keyword, order)
    return None


def _key(marks: Marks, ways: Sequence[tuple[int, ...]]) -> tuple[float, ...]:
    for number, way in enumerate(ways):
        values = [marks.get(tag) for tag in way]
        if all(isinstance(value, float) for value in values):
            return (number, *values)  # type: ignore[arg-type]
    return ()


def _distinct(keys: Sequence[tuple[float, ...]]) -> bool:
    # Keys of different kinds (a date and time, a time alone) cannot be compared.
    kinds = {key[:1] for key in keys}
    return len(kinds) == 1 and () not in kinds and len(set(keys)) == len(keys)


def _check_common(
    names: Sequence[str], marks: Sequence[Marks], order: Sequence[Sequence[int]], keyword: str
) -> None:
    for time in range(len(order[0])):
        images = [place[time] for place in order]
        for name, (tag,) in _COMMON.items():
            values = [marks[i].get(tag) for i in images]
            if (other := next((i for i, v in enumerate(values) if v != values[0]), None)) is None:
                continue
            raise GeometryError(
                f"{names[images[0]]} and {names[images[other]]} would be of one time point by "
                f"{keyword}, but differ in {name} ({tag >> 16:04X},{tag & 0xFFFF:04X}); images "
                "are missing, or the series must be separated first."
            )


def _mark(tag: int, raw: bytes, little_endian: bool) -> float | str | None:
    """Return the value as a number that can be ordered; None where it is empty or none."""
    if tag in _BINARY:
        value = struct.unpack("<d" if little_endian else ">d", raw)[0] if len(raw) == 8 else np.nan
        return float(value) if np.isfinite(value) else None
    text = raw.decode("ascii", "replace").strip(" \0")
    if tag in _TEXT:
        return text
    try:
        if tag in _CLOCKS:
            return _clock(text)
        if tag in _DATES:
            text = text.replace(".", "")
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _clock(text: str) -> float | None:
    """Return HHMMSS.FFFFFF, or a date and time, as one number whose order is that of time."""
    body = text.replace(":", "")
    for sign in "+-":
        body = body.partition(sign)[0]
    digits, _, fraction = body.partition(".")
    if not digits.isascii() or not digits.isdigit() or (fraction and not fraction.isdigit()):
        return None
    # A double holds 14 digits of a date and time with three more: too few for microseconds.
    long = digits[8:] if len(digits) > 8 else digits
    long = long.ljust(6, "0")
    seconds = int(long[:2]) * 3600 + int(long[2:4]) * 60 + int(long[4:6])
    date = digits[:8]
    days = _DAY(int(date[:4]), int(date[4:6]), int(date[6:])).toordinal() if len(digits) > 8 else 0
    return days * 86400 + seconds + float(f"0.{fraction or 0}")
