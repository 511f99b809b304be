"""What can go wrong inside a file or on a device, by kind.

A wrong argument is a plain ``ValueError`` or ``TypeError``; the classes here say that
what was *read* is at fault. A message names the file, the tag, what was found and what
was expected, and never a patient's name, identifier or date.
"""

__all__ = [
    "CohortError",
    "DeviceMemoryError",
    "DicomError",
    "FastmmError",
    "GeometryError",
    "LimitError",
    "ModelFileError",
    "NiftiError",
    "PictureError",
]


class FastmmError(ValueError):
    """Base of every error about the content of a file."""


class DicomError(FastmmError):
    """A DICOM file that is damaged, contradicts itself or needs a decoder."""


class NiftiError(FastmmError):
    """A NIfTI file that is damaged or contradicts itself."""


class PictureError(FastmmError):
    """A PNG, JPEG or TIFF file that is damaged or not what was asked for."""


class GeometryError(FastmmError):
    """Slices that form no regular grid, or a physical size that is not known."""


class LimitError(FastmmError):
    """A file that asks for more memory than the limit allows."""


class CohortError(FastmmError):
    """A cohort table with mistakes; the message lists all that were found."""


class ModelFileError(FastmmError):
    """A model file that is damaged, of another version, or no model file."""


class DeviceMemoryError(MemoryError):
    """The device ran out of memory, after one retry in smaller batches."""
