"""The tags that are read, by name: their numbers, how their values are written, what nests."""

from __future__ import annotations

from collections.abc import Iterable

from fastmm.read.dicom.sequences import Wanted

__all__ = ["ALL_TAGS", "ITEM_TAGS", "TAGS", "label", "wanted_of"]

#: Read from every file: name -> (tag, kind), kind one of "US" and "UL" (integers of 2 and 4
#: bytes), "FL" and "FD" (floats of 4 and 8), "IS" and "DS" (decimal text), "text", "raw"
#: (bytes) and "sequence".
TAGS: dict[str, tuple[int, str]] = {
    "MediaStorageSOPClassUID": (0x00020002, "text"),
    "TransferSyntaxUID": (0x00020010, "text"),
    "SOPClassUID": (0x00080016, "text"),
    "Modality": (0x00080060, "text"),
    "PatientID": (0x00100020, "raw"),
    "SliceThickness": (0x00180050, "DS"),
    "SeriesInstanceUID": (0x0020000E, "text"),
    "ImagePositionPatient": (0x00200032, "DS"),
    "ImageOrientationPatient": (0x00200037, "DS"),
    "FrameOfReferenceUID": (0x00200052, "text"),
    "SamplesPerPixel": (0x00280002, "US"),
    "PhotometricInterpretation": (0x00280004, "text"),
    "PlanarConfiguration": (0x00280006, "US"),
    "NumberOfFrames": (0x00280008, "IS"),
    "Rows": (0x00280010, "US"),
    "Columns": (0x00280011, "US"),
    "PixelSpacing": (0x00280030, "DS"),
    "BitsAllocated": (0x00280100, "US"),
    "BitsStored": (0x00280101, "US"),
    "HighBit": (0x00280102, "US"),
    "PixelRepresentation": (0x00280103, "US"),
    "PixelPaddingValue": (0x00280120, "raw"),
    "PixelPaddingRangeLimit": (0x00280121, "raw"),
    "FloatPixelPaddingValue": (0x00280122, "FL"),
    "DoubleFloatPixelPaddingValue": (0x00280123, "FD"),
    "FloatPixelPaddingRangeLimit": (0x00280124, "FL"),
    "DoubleFloatPixelPaddingRangeLimit": (0x00280125, "FD"),
    "RescaleIntercept": (0x00281052, "DS"),
    "RescaleSlope": (0x00281053, "DS"),
    "RescaleType": (0x00281054, "text"),
    "ModalityLUTSequence": (0x00283000, "sequence"),
    "GridFrameOffsetVector": (0x3004000C, "DS"),
    "Units": (0x00541001, "text"),
    "SUVType": (0x00541006, "text"),
    "SharedFunctionalGroupsSequence": (0x52009229, "sequence"),
    "PerFrameFunctionalGroupsSequence": (0x52009230, "sequence"),
    "FloatPixelData": (0x7FE00008, "raw"),
    "DoubleFloatPixelData": (0x7FE00009, "raw"),
    "PixelData": (0x7FE00010, "raw"),
}
#: Read where they are asked for: from the items of a sequence, or by `read_tags(names=...)`.
ITEM_TAGS: dict[str, tuple[int, str]] = {
    "SeriesDate": (0x00080021, "text"),
    "AcquisitionDate": (0x00080022, "text"),
    "AcquisitionDateTime": (0x0008002A, "text"),
    "SeriesTime": (0x00080031, "text"),
    "AcquisitionTime": (0x00080032, "text"),
    "TimezoneOffsetFromUTC": (0x00080201, "text"),
    "GEPrivateCreator": (0x00090010, "text"),
    "GEScanDateTime": (0x0009100D, "text"),
    "PatientWeight": (0x00101030, "DS"),
    "RadiopharmaceuticalStartTime": (0x00181072, "text"),
    "RadionuclideTotalDose": (0x00181074, "DS"),
    "RadionuclideHalfLife": (0x00181075, "DS"),
    "RadiopharmaceuticalStartDateTime": (0x00181078, "text"),
    "ActualFrameDuration": (0x00181242, "IS"),
    "FrameContentSequence": (0x00209111, "sequence"),
    "PlanePositionSequence": (0x00209113, "sequence"),
    "PlaneOrientationSequence": (0x00209116, "sequence"),
    "TemporalPositionIndex": (0x00209128, "UL"),
    "DimensionIndexValues": (0x00209157, "UL"),
    "CorrectedImage": (0x00280051, "text"),
    "LUTDescriptor": (0x00283002, "raw"),
    "ModalityLUTType": (0x00283004, "text"),
    "LUTData": (0x00283006, "raw"),
    "PixelMeasuresSequence": (0x00289110, "sequence"),
    "PixelValueTransformationSequence": (0x00289145, "sequence"),
    "RadiopharmaceuticalInformationSequence": (0x00540016, "sequence"),
    "DecayCorrection": (0x00541102, "text"),
    "FrameReferenceTime": (0x00541300, "DS"),
}
ALL_TAGS = TAGS | ITEM_TAGS

_MACROS = (
    "FrameContentSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "PlaneOrientationSequence",
    "PlanePositionSequence",
)
# What is taken from the items of each sequence.
_INSIDE: dict[str, tuple[str, ...]] = {
    "FrameContentSequence": ("TemporalPositionIndex", "DimensionIndexValues"),
    "ModalityLUTSequence": ("LUTDescriptor", "ModalityLUTType", "LUTData"),
    "PerFrameFunctionalGroupsSequence": _MACROS,
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope", "RescaleType"),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "RadiopharmaceuticalInformationSequence": (
        "RadiopharmaceuticalStartTime",
        "RadionuclideTotalDose",
        "RadionuclideHalfLife",
        "RadiopharmaceuticalStartDateTime",
    ),
    "SharedFunctionalGroupsSequence": _MACROS,
}


def label(name: str) -> str:
    """Write a tag as people look it up: "Rows (0028,0010)"."""
    tag = ALL_TAGS[name][0]
    return f"{name} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


def wanted_of(names: Iterable[str]) -> Wanted:
    """Return what `read_items` has to take for these names, nested sequences included."""
    return {
        ALL_TAGS[name][0]: wanted_of(_INSIDE[name]) if name in _INSIDE else None for name in names
    }
