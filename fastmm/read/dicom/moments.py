"""DICOM dates and times as seconds, so that they can be subtracted; never quoted in errors."""

from __future__ import annotations

import datetime
import re

from fastmm.read.dicom.tags import Tags, label

__all__ = ["DAY", "Moment", "day_of", "moment_of", "seconds_of"]

DAY = 86400.0
#: Days, None where the file tells the time of day only; and seconds since midnight.
Moment = tuple[int | None, float]

_TIME = re.compile(r"(\d\d)(?::?([0-5]\d)(?::?([0-5]\d|60)(\.\d{1,6})?)?)?\Z", re.ASCII)
_DATE = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)\Z", re.ASCII)
_STAMP = re.compile(r"(\d{8})(\d{2,6}(?:\.\d{1,6})?)([+-]\d{4})?\Z", re.ASCII)


def seconds_of(tags: Tags, name: str) -> float | None:
    """Return a time (TM) as seconds since midnight, or None where it is absent or empty."""
    text = tags.text(name)
    if not text:
        return None
    found = _TIME.match(text)
    if not found or int(found[1]) > 23:
        raise tags.fault(name, "is no time of day")
    hours, minutes, seconds, fraction = found.groups()
    return int(hours) * 3600.0 + int(minutes or 0) * 60 + int(seconds or 0) + float(fraction or 0)


def day_of(tags: Tags, name: str) -> int | None:
    """Return a date (DA) as a number of days, or None where it is absent or empty."""
    text = tags.text(name)
    if not text:
        return None
    found = _DATE.match(text)
    try:
        if found:
            return datetime.date(*map(int, found.groups())).toordinal()
    except ValueError:
        pass
    raise tags.fault(name, "is no date")


def moment_of(tags: Tags, name: str, zone: str) -> Moment | None:
    """Return a date and time (DT), or None where it is absent or empty.

    `zone` is the offset from UTC of the other times of the file, with which one of its own
    must agree.
    """
    text = tags.text(name)
    if not text:
        return None
    found = _STAMP.match(text)
    if not found:
        raise tags.fault(name, "is no date and time")
    if found[3] and found[3] != zone:
        raise tags.fault(
            name, f"has an offset from UTC that {label('TimezoneOffsetFromUTC')} does not confirm"
        )
    parts = Tags(
        tags.path, {0x00080021: found[1].encode(), 0x00080031: found[2].encode()}, True, tags.where
    )
    seconds = seconds_of(parts, "SeriesTime")
    return day_of(parts, "SeriesDate"), seconds or 0.0
