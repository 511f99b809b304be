"""How the pixels of a DICOM file lie in their bytes, from its tags: checked, or an error."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fastmm.errors import DicomError, LimitError
from fastmm.read.dicom.tags import Tags, about, label, shown

__all__ = ["Layout", "check_fragments", "check_length", "read_layout"]

_SAMPLES = {
    "MONOCHROME1": 1, "MONOCHROME2": 1,
    "RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3, "YBR_ICT": 3, "YBR_RCT": 3,
}  # fmt: skip
_FRAME_BYTES = 256
# Of one frame where pixels are compressed: the head of a fragment, and two bytes.
_LEAST_FRAGMENT = 10
_FLOATS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}


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
    floating: bool = False
    float_padding: tuple[float, float] | None = None  # lowest and highest
    subsampled: bool = False  # two pixels share their colour: Y Y Cb Cr

    @property
    def values(self) -> int:
        """Number of samples of all frames."""
        return self.rows * self.columns * self.frames * self.samples

    @cached_property
    def n_bytes(self) -> int:
        """Size of the pixels as they are stored."""
        values = self.values // 3 * 2 if self.subsampled else self.values
        return values * (self.allocated // 8)

    @property
    def limits(self) -> tuple[int, int]:
        """Lowest and highest stored value the bits of an integer can hold."""
        if self.signed:
            return -(1 << (self.stored - 1)), (1 << (self.stored - 1)) - 1
        return 0, (1 << self.stored) - 1

    @property
    def padding_range(self) -> tuple[int, int, bool] | None:
        """Lowest and highest padding; whether of values, else of whole containers."""
        if self.padding is None:
            return None
        size = 1 << self.allocated
        wraps = size // 2 if self.signed else size
        low, high = sorted(v - size if v >= wraps else v for v in self.padding)
        # Padding outside of the stored bits is met only before they are cut out.
        lowest, highest = self.limits
        return low, high, lowest <= low and high <= highest


def read_layout(
    tags: Tags, max_bytes: int, *, pixels: str = "PixelData", native: bool = True
) -> Layout:
    """Read the layout; more than `max_bytes` as float32 is an error.

    `pixels` names the element that has the pixels, `native` says that they are neither
    compressed nor in fragments.
    """
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
    layout = Layout(
        rows=rows,
        columns=columns,
        frames=frames,
        samples=samples,
        planar=tags.integer("PlanarConfiguration", maximum=1) if samples > 1 else 0,
        photometric=photometric,
        subsampled=native and photometric == "YBR_FULL_422",
        **(_bits(tags) if pixels == "PixelData" else _float_bits(tags, pixels, samples)),
    )
    if layout.subsampled and columns % 2:
        raise tags.fault("Columns", f"must be even for {photometric}, got {columns}")
    # Many frames of few pixels cost more in their slopes and places than in their pixels.
    needed = layout.values * 4 + (frames - 1) * _FRAME_BYTES
    if needed > max_bytes:
        raise LimitError(
            f"{tags.path}: {about(frames)} frames of {rows} x {columns} pixels need {needed:.1e} "
            f"bytes as float32, more than the {max_bytes} of fastmm.read.limits.MAX_BYTES; "
            "raise the limit if the file is right."
        )
    return layout


def _bits(tags: Tags) -> dict[str, Any]:
    """Read which bits of its container an integer pixel takes."""
    allocated = tags.integer("BitsAllocated")
    if allocated not in (8, 16, 32):
        raise tags.fault("BitsAllocated", f"must be 8, 16 or 32, got {allocated}")
    stored = tags.integer("BitsStored", minimum=1, maximum=allocated)
    return {
        "allocated": allocated,
        "stored": stored,
        "high_bit": tags.integer("HighBit", minimum=stored - 1, maximum=allocated - 1),
        "signed": tags.integer("PixelRepresentation", maximum=1) == 1,
        "padding": _padding(tags, allocated),
    }


def _float_bits(tags: Tags, pixels: str, samples: int) -> dict[str, Any]:
    """Check that floats are as wide as they must be; they have no bits to choose from."""
    allocated = tags.integer("BitsAllocated")
    if allocated != _FLOATS[pixels]:
        raise tags.fault(
            "BitsAllocated", f"must be {_FLOATS[pixels]} for {label(pixels)}, got {allocated}"
        )
    if samples != 1:
        raise tags.fault("SamplesPerPixel", f"must be 1 for {label(pixels)}, got {samples}")
    names = [f"{pixels[:-4]}Padding{what}" for what in ("Value", "RangeLimit")]
    ends = [number for name in names for number in tags.binary(name)[:1]]
    return {
        "allocated": allocated,
        "stored": allocated,
        "high_bit": allocated - 1,
        "signed": True,
        "floating": True,
        "float_padding": (min(ends), max(ends)) if ends and tags.filled(names[0]) else None,
    }


def check_length(path: Path, layout: Layout, length: int, pixels: str = "PixelData") -> str | None:
    """Compare a native buffer with what the header promises; return a note if odd."""
    expected = layout.n_bytes
    if length < expected:
        raise DicomError(
            f"{path}: {label(pixels)} is cut: expected {expected} bytes, got {length}."
        )
    excess = length - expected - expected % 2
    if excess <= 0:
        return None
    if excess >= expected // layout.frames:
        raise DicomError(
            f"{path}: {label(pixels)} holds more frames than {label('NumberOfFrames')} "
            f"says: expected {expected} bytes, got {length}."
        )
    return f"{label(pixels)} has {excess} bytes after the last pixel, which are ignored"


def check_fragments(path: Path, layout: Layout, left: int) -> None:
    """Refuse more frames than the `left` bytes of compressed pixels can hold."""
    if layout.frames * _LEAST_FRAGMENT > left:
        raise DicomError(
            f"{path}: {label('PixelData')} is cut: {left} bytes cannot hold the "
            f"{about(layout.frames)} frames that {label('NumberOfFrames')} says."
        )


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
        found.append(int.from_bytes(value, tags.order))
    if allocated == 8 and any(0xFF < v < 0xFF80 for v in found):
        return None  # no 8-bit pixel can hold it
    return found[0] % (1 << allocated), found[-1] % (1 << allocated)
