"""What the header of a JPEG, JPEG-LS or JPEG 2000 codestream says, before it is decoded.

Decoders believe the codestream; the DICOM header may say something else. Both are read
here, in Python and without allocating, so that a contradiction or a bomb is found first.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

__all__ = ["Codestream", "CodestreamError", "read_codestream", "segments"]

# An end, a start or a frame header inside of entropy-coded data; FF00 and FFD0 to FFD7 are data.
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")
# JPEG-LS stuffs a bit after FF, so that any set highest bit means a marker.
_LS_MARKER = re.compile(rb"\xff+([\x80-\xcf\xd8-\xfe])")
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_SCAN, _END, _LINES, _INTERVAL, _JPEG_LS = 0xDA, 0xD9, 0xDC, 0xDD, 0xF7
_ADOBE_TRANSFORM = 11  # offset of the byte in APP14


class CodestreamError(Exception):
    """What is wrong with a codestream, in words that quote nothing of it."""


@dataclass(frozen=True)
class Codestream:
    """The size and kind of a compressed image.

    Attributes
    ----------
    data : bytes
        The bare codestream.
    process : int
        Second byte of the marker of its header: 0xC0 baseline, 0xC1 extended, 0xC3
        lossless, 0xF7 JPEG-LS, 0x51 JPEG 2000.
    rows, columns, samples, precision : int
        Precision in bits.
    signed : bool
        JPEG 2000 only.
    colour : str
        What it says of three samples: "RGB", "YBR", "" (nothing). In JPEG 2000 "RGB" if the
        decoder undoes a multiple component transform, "" if there is none.
    adobe : bool
        Whether an Adobe marker says so.
    """

    data: bytes
    process: int
    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool = False
    colour: str = ""
    adobe: bool = False


def read_codestream(data: bytes) -> Codestream:
    """Read the header of a codestream and check that its parts are all there.

    Parameters
    ----------
    data : bytes
        One frame; padding after it is allowed.

    Returns
    -------
    Codestream
        What it says of itself.

    Raises
    ------
    CodestreamError
        If it is none of the known kinds, cut, or contradicts itself.

    Examples
    --------
    >>> read_codestream(b"no image")
    Traceback (most recent call last):
    ...
    fastmm.read.codecs.codestream.CodestreamError: it does not begin with a known marker
    """
    data = _unboxed(data)
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _read_jpeg(data)
        if data.startswith(b"\xff\x4f\xff\x51"):
            return _read_jpeg2000(data)
    except (struct.error, IndexError):
        raise CodestreamError("its header is cut") from None
    raise CodestreamError("it does not begin with a known marker")


def segments(data: bytes, place: int) -> Iterator[tuple[int, bytes, int]]:
    r"""Yield the segments of a JPEG from `place` on, up to its end marker.

    Each is the second byte of its marker, its content, and where the next one, or the data of
    a scan, begin. CodestreamError if one is damaged, IndexError or struct.error if cut.

    Examples
    --------
    >>> list(segments(b"\xff\xdd\0\4\0\7\xff\xd9", 0))
    [(221, b'\x00\x07', 6), (217, b'', 8)]
    """
    while True:
        if data[place] != 0xFF:
            raise CodestreamError("its header is damaged")
        while data[place] == 0xFF:
            place += 1
        marker = data[place]
        place += 1
        if marker in _WITHOUT_LENGTH:
            continue
        if marker == _END:
            yield marker, b"", place
            return
        (length,) = struct.unpack_from(">H", data, place)
        content = data[place + 2 : place + length]
        if length < 2 or len(content) != length - 2:
            raise CodestreamError("its header is cut")
        place += length
        yield marker, content, place


def _read_jpeg(data: bytes) -> Codestream:
    frame: tuple[int, bytes] | None = None
    claims: set[str] = set()
    adobe = False
    interval, place = 0, 2
    for marker, content, end in segments(data, place):
        place = end
        if marker in _FRAMES:
            if frame is not None:
                raise CodestreamError("it has two frame headers")
            frame = marker, content
        elif marker == 0xE0 and content.startswith(b"JFIF\0"):
            claims.add("YBR")
        elif marker == 0xEE and content.startswith(b"Adobe") and len(content) > _ADOBE_TRANSFORM:
            adobe = True
            claims.add("YBR" if content[_ADOBE_TRANSFORM] else "RGB")
        elif marker == _INTERVAL:
            interval = int.from_bytes(content, "big")
        elif marker == _SCAN:
            break
    if frame is None:
        raise CodestreamError("it has no frame header")
    _check_scans(data, place, interval, _LS_MARKER if frame[0] == _JPEG_LS else _MARKER)
    return replace(_frame(data, *frame, claims), adobe=adobe)


def _frame(data: bytes, marker: int, content: bytes, claims: set[str]) -> Codestream:
    precision, rows, columns, samples = struct.unpack_from(">BHHB", content)
    parts = content[6:]
    if len(parts) != 3 * samples or samples == 0:
        raise CodestreamError("its frame header has a wrong length")
    if parts[::3] == b"RGB":
        claims.add("RGB")
    if len(set(parts[1::3])) > 1:
        claims.add("YBR")  # only colour differences are sampled more coarsely than the rest
    if samples == 1:
        claims.clear()
    if len(claims) > 1:
        raise CodestreamError("its markers contradict each other on its colours")
    return Codestream(data, marker, rows, columns, samples, precision, colour="".join(claims))


def _check_scans(data: bytes, place: int, interval: int, pattern: re.Pattern[bytes]) -> None:
    """Walk over the scans to the end marker, which decoders do not insist on."""
    while (found := pattern.search(data, place)) is not None:
        counts = [m[0] & 7 for m in _RESTART.findall(data, place, found.start())]
        if any(n != i % 8 for i, n in enumerate(counts)) or (counts and not interval):
            raise CodestreamError("its restart markers are damaged")
        for marker, content, end in segments(data, found.start()):
            place = end
            if marker == _END:
                if data[place:].strip(b"\0\xff"):
                    raise CodestreamError("it goes on after its end marker")
                return
            if marker == _INTERVAL:
                interval = int.from_bytes(content, "big")
            elif marker in _FRAMES or marker == _LINES:
                raise CodestreamError("it has two frame headers")
            elif marker == _SCAN:
                break
    raise CodestreamError("it is cut, its end marker is missing")


def _read_jpeg2000(data: bytes) -> Codestream:
    x1, y1, x0, y0 = struct.unpack_from(">4I", data, 8)
    (samples,) = struct.unpack_from(">H", data, 40)
    parts = data[42 : 42 + 3 * samples]
    (length,) = struct.unpack_from(">H", data, 4)
    if len(parts) != 3 * samples or length != 38 + 3 * samples or samples == 0:
        raise CodestreamError("its header is damaged")
    if len(set(parts[::3])) > 1:
        raise CodestreamError("its samples differ in precision")
    if set(parts[1::3]) | set(parts[2::3]) != {1}:
        raise CodestreamError("its samples differ in size, which is not supported")
    depth = parts[0]
    colour = ""
    place = 4 + length
    while data[place : place + 2] != b"\xff\x90":  # the first tile
        marker, length = struct.unpack_from(">HH", data, place)
        if not 0xFF30 <= marker <= 0xFFFF or length < 2:
            raise CodestreamError("its header is damaged")
        if marker == 0xFF52 and data[place + 8]:
            colour = "RGB"
        place += 2 + length
    _check_tiles(data, place)
    return Codestream(
        data, 0x51, y1 - y0, x1 - x0, samples, (depth & 0x7F) + 1, depth > 0x7F, colour
    )


def _check_tiles(data: bytes, place: int) -> None:
    """Walk over the tile parts: one that is cut would be decoded at lower quality."""
    while data[place : place + 2] == b"\xff\x90":
        size, _, length = struct.unpack_from(">HHI", data, place + 2)
        if size != 10 or 0 < length < 14:
            raise CodestreamError("a tile has a damaged header")
        if length == 0:  # up to the end marker
            place = len(data.rstrip(b"\0")) - 2
            break
        place += length
    rest = data[place:]
    if place > len(data) or (rest and not rest.startswith(b"\xff\xd9") and rest.strip(b"\0")):
        raise CodestreamError("its tiles are cut or damaged")


def _unboxed(data: bytes) -> bytes:
    """Return the codestream out of the JP2 file format, which the standard forbids here."""
    if not data.startswith(b"\0\0\0\x0cjP  "):
        return data
    place = 0
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        head = 8
        if length == 1 and place + 16 <= len(data):
            (length,) = struct.unpack_from(">Q", data, place + 8)
            head = 16
        end = len(data) if length == 0 else place + length
        if end > len(data) or end < place + head:
            break
        if kind == b"jp2c":
            return data[place + head : end]
        place = end
    raise CodestreamError("its boxes are damaged or cut")
