"""One DICOM file: its header as checked values, its pixels as stored integers."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np

from fastmm.errors import LimitError
from fastmm.read import limits
from fastmm.read.codecs.decoding import read_encapsulated
from fastmm.read.dicom.encoding import (
    DEFLATED,
    ENCAPSULATED,
    SYNTAXES,
    data_set,
    opened,
)
from fastmm.read.dicom.header import Header, interpret
from fastmm.read.dicom.layout import check_length
from fastmm.read.dicom.pixels import pick_channel, words
from fastmm.read.dicom.stored import stored_pixels
from fastmm.read.dicom.tags import read_tags
from fastmm.read.source import Slice

__all__ = ["read_header", "read_pixels", "read_slice"]


def read_slice(path: str | os.PathLike[str], *, channel: int | None = None) -> Slice:
    """Read one DICOM file: stored pixels, and what turns them into values.

    Parameters
    ----------
    path : str or PathLike
        A DICOM file with the preamble of part 10; uncompressed, deflated, RLE, JPEG, JPEG-LS,
        JPEG 2000 or HTJ2K. All but the first three and 8-bit JPEG need the extra `codecs`.
    channel : int, optional
        0, 1 or 2: the channel of a colour image. Without it colour is an error unless
        the three channels are equal.

    Returns
    -------
    Slice
        On the host.

    Raises
    ------
    DicomError
        If the file is damaged, contradicts itself or needs a decoder.
    GeometryError
        If its spacing, position or orientation are impossible.
    LimitError
        If its float32 image would take more than ``fastmm.read.limits.MAX_BYTES``.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> ct = read_slice(get_testdata_file("CT_small.dcm"))
    >>> ct.stored.shape, ct.header.units
    ((1, 128, 128), 'HU')
    """
    return read_pixels(read_header(path), channel=channel)


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read and check everything in a DICOM file but its pixels.

    Parameters
    ----------
    path : str or PathLike
        A DICOM file.

    Returns
    -------
    Header
        See `Header`.

    Raises
    ------
    DicomError, GeometryError, LimitError
        As `read_slice`.

    Notes
    -----
    Reads the file up to the pixels only, and of nested sequences the functional groups and
    the Modality LUT. Enhanced multi-frame objects (CT, MR, PET, ...) have a rescale and a
    place for each frame; their frames come in the order of time points, then of places
    along the normal. Private rescales (Philips) and the real-world value mapping are not
    applied.
    """
    path = Path(path)
    with opened(path) as file:
        syntax, sop_class, data = data_set(path, file)
        tags, pointer = read_tags(path, data, *SYNTAXES[syntax])
        if (
            isinstance(data, io.BytesIO)
            and pointer is None
            and data.getbuffer().nbytes >= limits.INFLATED_HEADER
        ):
            raise LimitError(f"{path}: its deflated header exceeds {limits.INFLATED_HEADER} bytes.")
        end = None if syntax == DEFLATED else os.fstat(file.fileno()).st_size
    return interpret(tags, syntax, sop_class, pointer, end, limits.MAX_BYTES)


def read_pixels(header: Header, *, channel: int | None = None) -> Slice:
    """Read and decode the pixels a header points to.

    Parameters
    ----------
    header : Header
        From `read_header`.
    channel : int, optional
        As in `read_slice`.

    Returns
    -------
    Slice
        See `Slice`.

    Raises
    ------
    DicomError, LimitError
        As `read_slice`.
    """
    path, layout = header.path, header.layout
    with opened(path) as file:
        if header.syntax == DEFLATED:
            *_, data = data_set(path, file, header.offset + layout.n_bytes)
            data.seek(header.offset)
        else:
            data = file
            data.seek(header.offset)
        if header.syntax in ENCAPSULATED:
            containers, n_bytes = read_encapsulated(
                path, file, header.offset, header.syntax, layout
            )
        else:
            raw = data.read(layout.n_bytes + layout.n_bytes % 2)
            n_bytes = len(raw)
    if header.syntax not in ENCAPSULATED:
        check_length(path, layout, n_bytes, header.pixels)
        big_endian = not SYNTAXES[header.syntax][1]
        containers = words(raw, layout, big_endian=big_endian, word_vr=header.word_vr)
    containers = np.ascontiguousarray(pick_channel(path, containers, layout, channel))
    stored, valid = stored_pixels(header, containers)
    return Slice(header, stored, valid, n_bytes)
