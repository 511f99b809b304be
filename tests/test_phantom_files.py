"""The files of the synthetic cohort: valid DICOM of one body, and tables that agree with them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from phantom_reading import SMALL, read_slices, table
from pydicom.filewriter import validate_file_meta

from fastmm.datasets import make_cohort


def at(dataset, image, x, y, reach=3):
    """Take the pixels within `reach` mm of a place in the patient."""
    pitch = float(dataset.PixelSpacing[0])
    left, top, _ = dataset.ImagePositionPatient
    column, row = round((x - left) / pitch), round((y - top) / pitch)
    reach = max(1, int(reach / pitch))
    return image[row - reach : row + reach + 1, column - reach : column + reach + 1]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Four complete patients in full size."""
    return make_cohort(tmp_path_factory.mktemp("full") / "a" / "cohort", 4, 7, 0)


@pytest.fixture(scope="module")
def gappy(tmp_path_factory):
    """Forty small patients, nearly a third of whom lack something."""
    return make_cohort(tmp_path_factory.mktemp("gappy"), 40, 3, 0.3, **SMALL)


def test_all_dates_are_the_fixed_one(cohort):
    for path in cohort.parent.rglob("*.dcm"):
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        dates = {str(e.value) for e in dataset if e.VR in ("DA", "DT") and e.value}
        assert dates == {"20200101"}


# DICOM


def test_every_file_is_valid_dicom_that_says_what_it_is(cohort):
    seen = Counter()
    for row in table(cohort):
        frames = set()
        for modality, sop_class in (("ct", "CT Image Storage"), ("mr", "MR Image Storage")):
            files = read_slices(cohort.parent / row[modality])
            assert len(files) == 8
            assert len({d.SeriesInstanceUID for d in files}) == 1
            frames |= {(d.FrameOfReferenceUID, d.StudyInstanceUID) for d in files}
            for dataset in files:
                validate_file_meta(dataset.file_meta, enforce_standard=True)
                assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
                assert dataset.file_meta.MediaStorageSOPClassUID == dataset.SOPClassUID
                assert dataset.SOPClassUID.name == sop_class
                assert dataset.Modality == modality.upper()
                seen[dataset.SOPInstanceUID] += 1
                for element in dataset:  # the value of every element parses
                    assert element.VR != "UN"
                    assert element.VR != "UI" or element.value.is_valid
                assert dataset.pixel_array.shape == (256, 256)
                assert dataset.pixel_array.max() < 4096
                assert str(dataset.PatientName).startswith("PHANTOM^")
                assert dataset.PatientID == row["patient"]
                assert dataset.ImageComments == "synthetic phantom"
                assert dataset[0x0008001C].value == "YES"
                assert dataset.ImageType[:2] == ["DERIVED", "PRIMARY"]
                assert dataset.BurnedInAnnotation == "NO"
        assert len(frames) == 1
    assert len(seen) == 4 * 2 * 8
    assert set(seen.values()) == {1}


def test_values_are_checked_while_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.RAISE)
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)
    # An awkward shape: the pitch has no short decimal form.
    path = make_cohort(tmp_path, 4, 0, 0, slices=5, shape=(97, 61))
    for file in path.parent.rglob("*.dcm"):
        dataset = pydicom.dcmread(file)
        assert dataset.pixel_array.shape == (97, 61)
        assert str(dataset)


def test_positions_are_regular_and_names_and_numbers_are_not(cohort):
    row = table(cohort)[0]
    ct, mr = (read_slices(cohort.parent / row[m]) for m in ("ct", "mr"))
    for files in (ct, mr):
        z = np.array([d.ImagePositionPatient[2] for d in files], float)
        np.testing.assert_allclose(np.diff(z), 5.0)
        assert {d.SliceThickness for d in files} == {5.0}
        assert {tuple(d.ImageOrientationPatient) for d in files} == {(1, 0, 0, 0, 1, 0)}
        names = [Path(d.filename).name for d in files]
        assert sorted(names) not in (names, names[::-1])
    assert [d.InstanceNumber for d in ct] == list(range(8, 0, -1))
    assert [d.InstanceNumber for d in mr] == list(range(1, 9))


def test_ct_is_in_hounsfield_units(cohort):
    for row in table(cohort):
        for d in read_slices(cohort.parent / row["ct"]):
            assert (d.RescaleSlope, d.RescaleIntercept, d.RescaleType) == (1, -1024, "HU")
            assert (d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation) == (
                16, 12, 11, 0,
            )  # fmt: skip
            hu = pydicom.pixels.apply_rescale(d.pixel_array, d)
            assert abs(hu[:20, :20].mean() + 1000) < 5
            assert abs(np.median(at(d, hu, 35, -30)) - 45) < 25  # heart
            assert -950 < np.median(at(d, hu, 105, 10, reach=18)) < -700  # left lung
            counts, edges = np.histogram(hu, bins=np.arange(-180, -40, 10))
            assert abs(edges[counts.argmax()] + 5 + 100) <= 15  # fat
            assert (hu > 400).sum() > 200  # ribs and spine


