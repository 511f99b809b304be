"""Whether the Huffman codes of a JPEG make up its image: no more, no less, none that is wrong.

The decoders at hand keep to themselves what libjpeg warns of, and give pixels all the same.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmm.read.codecs.codestream import CodestreamError, segments
from fastmm.read.codecs.jpeg_codes import default_codes, define_codes
from fastmm.read.codecs.jpeg_frame import (
    LOSSLESS,
    PROGRESSIVE,
    SEQUENTIAL,
    Component,
    Frame,
    Progress,
)

__all__ = ["HUFFMAN", "check_entropy"]

#: Second bytes of the markers of the frames that `check_entropy` looks into.
HUFFMAN = frozenset({*SEQUENTIAL, PROGRESSIVE, LOSSLESS})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_CODES, _STEPS, _INTERVAL, _SCAN = 0xC4, 0xDB, 0xDD, 0xDA
_MOST_BLOCKS = 10  # of an MCU, by the standard
_Found = tuple[int, int, int]  # status, number of an MCU, place of the end


def check_entropy(data: bytes) -> None:
    r"""Walk over the Huffman codes of a JPEG and refuse those that make up no image.

    Parameters
    ----------
    data : bytes
        From the start marker on; what follows the end marker is not looked at.

    Raises
    ------
    CodestreamError
        If a code is none of its table, a coefficient lies beyond its block or its range, the
        data end before the last MCU or go on after it, a restart marker is missing or out of
        order, or a scan is missing.

    Notes
    -----
    For baseline, extended, progressive and lossless JPEG with Huffman codes. JPEG has no
    checksum: damage that makes other codes of the same number of blocks is found only if it
    carries a DC coefficient, or a lossless sample, beyond black or white. Bits that fill the
    last byte may be ones, as the standard asks for, or zeros. It takes some 3 to 9 ns a byte
    of sequential and lossless JPEG, 30 ns of progressive, and half of what decoding takes.

    References
    ----------
    ITU-T T.81, Annexes F (sequential), G (progressive) and H (lossless).

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> Image.new("L", (64, 64)).save(out := io.BytesIO(), "JPEG")
    >>> check_entropy(out.getvalue())
    >>> check_entropy(out.getvalue()[:-4] + b"\xff\xd9")
    Traceback (most recent call last):
    ...
    fastmm.read.codecs.codestream.CodestreamError: its JPEG data is damaged at MCU 63 of 64
    """
    try:
        _Walk(data).run()
    except (struct.error, IndexError):
        raise CodestreamError("it is cut, its end marker is missing") from None


class _Scan(NamedTuple):
    part: tuple[Component, ...]
    dc: tuple[int, ...]  # rows of the table of codes
    ac: tuple[int, ...]
    low: int  # of a lossless frame the predictor
    high: int
    before: int  # the coefficients come from this bit (0: the highest) to the bit `after`
    after: int
    place: int  # of the data


class _Walk:
    """What the segments so far have set."""

    def __init__(self, data: bytes) -> None:
        self._data, self._bytes = data, np.frombuffer(data, np.uint8)
        self._codes = default_codes()
        self._steps: dict[int, int] = {}  # of quantisation, of the DC coefficient
        self._interval = 0
        self._frame: Frame | None = None
        # A bit for each coefficient of each block that is not zero, by component.
        self._nonzero: dict[int, NDArray[np.int64]] = {}

    def run(self) -> None:
        place = 2
        while (scan := self._next_scan(place)) is not None:
            place = self._walk(scan)
        if self._frame is None or not self._progress.complete:
            raise CodestreamError("its scans do not make up the image")

    def _next_scan(self, place: int) -> _Scan | None:
        """Take in the segments up to a scan header, or the end."""
        for marker, content, end in segments(self._data, place):
            if marker == _CODES:
                define_codes(self._codes, content)
            elif marker == _STEPS:
                self._quantise(content)
            elif marker == _INTERVAL:
                (self._interval,) = struct.unpack(">H", content)
            elif marker in _FRAMES:
                if self._frame is not None or marker not in HUFFMAN:
                    raise CodestreamError("it has two frame headers, or one of another kind")
                self._frame = Frame.read(marker, content)
                self._progress = Progress(self._frame)
            elif marker == _SCAN:
                return self._read_scan(content, end)
        return None

    def _quantise(self, content: bytes) -> None:
        while content:
            size = 2 if content[0] >> 4 else 1
            self._steps[content[0] & 15] = int.from_bytes(content[1 : 1 + size], "big")
            content = content[1 + 64 * size :]

    def _read_scan(self, content: bytes, place: int) -> _Scan:
        n = content[0]
        if self._frame is None or not n or len(content) != 4 + 2 * n:
            raise CodestreamError("a scan header is damaged")
        part = self._frame.pick(content[1 : 1 + 2 * n : 2])
        codes = content[2 : 2 + 2 * n : 2]
        low, high, bits = content[1 + 2 * n :]
        before, after = bits >> 4, bits & 15
        if self._frame.process == PROGRESSIVE:
            if (low == 0) != (high == 0) or low > high or (low and n > 1):
                raise CodestreamError("a scan header is damaged")
            self._progress.take(part, low, high, before, after)
        else:
            self._progress.take(part, 0, 0, 0, 0)
        if self._frame.process in SEQUENTIAL:  # some writers leave these fields as they please
            low = high = before = after = 0
        dc, ac = tuple(c >> 4 for c in codes), tuple(4 + (c & 15) for c in codes)
        band = self._frame.process == PROGRESSIVE and low > 0
        if (not band and max(dc) > 3) or (self._frame.process != LOSSLESS and max(ac) > 7):
            raise CodestreamError("a scan names a Huffman table that there is not")
        return _Scan(part, dc, ac, low, high, before, after, place)

    def _walk(self, scan: _Scan) -> int:
        """Walk over the data of a scan and return their end."""
        from fastmm.kernels._huffman import BAD_TABLE, FINE

        frame = self._frame
        assert frame is not None
        rows, columns = frame.size(scan.part)
        factors = {c.across * c.down for c in scan.part}
        if frame.process == LOSSLESS and (len(scan.part) == 1 or factors == {1}):
            status, unit, end = self._walk_lossless(frame, scan, rows, columns)
        elif frame.process == PROGRESSIVE and scan.low:
            status, unit, end = self._walk_band(frame, scan, rows * columns)
        else:
            status, unit, end = self._walk_blocks(frame, scan, rows * columns)
        if status == BAD_TABLE:
            raise CodestreamError("its Huffman tables are damaged")
        if status != FINE:
            what = f"its JPEG data is damaged at MCU {unit + 1} of {rows * columns}"
            raise CodestreamError(what)
        return int(end)

    def _walk_blocks(self, frame: Frame, scan: _Scan, units: int) -> _Found:
        from fastmm.kernels.huffman import walk_blocks

        plan = [
            (-1 if scan.before else dc, ac if frame.process in SEQUENTIAL else -1, c.number)
            for c, dc, ac in zip(scan.part, scan.dc, scan.ac, strict=True)
            for _ in range(c.across * c.down if len(scan.part) > 1 else 1)
        ]
        if len(plan) > _MOST_BLOCKS:
            raise CodestreamError("a scan header is damaged")
        widest = (16, 0) if frame.process == LOSSLESS else _widest(frame.precision)
        found: _Found = walk_blocks(
            self._bytes, scan.place, self._codes, np.array(plan), self._largest(frame, scan),
            units, self._interval, widest,
        )  # fmt: skip
        return found

    def _largest(self, frame: Frame, scan: _Scan) -> NDArray[np.int64]:
        """Return the largest DC coefficient of each component, as the scan codes it."""
        largest = np.full(len(frame.components), -1, np.int64)
        for component in scan.part if frame.process != LOSSLESS else ():
            step = self._steps.get(component.steps, 0) << scan.after
            if step:
                # Black and white lie at +-8 * 2^(bits - 1). Rounding adds half a step, and
                # a coarse cosine transform some more.
                largest[component.number] = ((17 << frame.precision) >> 2) // step + 2
        return largest

    def _walk_band(self, frame: Frame, scan: _Scan, units: int) -> _Found:
        from fastmm.kernels.huffman import walk_band

        number = scan.part[0].number
        if number not in self._nonzero:
            self._nonzero[number] = np.zeros(units, np.int64)
        widest = 1 if scan.before else _widest(frame.precision)[1]
        found: _Found = walk_band(
            self._bytes, scan.place, self._codes[scan.ac[0]], self._nonzero[number], scan.low,
            scan.high, scan.before > 0, self._interval, widest,
        )  # fmt: skip
        return found

    def _walk_lossless(self, frame: Frame, scan: _Scan, rows: int, columns: int) -> _Found:
        from fastmm.kernels.lossless import walk_lossless

        interval, uneven = divmod(self._interval, columns)
        precision = frame.precision - scan.after
        if uneven or not 1 <= scan.low <= 7 or precision < 1:
            raise CodestreamError("a scan header is damaged")
        found: _Found = walk_lossless(
            self._bytes, scan.place, self._codes, np.array(scan.dc), columns, rows, interval,
            precision, scan.low,
        )  # fmt: skip
        return found


def _widest(precision: int) -> tuple[int, int]:
    """Return the most bits of a DC difference and of an AC coefficient."""
    return (11, 10) if precision == 8 else (15, 14)
