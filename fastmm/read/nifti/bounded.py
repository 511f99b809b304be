"""Bytes of a file that may be gzipped: never more of them than were asked for."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO

from fastmm.errors import NiftiError

__all__ = ["GZIP", "ByteStream"]

GZIP = b"\x1f\x8b"
_CHUNK, _PART = 1 << 18, 1 << 22  # packed and inflated bytes at a time


class ByteStream:
    """Reads forward through a plain or gzipped file.

    A gzip bomb costs no more than what its header promises, and the checksum of gzip is
    compared as soon as its end is met. What follows the last member is ignored.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self.gzipped = file.read(2) == GZIP
        file.seek(0)
        self._inflater = zlib.decompressobj(31)
        self._rest = b""
        self._ended = False

    def read(self, count: int) -> bytes | bytearray:
        """Return the next `count` bytes, fewer where the file ends."""
        if not self.gzipped:
            return self._file.read(count)
        out = bytearray()  # grows with what is there, not with what is promised
        while len(out) < count and (part := self._part(count - len(out))):
            out += part
        return out

    def skip(self, count: int) -> None:
        """Pass over `count` bytes."""
        if not self.gzipped:
            self._file.seek(count, 1)
            return
        while count > 0 and (part := self._part(count)):
            count -= len(part)

    def _part(self, most: int) -> bytes:
        try:
            return self._inflate(min(most, _PART))
        except zlib.error:
            raise NiftiError(
                f"{self._path}: its gzip data are damaged; the checksum or the codes are wrong."
            ) from None

    def _inflate(self, most: int) -> bytes:
        while not self._ended:
            if self._inflater.eof:
                self._next_member()
                continue
            packed = self._rest or self._file.read(_CHUNK)
            part = self._inflater.decompress(packed, most)
            self._rest = self._inflater.unconsumed_tail
            if part:
                return part
            if not packed and not self._inflater.eof:
                raise NiftiError(f"{self._path}: is cut: its gzip data end too early.")
        return b""

    def _next_member(self) -> None:
        rest = self._inflater.unused_data
        while len(rest) < 2 and (more := self._file.read(_CHUNK)):
            rest += more
        if rest[:2] != GZIP:
            self._ended = True
            return
        self._inflater, self._rest = zlib.decompressobj(31), rest
