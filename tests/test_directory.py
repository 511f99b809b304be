"""DICOMDIR: the files it refers to, found in any case of letters and never outside its folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import PATIENT, PATIENT_ID, write_series
from directory_files import write_directory
from pydicom.data import get_testdata_file
from pydicom.fileset import FileSet

from fastmm.errors import DicomError
from fastmm.loading.batch import load_images
from fastmm.read.dicom.directory import is_directory, referenced_files
from fastmm.read.reading import read_volume

TREE = Path(get_testdata_file("DICOMDIR", download=False)).parent


@pytest.mark.parametrize("name", ["DICOMDIR", "DICOMDIR-implicit", "DICOMDIR-bigEnd"])
def test_files_are_those_of_pydicom(name):
    files = FileSet(TREE / "DICOMDIR")
    expected = {Path(found.path) for found in files}
    files._stage["t"].cleanup()
    assert is_directory(TREE / name)
    found = referenced_files(TREE / name)
    assert set(found) == expected
    assert len(found) == len(expected) == 31


def test_a_series_of_a_disc_is_that_of_its_folder(tmp_path):
    shutil.copytree(TREE, tmp_path / "disc")
    series = pydicom.dcmread(TREE / "98892001" / "CT5N" / "2062").SeriesInstanceUID
    volume = read_volume(tmp_path / "disc" / "DICOMDIR", series=series)
    expected = read_volume(tmp_path / "disc" / "98892001" / "CT5N")
    np.testing.assert_array_equal(volume.array, expected.array)
    assert volume.source == expected.source
    with pytest.raises(DicomError, match="24 groups"):
        read_volume(tmp_path / "disc" / "DICOMDIR")


def test_names_in_any_case_of_letters(tmp_path):
    stack = write_series(tmp_path / "images" / "Ct")
    names = sorted(p.name for p in (tmp_path / "images" / "Ct").iterdir())
    ids = [["IMAGES", "CT", name.upper()] for name in names]
    directory = write_directory(tmp_path / "DICOMDIR", ids)
    np.testing.assert_array_equal(read_volume(directory).array, stack)
    # What the directory does not list is not read.
    listed = write_directory(tmp_path / "DICOMDIR", ids[:1])
    assert read_volume(listed).array.shape[0] == 1


def test_the_exact_name_comes_first(tmp_path):
    for name in ("a", "A"):
        write_series(tmp_path / name, 1)
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system does not tell a from A")
    for name in ("a", "A"):
        file = next((tmp_path / name).iterdir())
        directory = write_directory(tmp_path / "DICOMDIR", [[name, file.name]])
        assert referenced_files(directory) == [file]


@pytest.mark.parametrize(
    "file_id",
    [
        ["..", "SECRET"],
        ["A", "..", "..", "SECRET"],
        ["/etc", "passwd"],
        "/etc/passwd",
        "../secret",
        "C:/SECRET",
        ["C:", "SECRET"],
        ["A", "", "B"],
        ["."],
    ],
)
def test_nothing_outside_the_folder_is_found(tmp_path, file_id):
    write_series(tmp_path / "disc" / "A", 1)
    write_series(tmp_path / "secret", 1)
    directory = write_directory(tmp_path / "disc" / "DICOMDIR", [file_id])
    with pytest.raises(DicomError, match=r"ReferencedFileID \(0004,1500\)") as caught:
        read_volume(directory)
    assert "SECRET" not in str(caught.value)


def test_links_that_lead_out(tmp_path):
    write_series(tmp_path / "secret", 1)
    disc = tmp_path / "disc"
    disc.mkdir()
    (disc / "OUT").symlink_to(tmp_path / "secret", target_is_directory=True)
    file = next((tmp_path / "secret").iterdir())
    (disc / "FILE").symlink_to(file)
    (disc / "LOOP").symlink_to(disc / "LOOP")
    for file_id in (["OUT", file.name], ["FILE"]):
        with pytest.raises(DicomError, match="leads out of its folder"):
            referenced_files(write_directory(disc / "DICOMDIR", [file_id]))
    with pytest.raises(DicomError, match="missing"):
        referenced_files(write_directory(disc / "DICOMDIR", [["LOOP"]]))


def test_missing_files(tmp_path):
    write_series(tmp_path / "A", 2)
    names = sorted(p.name for p in (tmp_path / "A").iterdir())
    ids = [["A", names[0]], ["A", "GONE"], ["B", "GONE"], ["A"]]
    directory = write_directory(tmp_path / "DICOMDIR", ids)
    with pytest.raises(DicomError, match="3 of the 4 image files it refers to") as caught:
        read_volume(directory)
    assert "GONE" not in str(caught.value)


def test_records_that_are_no_images_or_not_in_use(tmp_path):
    write_series(tmp_path / "A", 1)
    file_id = ["A", next((tmp_path / "A").iterdir()).name]
    for change in ({"kind": "SR DOCUMENT"}, {"in_use": 0}):
        with pytest.raises(DicomError, match="refers to no images"):
            read_volume(write_directory(tmp_path / "DICOMDIR", [file_id], **change))


def test_beside_its_files_a_directory_is_no_image(tmp_path):
    stack = write_series(tmp_path / "a")
    write_directory(tmp_path / "DICOMDIR", [["NOWHERE"]])
    np.testing.assert_array_equal(read_volume(tmp_path).array, stack)


def test_damaged_directories(tmp_path):
    write_series(tmp_path / "A", 1)
    file_id = ["A", next((tmp_path / "A").iterdir()).name]
    whole = write_directory(tmp_path / "DICOMDIR", [file_id]).read_bytes()
    for size in range(len(whole) - 4, 300, -23):
        (tmp_path / "DICOMDIR").write_bytes(whole[:size])
        with pytest.raises(DicomError) as caught:
            read_volume(tmp_path / "DICOMDIR")
        assert PATIENT not in str(caught.value)
        assert PATIENT_ID not in str(caught.value)
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(whole)
        for place in rng.integers(132, len(whole), 4):
            damaged[place] = rng.integers(256)
        (tmp_path / "DICOMDIR").write_bytes(damaged)
        try:
            read_volume(tmp_path / "DICOMDIR")
        except DicomError as error:
            assert PATIENT not in str(error)  # noqa: PT017


def test_a_batch_of_a_disc_is_that_of_its_folder(tmp_path):
    write_series(tmp_path / "A", 4)
    names = [path.rename(path.with_name(f"I{n}")) for n, path in enumerate(_files(tmp_path / "A"))]
    write_directory(tmp_path / "DICOMDIR", [["A", path.name] for path in names])
    expected = load_images(tmp_path / "A", (4, 4), device="cpu")
    np.testing.assert_array_equal(
        load_images(tmp_path / "DICOMDIR", (4, 4), device="cpu"), expected
    )
    names[1].unlink()
    report: list[tuple[Path, int, Exception]] = []
    options = {"device": "cpu", "on_error": "skip", "report": report}
    assert np.isnan(load_images(tmp_path / "DICOMDIR", (4, 4), **options)).all()
    assert len(report) == 1


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())
