"""The fast lane of headers: on every file it says what the full reader says."""

from __future__ import annotations

import dataclasses
import os
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from dicom_files import image, write, write_series
from harness import run_python

from fastmm.errors import FastmmError
from fastmm.read.dicom import heads
from fastmm.read.dicom.header import Header
from fastmm.read.dicom.heads import read_headers
from fastmm.read.dicom.lookup import Lookup
from fastmm.read.dicom.scans import scan
from fastmm.read.dicom.slices import read_header
from fastmm.read.dicom.tag_table import TAGS


def full(path: Path):
    try:
        return read_header(path)
    except (FastmmError, OSError) as error:
        return error


def assert_same(found, expected) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, (Header, Lookup)):
        for field in dataclasses.fields(expected):
            mine, theirs = getattr(found, field.name), getattr(expected, field.name)
            assert_same(mine, theirs)
    elif isinstance(expected, Exception):
        assert str(found) == str(expected)
    else:
        np.testing.assert_array_equal(found, expected)


def compare(paths: list[Path]) -> int:
    """Compare both lanes; return how many files the fast lane read by itself."""
    taken = []
    original, heads._read_one = heads._read_one, lambda *a: taken.append(a) or original(*a)
    try:
        found = list(read_headers(paths))
    finally:
        heads._read_one = original
    for one, path in zip(found, paths, strict=True):
        assert_same(one, full(path))
    return len(paths) - len(taken)


def files_under(*folders: Path) -> list[Path]:
    return sorted(p for f in folders for p in f.rglob("*") if p.is_file())


def test_every_file_of_pydicom():
    import pydicom.data

    files = files_under(Path(pydicom.data.__file__).parent)
    assert len(files) > 100
    assert compare(files) > 30


def test_every_file_of_pydicom_data():
    import data_store

    files = files_under(Path(data_store.__file__).parent)
    assert len(files) > 50
    assert compare(files) > 10


def test_every_dicom_file_of_the_real_cohorts(real_data):
    files = [p for p in files_under(real_data) if p.suffix == ".dcm"]
    assert len(files) > 800
    assert compare(files) > 800


def test_common_files_take_the_fast_lane(tmp_path):
    write_series(tmp_path, 40)
    assert compare(files_under(tmp_path)) == 40


def test_a_few_files_do_not_load_the_scanner(tmp_path):
    write_series(tmp_path, 3)
    code = f"""
        import sys
        from pathlib import Path
        from fastmm.read.dicom.heads import read_headers
        folder = Path({str(tmp_path)!r})
        assert len(list(read_headers(sorted(folder.iterdir())))) == 3
        assert "numba" not in sys.modules
    """
    run_python(code)


def test_what_differs_within_a_series_stays_with_its_file(tmp_path):
    for n in range(20):
        write(
            tmp_path / f"{n:02}.dcm",
            image(n, (6, 5 + n % 2)),
            RescaleSlope=1 + n % 3,
            ImagePositionPatient=[n, 2, -n] if n != 7 else None,
            PatientID=f"p{n % 2}",
            PixelPaddingValue=n % 4,
            StudyDescription="x" * n,  # moves the pixels
        )
    assert compare(files_under(tmp_path)) == 20


NUMBERS = ["1.5", "0.0123", "2.5e-3", "1.E+2", " 3 ", ".5", "1234567.89012345", "-2", "+0.10"]
NUMBERS += ["1", "1", "0", "1e39", "", "x", r"1.5\2", "-0", "7", None, "7", "1e-400", "9e", "nan"]


def with_values(path: Path, values: dict[str, str | None], **tags) -> None:
    """Write a slice whose decimal values are these texts, or are not there."""
    raw = {}
    for name, text in values.items():
        tag, value = TAGS[name][0], (text or "").encode()
        raw[f"{tag:08X}"] = "DS", value + b" " * (len(value) % 2)
    left_out = {name: None for name, text in values.items() if text is None}
    for name in left_out:
        del raw[f"{TAGS[name][0]:08X}"]
    write(path, raw=raw, **tags, **left_out)


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_what_a_rescale_may_be_within_a_series(tmp_path, kind):
    pairs = [*zip(NUMBERS, reversed(NUMBERS), strict=True), *((s, "5") for s in NUMBERS)]
    for n, pair in enumerate(pairs):
        values = dict(zip(("RescaleSlope", "RescaleIntercept"), pair, strict=True))
        file = tmp_path / f"{n:02}.dcm"
        with_values(file, values, Modality="CR", PhotometricInterpretation=kind)
    assert compare(files_under(tmp_path)) > 15


PLACES = [r"1\2\3", r"1\2", r"1\2\3\4", "-1.5 \\ 2e1\\\0-0.0", r"1e9\0\0", r"\\", "", r"1\2\-3"]
PLACES += [r"0.1234567890123456\9007199254740993\1e-22", r"1e22\1\1", r"1e23\1\1", None]
PLACES += [r"-158.135803\-179.035797\-75.699997", r"+.5\5.\0000000000000000000000000001"]


def test_what_a_position_may_be_within_a_series(tmp_path):
    for n, text in enumerate(PLACES * 3):
        with_values(tmp_path / f"{n:02}.dcm", {"ImagePositionPatient": text})
    assert compare(files_under(tmp_path)) > 20