def test_mr_has_arbitrary_units_and_rician_noise(cohort):
    scales = []
    for row in table(cohort):
        for d in read_slices(cohort.parent / row["mr"]):
            assert not {"RescaleSlope", "RescaleIntercept", "RescaleType"} & set(d.dir())
            air = d.pixel_array[:30].astype(float)
            # Without signal the magnitude is Rayleigh: mean / std = sqrt(pi / (4 - pi)).
            assert air.mean() / air.std() == pytest.approx(1.913, rel=0.05)
        scales.append(np.median(at(d, d.pixel_array, 35, -30)))
    assert max(scales) > 1.15 * min(scales)


def test_ct_and_mr_show_one_body_in_one_place(cohort):
    for row in table(cohort):
        edges = []
        for modality in ("ct", "mr"):
            d = read_slices(cohort.parent / row[modality])[3]
            image = d.pixel_array.astype(float)
            inside = image > (700 if modality == "ct" else 4 * image[:30].mean())
            top = float(d.ImagePositionPatient[1])
            rows = top + np.arange(256) * d.PixelSpacing[0] < 60  # above the couch
            columns = np.flatnonzero(inside[rows].sum(axis=0) > 2)
            left = float(d.ImagePositionPatient[0])
            edges.append(left + columns[[0, -1]] * d.PixelSpacing[1])
        np.testing.assert_allclose(edges[0], edges[1], atol=5)
        assert 300 < np.diff(edges[0])[0] < 370


def test_simpleitk_sees_the_same_volume(cohort):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is the oracle of geometry")
    folder = cohort.parent / table(cohort)[1]["ct"]
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    volume = sitk.ReadImage(names)
    files = read_slices(folder)
    assert volume.GetSpacing() == pytest.approx((380 / 256, 380 / 256, 5), abs=1e-6)
    assert volume.GetOrigin() == pytest.approx([float(v) for v in files[0].ImagePositionPatient])
    stack = np.stack([d.pixel_array.astype(int) - 1024 for d in files])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume), stack)


def test_many_slices_and_wide_ones_still_show_a_chest(tmp_path):
    path = make_cohort(tmp_path, 4, 0, 0, slices=41, shape=(32, 80))
    for d in read_slices(path.parent / table(path)[0]["ct"]):
        hu = d.pixel_array.astype(int) - 1024
        assert d.PixelSpacing[0] == d.PixelSpacing[1]
        assert np.median(at(d, hu, 105, 10, reach=18)) < -700
        assert abs(np.median(at(d, hu, 22, -22)) - 45) < 60


# Tables


def test_tables_and_folders_agree(gappy):
    rows = table(gappy)
    assert list(rows[0]) == ["patient", "malignant", "ct", "mr", "age", "pack_years", "sex"]
    assert [r["patient"] for r in rows] == [f"PHANTOM-{i:04d}" for i in range(1, 41)]
    named = {r[m] for r in rows for m in ("ct", "mr") if r[m]}
    there = {p.parent.relative_to(gappy.parent).as_posix() for p in gappy.parent.rglob("*.dcm")}
    assert named == there
    expression = table(gappy.parent / "expression.csv")
    assert list(expression[0]) == ["patient", *(f"GENE{i:04d}" for i in range(1, 201))]
    assert all(np.isfinite([float(v) for v in list(r.values())[1:]]).all() for r in expression)
    assert {r["patient"] for r in expression} < {r["patient"] for r in rows}
    assert "SYNTHETIC" in (gappy.parent / "README.txt").read_text()


def test_what_is_missing_has_the_share_asked_for(gappy):
    rows = table(gappy)
    measured = {r["patient"] for r in table(gappy.parent / "expression.csv")}
    lost = {"ct": 0, "mr": 0, "expression": 0}
    for r in rows:
        absent = {"ct": not r["ct"], "mr": not r["mr"], "expression": r["patient"] not in measured}
        assert sum(absent.values()) <= 1  # so that no patient lacks everything
        for kind, gone in absent.items():
            lost[kind] += gone
    assert abs(sum(lost.values()) - 12) <= 1
    assert min(lost.values()) >= 3
    blank = {c: sum(r[c] == "" for r in rows) for c in ("age", "pack_years", "sex")}
    assert abs(sum(blank.values()) - 12) <= 1
    assert min(blank.values()) >= 3
