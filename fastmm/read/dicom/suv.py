"""Standardised uptake values of a PET image: activity per dose and body weight."""

from __future__ import annotations

import math
from dataclasses import replace

from fastmm.errors import DicomError
from fastmm.read.dicom.encoding import SYNTAXES, data_set, opened
from fastmm.read.dicom.header import Header
from fastmm.read.dicom.moments import DAY, Moment, day_of, moment_of, seconds_of
from fastmm.read.dicom.tags import Tags, label, read_tags

__all__ = ["to_suv"]

_NAMES = (
    "SeriesDate",
    "AcquisitionDate",
    "AcquisitionDateTime",
    "SeriesTime",
    "AcquisitionTime",
    "TimezoneOffsetFromUTC",
    "GEPrivateCreator",
    "GEScanDateTime",
    "PatientWeight",
    "ActualFrameDuration",
    "CorrectedImage",
    "RadiopharmaceuticalInformationSequence",
    "Units",
    "SUVType",
    "DecayCorrection",
    "FrameReferenceTime",
)
_ENHANCED_PET = "1.2.840.10008.5.1.4.1.1.130"
_MOST_KG = 1000.0
# Less is no dose that makes an image, but one written in MBq or mCi.
_LEAST_BQ = 1e5
# A time without a date may be days off: only for nuclides that would be gone by then.
_DATELESS_HALF_LIFE, _DATELESS_DELAY = 6 * 3600.0, 12 * 3600.0
_MOST_HALF_LIVES = 15.0


def to_suv(header: Header) -> Header:
    """Turn the header of a PET image in Bq/ml into one in SUV (body weight).

    The rescale is multiplied by weight / dose, where the dose is that left at the time to
    which the image is decay-corrected::

        SUVbw = activity [Bq/ml] * weight [g] / (dose [Bq] * 2^(-delay / half-life))

    Parameters
    ----------
    header : Header
        From `read_header`, of modality PT. The file is opened again for the weight, the
        dose and the times.

    Returns
    -------
    Header
        With units "SUV". One that is in SUV already is returned as it is.

    Raises
    ------
    DicomError
        If something it takes is missing or impossible, naming the tag; if the image is not
        corrected for attenuation and decay; if its units are others than Bq/ml or the SUV
        of another kind (lean body mass, ...); for enhanced PET.

    Notes
    -----
    With DecayCorrection ADMIN the delay is 0. With START it is the time from the injection
    to SeriesTime, which is the start of the scan unless it is later than AcquisitionTime: a
    series that was made afterwards. Then the private scan time of GE is taken, else
    AcquisitionTime is traced back by FrameReferenceTime, less the time of the average count
    rate in the frame, as QIBA has it; without them it is an error, since the earliest
    acquisition of a series cannot be known from some of its slices.

    An injection without a date was on the day of the scan or, if later in the day, on the
    day before. That is refused for half-lives of more than 6 hours and delays of more than
    12. Doses below 0.1 MBq are taken for a wrong unit. Private scale factors (Philips,
    units CNTS) are not applied.

    References
    ----------
    DICOM PS3.3, C.8.9.1 PET Series Module and C.8.9.2 PET Isotope Module. QIBA, SUV vendor
    neutral pseudo-code. Kinahan and Fletcher, doi:10.1053/j.sult.2010.10.001.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> from fastmm.read.dicom.slices import read_header
    >>> to_suv(read_header(get_testdata_file("CT_small.dcm")))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    fastmm.errors.DicomError: ...CT_small.dcm: Modality (0008,0060) must be PT for SUV...
    """
    if header.modality != "PT":
        raise DicomError(
            f"{header.path}: {label('Modality')} must be PT for SUV, got "
            f"{header.modality or 'none'}."
        )
    if header.units == "SUV":
        return header
    if header.sop_class == _ENHANCED_PET or header.frames > 1:
        raise DicomError(f"{header.path}: SUV of multi-frame PET is not supported.")
    with opened(header.path) as file:
        syntax, _, data = data_set(header.path, file)
        tags, _ = read_tags(header.path, data, *SYNTAXES[syntax], names=_NAMES)
    _check_activity(tags)
    if header.lookup is not None:
        raise tags.fault("ModalityLUTSequence", "gives values that are no activity")
    factor = _grams(tags) / _dose_left(tags)
    return replace(
        header, slope=header.slope * factor, intercept=header.intercept * factor, units="SUV"
    )


def _check_activity(tags: Tags) -> None:
    """Insist on Bq/ml, corrected for attenuation and decay."""
    units = tags.text("Units")
    if units == "GML":
        raise tags.fault("SUVType", "is of another kind than body weight (BW)")
    if units != "BQML":
        raise tags.fault("Units", f"must be BQML for SUV, {'got another' if units else 'is empty'}")
    corrections = (tags.value("CorrectedImage") or b"").decode("ascii", "replace").split("\\")
    lacking = {"ATTN", "DECY"} - {name.strip(" \0") for name in corrections}
    if lacking:
        raise tags.fault("CorrectedImage", f"must hold {' and '.join(sorted(lacking))} for SUV")


def _grams(tags: Tags) -> float:
    kilograms = _positive(tags, "PatientWeight", "kg")
    if kilograms > _MOST_KG:
        raise tags.fault("PatientWeight", f"is more than {_MOST_KG:g} kg, so not in kg")
    return kilograms * 1000


