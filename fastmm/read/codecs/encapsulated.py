"""Encapsulated PixelData: fragments out of an open file, and one codestream per frame.

Every length is held against what the file has left before anything is read, so a damaged
file costs no more memory than it is long.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fastmm.errors import DicomError
from fastmm.read.dicom.tags import label

__all__ = ["Fragments", "read_fragments", "split_frames"]

_ITEM, _END = 0xE000FFFE, 0xE0DDFFFE  # as read in one little-endian word
# Codestreams of JPEG and JPEG-LS, JPEG 2000, and JPEG 2000 in its file format.
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")
_STOP = b"\xff\xd9"
_MOST = 1 << 20  # fragments of one file: a whole slide has some 100,000 frames


class Fragments(NamedTuple):
    """The items of an encapsulated element.

    Attributes
    ----------
    table : tuple of int
        Basic offset table: where each frame begins, from the first fragment's item on.
    starts : list of int
        Where the item of each fragment begins, counted in the same way.
    data : list of bytes
        Content of each fragment.
    """

    table: tuple[int, ...]
    starts: list[int]
    data: list[bytes]

    @property
    def n_bytes(self) -> int:
        """Number of bytes of all fragments."""
        return sum(map(len, self.data))


def read_fragments(path: Path, file: BinaryIO, offset: int) -> Fragments:
    """Read the offset table and the fragments of the element whose value begins at `offset`.

    Parameters
    ----------
    path : pathlib.Path
        Named in errors.
    file : binary file
        Open and seekable.
    offset : int
        Of the first item, which holds the basic offset table.

    Returns
    -------
    Fragments
        All of them, in their order.

    Raises
    ------
    DicomError
        If an item is damaged, reaches beyond the file, or the last delimiter is missing.

    Examples
    --------
    >>> import io
    >>> item = lambda data: struct.pack("<II", 0xE000FFFE, len(data)) + data
    >>> end = struct.pack("<II", 0xE0DDFFFE, 0)
    >>> read_fragments(Path("a.dcm"), io.BytesIO(item(b"") + item(b"abcd") + end), 0).data
    [b'abcd']
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(offset)
    items: list[bytes] = []
    base, starts = 0, []
    while (content := _item(path, file, end)) is not None:
        if not items:
            base = file.tell()
        elif not content:
            raise _damaged(path, "a fragment is empty")
        starts.append(file.tell() - len(content) - 8 - base)
        items.append(content)
        if len(items) > _MOST:
            raise _damaged(path, f"it has more than {_MOST} fragments")
    if len(items) < 2:
        raise _damaged(path, "it has no fragments")
    if len(items[0]) % 4:
        raise _damaged(path, f"its offset table has an odd length of {len(items[0])} bytes")
    table = struct.unpack(f"<{len(items[0]) // 4}I", items[0])
    return Fragments(table, starts[1:], items[1:])


def split_frames(path: Path, fragments: Fragments, frames: int) -> list[bytes]:
    """Join the fragments of each frame.

    Parameters
    ----------
    path : pathlib.Path
        Named in errors.
    fragments : Fragments
        From `read_fragments`.
    frames : int
        Number of frames the header promises.

    Returns
    -------
    list of bytes
        One codestream per frame.

    Raises
    ------
    DicomError
        If the fragments make up another number of frames.

    Notes
    -----
    As many fragments as frames are one each. Otherwise frames begin where a fragment begins
    with a start marker and the one before ended with an end marker, or, where the syntax
    has no markers, where the basic offset table says.
    """
    data = fragments.data
    if len(data) < frames:
        raise _wrong_count(path, frames, len(data))
    if len(data) == frames:
        return data
    marked = _marked(data)
    firsts = marked if len(marked) == frames else _tabled(fragments)
    if len(marked) > frames or len(firsts) != frames:
        # One frame needs no marks, but two images in it are one too many.
        if frames > 1 or len(marked) > 1:
            raise _wrong_count(path, frames, max(len(marked), 1))
        firsts = [0]
    ends = [*firsts[1:], len(data)]
    return [b"".join(data[a:b]) for a, b in zip(firsts, ends, strict=True)]


def _marked(data: Sequence[bytes]) -> list[int]:
    """Return the fragments that begin a codestream after the end of another."""
    return [
        i
        for i, part in enumerate(data)
        if part.startswith(_STARTS) and (i == 0 or _stripped(data[i - 1]).endswith(_STOP))
    ]


def _tabled(fragments: Fragments) -> list[int]:
    """Return the fragments the offset table points to, none if it is not to be trusted."""
    places = {start: i for i, start in enumerate(fragments.starts)}
    firsts = [places.get(offset, -1) for offset in fragments.table]
    rising = all(a < b for a, b in pairwise(firsts))
    return firsts if firsts[:1] == [0] and rising else []


def _stripped(part: bytes) -> bytes:
    return part[-64:].rstrip(b"\0")  # only padding is cut, and a fragment may be long


def _item(path: Path, file: BinaryIO, end: int) -> bytes | None:
    head = file.read(8)
    if len(head) < 8:
        raise _damaged(path, "it is cut, its sequence delimiter is missing")
    tag, length = struct.unpack("<II", head)
    if tag == _END:
        return None
    if tag != _ITEM:
        raise _damaged(path, "an item has a wrong tag")
    left = end - file.tell()
    if length > left:
        raise _damaged(path, f"it is cut: expected {length} bytes of a fragment, got {left}")
    return file.read(length)


def _damaged(path: Path, what: str) -> DicomError:
    return DicomError(f"{path}: encapsulated {label('PixelData')} is damaged: {what}.")


def _wrong_count(path: Path, expected: int, found: int) -> DicomError:
    return DicomError(
        f"{path}: encapsulated {label('PixelData')} does not hold what {label('NumberOfFrames')} "
        f"says: expected {expected} frames, got {found}."
    )
