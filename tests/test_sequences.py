"""Items of sequences: what pydicom finds in them, within limits, or an error."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset

from fastmm.errors import DicomError
from fastmm.read.dicom import sequences
from fastmm.read.dicom.elements import UNDEFINED, Scanner
from fastmm.read.dicom.sequences import read_items

INNER, OUTER, TEXT, WEIGHT = 0x00081140, 0x00089215, 0x00080060, 0x00101030
WANTED = {TEXT: None, INNER: {WEIGHT: None}}


def nested(undefined: bool) -> Dataset:
    items = []
    for number in range(3):
        inner = Dataset()
        inner.PatientWeight, inner.PatientSize = number + 0.5, 2
        skipped = Dataset()
        skipped.Modality = "XX"
        item = Dataset()
        item.Modality = f"M{number}"
        item.ReferencedImageSequence = [inner, inner]
        item.ReferencedStudySequence = [skipped]
        items.append(item)
    ds = Dataset()
    ds.DerivationCodeSequence, ds.PatientWeight = items, 70
    ds.SourceImageSequence = []
    for each in (ds, *items):
        for element in each:
            if element.VR == "SQ":
                element.is_undefined_length = undefined
                for item in element.value:
                    item.is_undefined_length_sequence_item = undefined
    return ds


def encoded(ds: Dataset, *, implicit: bool, little: bool) -> bytes:
    file = DicomFileLike(io.BytesIO())
    file.is_implicit_VR, file.is_little_endian = implicit, little
    write_dataset(file, ds)
    return file.parent.getvalue()


def scanned(data: bytes, *, implicit: bool = False, little: bool = True) -> Scanner:
    return Scanner(Path("a.dcm"), io.BytesIO(data), implicit=implicit, little_endian=little)


def first(data: bytes, wanted=WANTED, **how):
    scanner = scanned(data, **how)
    return read_items(scanner, next(scanner.elements()), wanted)


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize(("implicit", "little"), [(False, True), (True, True), (False, False)])
def test_items_of_every_encoding(undefined, implicit, little):
    data = encoded(nested(undefined), implicit=implicit, little=little)
    assert (b"\xff" * 4 in data) == undefined
    scanner = scanned(data, implicit=implicit, little=little)
    seen = {}
    for element in scanner.elements():
        if element.tag in (OUTER, 0x00082112):
            seen[element.tag] = read_items(scanner, element, WANTED)
        else:
            seen[element.tag] = scanner.value(element)
    assert seen[0x00082112] == []
    assert seen[WEIGHT] == b"70.0"
    assert seen[OUTER] == [
        {TEXT: f"M{i}".encode(), INNER: [{WEIGHT: f"{i}.5 ".encode()}] * 2} for i in range(3)
    ]


def _long(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    return struct.pack("<HH2s2xL", tag >> 16, tag & 0xFFFF, vr, size) + value


def _implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, size) + value


ITEM, ITEM_END, END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


@pytest.mark.parametrize("undefined", [False, True])
def test_sequences_of_unknown_representation_are_implicit(undefined):
    value = _implicit(ITEM, _implicit(TEXT, b"CT"))
    if undefined:
        data = _long(OUTER, b"UN", value + _implicit(END, b""), UNDEFINED)
    else:
        data = _long(OUTER, b"UN", value)
    assert first(data) == [{TEXT: b"CT"}]
    element = next(scanned(data).elements())
    with pytest.raises(DicomError, match="unknown value representation in big endian"):
        read_items(scanned(data, little=False), element, WANTED)


def test_implicit_items_in_an_explicit_file():
    item = _implicit(ITEM, _implicit(TEXT, b"CT") + _implicit(ITEM_END, b""), UNDEFINED)
    assert first(_long(OUTER, b"SQ", item)) == [{TEXT: b"CT"}]


def test_sequences_that_are_passed_are_not_walked_over_again(monkeypatch):
    data = encoded(nested(undefined=True), implicit=False, little=True)
    scanner = scanned(data)
    monkeypatch.setattr(Scanner, "_skip_items", lambda *_: pytest.fail("walked over"))
    for element in scanner.elements():
        if element.length == UNDEFINED:
            read_items(scanner, element, {})


def test_every_cut_is_an_error():
    for undefined in (False, True):
        data = encoded(nested(undefined), implicit=False, little=True)
        scanner = scanned(data)
        element = next(e for e in scanner.elements() if e.tag == OUTER)
        read_items(scanner, element, WANTED)
        for size in range(element.offset, scanner.passed[1]):
            with pytest.raises(DicomError, match=r"\(0008,9215\) is (cut|damaged)"):
                read_items(scanned(data[:size]), element, WANTED)


@pytest.mark.parametrize(
    ("inside", "what"),
    [
        (_implicit(TEXT, b"CT"), "an item was expected"),
        (_implicit(ITEM, b"", 400), "an item reaches beyond its end"),
        (_implicit(ITEM, _long(TEXT, b"UT", b"CT", 40)), "a value reaches beyond its item"),
        (_implicit(ITEM, _long(INNER, b"SQ", b"", UNDEFINED)), "is (cut|damaged)"),
        (_implicit(ITEM, struct.pack("<HH2sH", 8, 0x1140, b"CS", 0)), "stands for a sequence"),
        (_implicit(ITEM, _long(TEXT, b"SQ", _implicit(END, b""), UNDEFINED)), "stands for a value"),
        (_implicit(ITEM, _long(TEXT, b"UT", b"", 0) + b"\x08\0\x60\0\0\0\x01\x02"),
         "no value representation"),
    ],
)  # fmt: skip
def test_damage_is_named(inside, what):
    with pytest.raises(DicomError, match=what):
        first(_long(OUTER, b"SQ", inside))


def test_another_value_representation():
    with pytest.raises(DicomError, match="another value representation"):
        first(_long(OUTER, b"OB", b"SECRET"))


def test_depth_is_limited():
    data = b"".join(
        _long(INNER, b"SQ", b"", UNDEFINED) + _implicit(ITEM, b"", UNDEFINED) for _ in range(5000)
    )
    with pytest.raises(DicomError, match="nests too deeply"):
        first(data, {})
    with pytest.raises(DicomError, match="nests too deeply"):
        first(data, {INNER: {INNER: {}}})


def test_number_and_size_of_items_are_limited(monkeypatch):
    monkeypatch.setattr(sequences, "_MOST_ITEMS", 100)
    assert len(first(_long(OUTER, b"SQ", _implicit(ITEM, b"") * 100))) == 100
    with pytest.raises(DicomError, match="more than 100 items"):
        first(_long(OUTER, b"SQ", _implicit(ITEM, b"") * 101))
    monkeypatch.setattr(sequences, "_MOST_BYTES", 50)
    with pytest.raises(DicomError, match="more than 50 bytes"):
        first(_long(OUTER, b"SQ", _implicit(ITEM, b"") * 10))


def test_a_length_that_lies_allocates_nothing():
    with pytest.raises(DicomError, match="takes more than"):
        first(_long(OUTER, b"SQ", b"", UNDEFINED - 2))
    with pytest.raises(DicomError, match="a value of 500000 bytes"):
        first(_long(OUTER, b"SQ", _implicit(ITEM, _long(TEXT, b"UT", bytes(500_000)))))


def test_long_sequences_are_read_in_pieces():
    item = _implicit(ITEM, _long(0x00091001, b"OB", bytes(100_000)) + _long(TEXT, b"UT", b"CT"))
    data = _long(OUTER, b"SQ", item * 50 + _implicit(END, b""), UNDEFINED)
    assert first(data) == [{TEXT: b"CT"}] * 50