def test_decimal_text_is_what_python_makes_of_it(tmp_path):
    rng = random.Random(5)
    expected = []
    for n in range(200):
        numbers = [rng.uniform(-1, 1) * 10 ** rng.randint(-8, 8) for _ in range(3)]
        texts = [f"{number:.{rng.randint(1, 17)}{rng.choice('gef')}}" for number in numbers]
        with_values(tmp_path / f"{n:03}.dcm", {"ImagePositionPatient": "\\".join(texts)})
        expected.append([float(text) for text in texts])
    found = scan(files_under(tmp_path)).numbers[:, :3]
    understood = ~np.isnan(found).any(axis=1)
    assert 20 < understood.sum() < 200
    np.testing.assert_array_equal(found[understood], np.array(expected)[understood])


def test_without_compiled_reading_the_same_is_found(tmp_path, monkeypatch):
    from fastmm.kernels import _files

    write_series(tmp_path, 10)
    for n, length in enumerate([3_000, 16_000, 100_000, 300_000]):
        private = {"00091010": ("OB", bytes(length)), "00090010": ("LO", b"MINE")}
        write(tmp_path / f"long{n}.dcm", raw=private)
    (tmp_path / "folder.dcm").mkdir()
    (tmp_path / "empty.dcm").touch()
    os.mkfifo(tmp_path / "pipe.dcm")
    paths = [*sorted(tmp_path.iterdir()), tmp_path / "none.dcm"]
    fast = compare(paths)
    monkeypatch.setattr(_files, "LOOKS", False)
    assert compare(paths) == fast == 13


def test_a_name_that_no_file_can_have(tmp_path):
    write_series(tmp_path, 8)
    files = files_under(tmp_path)
    with pytest.raises(ValueError, match="null"):
        list(read_headers([*files, Path(f"{files[0]}\0more")]))


def test_many_values_are_left_to_the_full_reader(tmp_path):
    for n in range(8):
        write(tmp_path / f"{n}.dcm", PatientID="9" * (3000 if n == 5 else 3))
    assert compare(files_under(tmp_path)) == 7


def test_long_headers(tmp_path):
    lengths = [0, 16_000, 16_384, 100_000, 262_000, 300_000, 40, 40, 40]
    for n, length in enumerate(lengths):
        private = {"00091010": ("OB", bytes(length // 2 * 2)), "00090010": ("LO", b"MINE")}
        write(tmp_path / f"{n}.dcm", raw=private)
    assert compare(files_under(tmp_path)) == len(lengths) - 2


def test_pixels_missing_cut_or_too_many(tmp_path):
    good = write(tmp_path / "00.dcm").read_bytes()
    at = good.rindex(b"\xe0\x7f\x10\x00OW\0\0") + 8
    for n, length in enumerate([0, 2, 58, 60, 62, 120, 0xFFFFFFFE, 0xFFFFFFFF]):
        (tmp_path / f"a{n}.dcm").write_bytes(good[:at] + struct.pack("<L", length) + good[at + 4 :])
        (tmp_path / f"b{n}.dcm").write_bytes(good[: len(good) - n])
    compare(files_under(tmp_path))


def sequence(depth: int, vr: bytes = b"SQ", *, ends: bool = True) -> bytes:
    """Return a sequence of undefined length that holds itself, `depth` times."""
    inner = sequence(depth - 1, vr) if depth else struct.pack("<HH2sH", 8, 0x104, b"LO", 2) + b"ab"
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner
    item += struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
    head = struct.pack("<HH2sHL", 8, 0x1140, vr, 0, 0xFFFFFFFF)
    return head + item + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0) * ends


@pytest.mark.parametrize("vr", [b"SQ", b"UN"])
def test_nested_sequences(tmp_path, vr):
    good = write(tmp_path / "good.dcm").read_bytes()
    at = good.index(struct.pack("<HH2s", 0x10, 0x10, b"PN"))
    for depth in (0, 1, 5, 30, 31, 32, 33, 40):
        for ends in (True, False):
            data = good[:at] + sequence(depth, vr, ends=ends) + good[at:]
            (tmp_path / f"{depth:02}{ends}.dcm").write_bytes(data)
    assert compare(files_under(tmp_path)) >= 1


def test_what_is_no_dicom(tmp_path):
    write_series(tmp_path, 8)
    (tmp_path / "empty.dcm").write_bytes(b"")
    (tmp_path / "text.dcm").write_text("patient: SECRET" * 20)
    (tmp_path / "mark.dcm").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "folder.dcm").mkdir()
    (tmp_path / "loop.dcm").symlink_to(tmp_path / "loop.dcm")
    os.mkfifo(tmp_path / "pipe.dcm")
    compare([*sorted(tmp_path.iterdir()), tmp_path / "none.dcm"])


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"])
def test_mutations(tmp_path, syntax):
    """Whatever happens to its bytes, both lanes agree about a file, or both refuse it."""
    rng = random.Random(7)
    good = write(tmp_path / "good.dcm", image(0, (40, 40)), syntax=syntax).read_bytes()
    end = len(good) - 3200
    paths = []
    for n in range(300):
        data = bytearray(good)
        for _ in range(rng.randint(1, 2)):
            at = rng.randrange(128, min(end, len(data) - 1))
            match rng.randrange(4):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randint(1, 9)]
                case 2:
                    data[at:at] = rng.randbytes(rng.randint(1, 9))
                case _:
                    data = data[: rng.randrange(at, len(data))]
                    break
        path = tmp_path / f"{n:03}.dcm"
        path.write_bytes(data)
        paths.append(path)
    assert compare(paths) > 10


def test_chunks_in_a_pool_keep_the_order(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    write_series(tmp_path, 100)
    files = files_under(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        assert [h.path for h in read_headers(files, pool)] == files
