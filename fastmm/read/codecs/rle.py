"""RLE Lossless: byte planes in PackBits, bounded by what the header promises."""

from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["RleError", "decode_rle"]

_HEADER = struct.Struct("<16I")


class RleError(Exception):
    """What is wrong with an RLE frame."""


def decode_rle(data: bytes, rows: int, columns: int, samples: int, size: int) -> NDArray[np.uint8]:
    """Decode one frame.

    Parameters
    ----------
    data : bytes
        Header of 64 bytes and the segments.
    rows, columns, samples : int
        Of the image.
    size : int
        Bytes of each sample.

    Returns
    -------
    ndarray of shape (rows, columns, samples, size), uint8
        Little-endian samples.

    Raises
    ------
    RleError
        If a segment holds more or fewer bytes than the image.

    Examples
    --------
    >>> header = struct.pack("<16I", 1, 64, *[0] * 14)
    >>> decode_rle(header + bytes([253, 7]), 2, 2, 1, 1).ravel().tolist()
    [7, 7, 7, 7]
    """
    if len(data) < _HEADER.size:
        raise RleError("its header is cut")
    count, *starts = _HEADER.unpack_from(data)
    if count != samples * size:
        raise RleError(f"expected {samples * size} segments, got {count}")
    if count > len(starts):
        raise RleError(f"{count} segments are more than its header can hold")
    starts = [*starts[:count], len(data)]
    if starts[0] < _HEADER.size or any(a >= b for a, b in pairwise(starts)):
        raise RleError("its segments are out of order or beyond its end")
    out = np.empty((samples, size, rows * columns), np.uint8)
    for i, (start, end) in enumerate(pairwise(starts)):
        # The highest byte of each sample comes first.
        out[i // size, size - 1 - i % size] = np.frombuffer(
            _unpack(data[start:end], rows * columns), np.uint8
        )
    return out.reshape(samples, size, rows, columns).transpose(2, 3, 0, 1)


def _unpack(segment: bytes, length: int) -> bytearray:
    out = bytearray()
    place, end = 0, len(segment)
    while len(out) < length and place < end:
        code = segment[place]
        if code < 128:
            out += segment[place + 1 : place + code + 2]
            place += code + 2
        elif code > 128:
            out += segment[place + 1 : place + 2] * (257 - code)
            place += 2
        else:
            place += 1
    # Beyond the last run there may be padding, but neither pixels nor half a run.
    if len(out) != length or place > end or segment[place:].strip(b"\0\x80"):
        raise RleError(f"a segment does not hold the expected {length} bytes")
    return out
