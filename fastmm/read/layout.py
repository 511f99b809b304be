"""How the pixels of a DICOM file lie in their bytes, from its tags: checked, or an error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastmm.errors import DicomError, LimitError
from fastmm.read.tags import Tags, label, shown

__all__ = ["Layout", "check_length", "read_layout"]

_SAMPLES = {"MONOCHROME1": 1, "MONOCHROME2": 1, "RGB": 3}


@dataclass(frozen=True)
class Layout:
    """How pixels lie in their bytes, and which of them are padding."""

    rows: int
    columns: int
    frames: int
    samples: int
    planar: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    photometric: str
    padding: tuple[int, int] | None = None  # container bits as unsigned: value, range limit

    @property
    def values(self) -> int:
        """Number of samples of all frames."""
        return self.rows * self.columns * self.frames * self.samples

    @property
    def n_bytes(self) -> int:
        """Size of the pixels as they are stored."""
        return self.values * (self.allocated // 8)

    @property
    def limits(self) -> tuple[int, int]:
        """Lowest and highest stored value the bits can hold."""
        if self.signed:
            return -(1 << (self.stored - 1)), (1 << (self.stored - 1)) - 1
        return 0, (1 << self.stored) - 1


def read_layout(tags: Tags, max_bytes: int) -> Layout:
    """Read the layout; more than `max_bytes` as float32 is an error."""
    rows = tags.integer("Rows", minimum=1)
    columns = tags.integer("Columns", minimum=1)
    frames = tags.integer("NumberOfFrames", minimum=1) if tags.has("NumberOfFrames") else 1
    samples = tags.integer("SamplesPerPixel", minimum=1)
    photometric = tags.text("PhotometricInterpretation")
    if not photometric:
        raise tags.fault("PhotometricInterpretation", "is missing")
    if photometric not in _SAMPLES:
        raise tags.fault(
            "PhotometricInterpretation",
            f"is {shown(photometric)}, and its samples are no intensities; "
            "convert the image to MONOCHROME2 or RGB first",
        )
    if samples != _SAMPLES[photometric]:
        raise tags.fault(
            "SamplesPerPixel", f"must be {_SAMPLES[photometric]} for {photometric}, got {samples}"
        )
    allocated = tags.integer("BitsAllocated")
    if allocated not in (8, 16, 32):
        raise tags.fault("BitsAllocated", f"must be 8, 16 or 32, got {allocated}")
    stored = tags.integer("BitsStored", minimum=1, maximum=allocated)
    layout = Layout(
        rows=rows,
        columns=columns,
        frames=frames,
        samples=samples,
        planar=tags.integer("PlanarConfiguration", maximum=1) if samples > 1 else 0,
        allocated=allocated,
        stored=stored,
        high_bit=tags.integer("HighBit", minimum=stored - 1, maximum=allocated - 1),
        signed=tags.integer("PixelRepresentation", maximum=1) == 1,
        photometric=photometric,
        padding=_padding(tags, allocated),
    )
    needed = layout.values * 4
    if needed > max_bytes:
        raise LimitError(
            f"{tags.path}: {frames} frames of {rows} x {columns} pixels need {needed} bytes as "
            f"float32, more than the {max_bytes} of fastmm.read.dicom.MAX_BYTES; "
            "raise the limit if the file is right."
        )
    return layout


def check_length(path: Path, layout: Layout, length: int) -> str | None:
    """Compare a native buffer with what the header promises; return a note if odd."""
    expected = layout.n_bytes
    if length < expected:
        raise DicomError(
            f"{path}: {label('PixelData')} is cut: expected {expected} bytes, got {length}."
        )
    excess = length - expected - expected % 2
    if excess <= 0:
        return None
    if excess >= expected // layout.frames:
        raise DicomError(
            f"{path}: {label('PixelData')} holds more frames than {label('NumberOfFrames')} "
            f"says: expected {expected} bytes, got {length}."
        )
    return f"{label('PixelData')} has {excess} bytes after the last pixel, which are ignored"


def _padding(tags: Tags, allocated: int) -> tuple[int, int] | None:
    # The VR is often wrong (US for negative values), so the bits are taken as they are
    # and read with PixelRepresentation later.
    if not tags.filled("PixelPaddingValue"):
        return None
    found = []
    for name in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        value = tags.value(name)
        if not value:
            continue
        if len(value) * 8 != max(allocated, 16):
            raise tags.fault(name, f"must be one {max(allocated, 16)}-bit integer")
        found.append(int.from_bytes(value, tags.order))  # type: ignore[arg-type]
    if allocated == 8 and any(0xFF < v < 0xFF80 for v in found):
        return None  # no 8-bit pixel can hold it
    return found[0] % (1 << allocated), found[-1] % (1 << allocated)
