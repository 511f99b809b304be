"""Other values than a file has by itself, where the caller asks for them."""

from __future__ import annotations

from fastmm.errors import FastmmError
from fastmm.read.dicom.header import Header
from fastmm.read.source import Source

__all__ = ["as_asked"]


def as_asked(source: Source, *, suv: bool, invert: bool) -> Source:
    """Return a source whose values are SUV, or whose MONOCHROME1 stays as it is stored."""
    if not isinstance(source, Header):
        if suv:
            raise FastmmError(
                f"{source.path}: `suv=True` needs a DICOM PET, which tells dose and weight."
            )
        return source
    if not invert:
        source = source.uninverted()
    if suv:
        from fastmm.read.dicom.suv import to_suv

        source = to_suv(source)
    return source