def _dose_left(tags: Tags) -> float:
    """Return the dose in Bq at the time to which the image is decay-corrected."""
    items = tags.items("RadiopharmaceuticalInformationSequence")
    if len(items) != 1:
        raise tags.fault(
            "RadiopharmaceuticalInformationSequence", f"must have one item, got {len(items)}"
        )
    dose = _positive(items[0], "RadionuclideTotalDose", "Bq")
    if dose < _LEAST_BQ:
        raise items[0].fault(
            "RadionuclideTotalDose", f"is less than {_LEAST_BQ:g} Bq, so not in Bq"
        )
    to = tags.text("DecayCorrection")
    if to == "ADMIN":
        return dose
    if to != "START":
        state = "is NONE" if to == "NONE" else "is another" if to else "is missing"
        raise tags.fault("DecayCorrection", f"must be START or ADMIN for SUV, and {state}")
    half_life = _positive(items[0], "RadionuclideHalfLife", "s")
    delay = _delay(tags, items[0], half_life)
    if delay > _MOST_HALF_LIVES * half_life:
        raise items[0].fault(
            "RadionuclideHalfLife",
            f"and the times say that the scan began {delay / half_life:.4g} half-lives after the "
            "injection, which is impossible",
        )
    return dose * math.exp2(-delay / half_life)


def _delay(tags: Tags, item: Tags, half_life: float) -> float:
    """Return the seconds from the injection to the time of the decay correction."""
    name = "RadiopharmaceuticalStartDateTime"
    injection = moment_of(item, name, tags.text("TimezoneOffsetFromUTC"))
    if injection is None:
        name = "RadiopharmaceuticalStartTime"
        seconds = seconds_of(item, name)
        if seconds is None:
            raise item.fault(name, "is missing")
        injection = None, seconds
    day, seconds = _scan_start(tags, half_life)
    if injection[0] is not None and day is not None:
        delay = (day - injection[0]) * DAY + seconds - injection[1]
        if delay < 0:
            raise item.fault(name, "is after the start of the scan")
        return delay
    if half_life > _DATELESS_HALF_LIFE:
        raise item.fault(
            "RadiopharmaceuticalStartDateTime",
            "or the date of the scan is missing, and the half-life is too long to do without",
        )
    delay = (seconds - injection[1]) % DAY
    if delay > _DATELESS_DELAY:
        raise item.fault(name, "is after the start of the scan, or more than 12 hours before")
    return delay


def _scan_start(tags: Tags, half_life: float) -> Moment:
    """Return when the scan began; see the Notes of `to_suv`."""
    zone = tags.text("TimezoneOffsetFromUTC")
    seconds = seconds_of(tags, "SeriesTime")
    acquired = moment_of(tags, "AcquisitionDateTime", zone)
    time = seconds_of(tags, "AcquisitionTime")
    if time is not None:
        acquired = day_of(tags, "AcquisitionDate"), time
    if acquired is None:
        raise tags.fault("AcquisitionTime", "is missing, so the start of the scan is not known")
    if seconds is not None:
        series = day_of(tags, "SeriesDate"), seconds
        if not _later(series, acquired):
            return series
    if tags.text("GEPrivateCreator") == "GEMS_PETD_01":
        start = moment_of(tags, "GEScanDateTime", zone)
        if start is not None:
            return start
    return _traced_back(tags, acquired, half_life)


def _traced_back(tags: Tags, acquired: Moment, half_life: float) -> Moment:
    """Return the reference time of the series, from that of one of its frames."""
    offset = (tags.numbers("FrameReferenceTime", 1) or (0.0,))[0] / 1000
    duration = (tags.numbers("ActualFrameDuration", 1) or (0.0,))[0] / 1000
    if not (0 < offset < math.inf and 0 < duration < math.inf):
        raise tags.fault(
            "SeriesTime",
            f"is missing or after {label('AcquisitionTime')}, as in a series that was made "
            f"afterwards, and {label('FrameReferenceTime')} and {label('ActualFrameDuration')} "
            "do not tell the start of the scan either",
        )
    rate = math.log(2) / half_life
    average = math.log(rate * duration / -math.expm1(-rate * duration)) / rate
    day, seconds = acquired
    seconds += average - offset
    over = math.floor(seconds / DAY)
    return None if day is None else day + over, seconds - over * DAY


def _later(a: Moment, b: Moment) -> bool:
    if a[0] is None or b[0] is None:
        # Of two times of day without dates, the later one is at most half a day ahead.
        return 0 < (a[1] - b[1]) % DAY < DAY / 2
    return (a[0], a[1]) > (b[0], b[1])


def _positive(tags: Tags, name: str, unit: str) -> float:
    """Return a positive number; its value may be a patient's, so it is never quoted."""
    try:
        found = tags.numbers(name, 1)
    except DicomError:
        raise tags.fault(name, f"must be a positive number of {unit}") from None
    if found is None:
        raise tags.fault(name, "is missing" if not tags.has(name) else "is empty")
    if not 0 < found[0] < math.inf:
        raise tags.fault(name, f"must be a positive number of {unit}")
    return found[0]
