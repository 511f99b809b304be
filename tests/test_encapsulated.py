"""Fragments and frames of encapsulated pixels, whole and damaged."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from pydicom.encaps import encapsulate, generate_frames

from fastmm.errors import DicomError
from fastmm.read.codecs.encapsulated import read_fragments, split_frames

PATH = Path("a.dcm")
END = struct.pack("<II", 0xE0DDFFFE, 0)


def item(data: bytes) -> bytes:
    return struct.pack("<II", 0xE000FFFE, len(data)) + data


def element(*parts: bytes, table: bytes = b"") -> bytes:
    return item(table) + b"".join(map(item, parts)) + END


def split(value: bytes, frames: int, *, before: bytes = b"") -> list[bytes]:
    fragments = read_fragments(PATH, io.BytesIO(before + value), len(before))
    return split_frames(PATH, fragments, frames)


def stream(seed: int, size: int = 20) -> bytes:
    body = np.random.default_rng(seed).integers(0, 255, size, np.uint8).tobytes()
    return b"\xff\xd8\xff\xe0" + body + b"\xff\xd9"


@pytest.mark.parametrize("fragments", [1, 2, 3])
@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_frames_are_those_of_pydicom(fragments, table, frames):
    wanted = [stream(i) for i in range(frames)]
    value = encapsulate(wanted, fragments_per_frame=fragments, has_bot=table) + END
    assert split(value, frames, before=b"12345") == wanted
    assert split(value, frames) == list(generate_frames(value, number_of_frames=frames))


def test_padding_after_an_end_marker():
    first, second = stream(1), stream(2)
    value = element(first[:10], first[10:] + b"\0\0\0", second[:8], second[8:] + b"\0")
    assert split(value, 2) == [first + b"\0\0\0", second + b"\0"]


def test_a_start_marker_inside_of_a_frame_starts_none():
    inside = b"\xff\xd8\xff" + bytes(9)  # does not follow an end marker
    first, second = stream(1), stream(2)
    assert split(element(first[:8], inside, first[8:], second), 2) == [
        first[:8] + inside + first[8:], second,
    ]  # fmt: skip


def test_a_delimiter_inside_of_a_fragment_ends_nothing():
    data = stream(1) + END + item(b"ab")
    assert split(element(data), 1) == [data]


def test_without_markers_the_offset_table_tells():
    parts = [b"abcd", b"efghij", b"kl"]
    table = struct.pack("<II", 0, 8 + 4 + 8 + 6)
    assert split(element(*parts, table=table), 2) == [b"abcdefghij", b"kl"]
    for wrong in ([0, 5], [8, 26], [26, 0], [0, 0], [0]):
        table = struct.pack(f"<{len(wrong)}I", *wrong)
        with pytest.raises(DicomError, match="expected 2 frames, got 1"):
            split(element(*parts, table=table), 2)
    assert split(element(*parts), 1) == [b"abcdefghijkl"]


@pytest.mark.parametrize(("expected", "got"), [(1, 2), (3, 2), (1, 4), (2, 4), (9, 4)])
def test_another_number_of_frames(expected, got):
    with pytest.raises(DicomError, match=f"expected {expected} frames, got {got}"):
        split(element(*(stream(i) for i in range(got))), expected)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (b"", "delimiter is missing"),
        (END, "no fragments"),
        (item(b"") + END, "no fragments"),
        (item(b"") + item(b"abcd"), "delimiter is missing"),
        (item(b"") + item(b"abcd") + END[:7], "delimiter is missing"),
        (item(b"") + item(b"abcd")[:10], "expected 4 bytes of a fragment, got 2"),
        (item(b"") + struct.pack("<II", 0xE000FFFE, 0xFFFFFFFF), "expected 4294967295 bytes"),
        (item(b"") + struct.pack("<II", 0xE000FFFE, 1 << 30) + b"ab", "expected 1073741824 bytes"),
        (item(b"") + item(b"abcd") + b"\x10\0\x10\0" + bytes(4), "wrong tag"),
        (item(b"") + item(b"") + END, "a fragment is empty"),
        (item(b"abc") + item(b"abcd") + END, "odd length of 3"),
    ],
)
def test_damaged_items(value, what):
    with pytest.raises(DicomError, match=what):
        split(value, 1)


def test_too_many_fragments(monkeypatch):
    monkeypatch.setattr("fastmm.read.codecs.encapsulated._MOST", 50)
    with pytest.raises(DicomError, match="more than 50 fragments"):
        split(element(*[b"ab"] * 60), 60)


def test_mutations_give_frames_or_our_error():
    rng = np.random.default_rng(0)
    whole = encapsulate([stream(i) for i in range(3)], fragments_per_frame=2) + END
    failed = 0
    for _ in range(500):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 3):
            data[place] = rng.integers(256)
        try:
            found = split(bytes(data), 3)
        except DicomError:
            failed += 1
        else:
            assert len(found) == 3
            assert sum(map(len, found)) <= len(data)
    assert failed > 50
