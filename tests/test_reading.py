"""read_volume: values, padding, units and options of series, pictures and NIfTI files."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import dataset, image, write, write_series

from fastmm.errors import DicomError, FastmmError, GeometryError, LimitError
from fastmm.read import limits
from fastmm.read.reading import read_volume
from fastmm.read.volume import Volume

_COS, _SIN = np.cos(0.3), np.sin(0.3)


def test_padding_holds_the_lowest_valid_value(tmp_path):
    stack = np.stack([image(z, low=-900) for z in range(3)])
    stack[:, 0] = -2000
    stack[1] = -2000  # a slice of nothing but padding
    for z in range(3):
        write(tmp_path / f"{z}.dcm", stack[z], ImagePositionPatient=[0, 0, z],
              PixelPaddingValue=-2000, RescaleIntercept=-24)  # fmt: skip
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.valid, stack != -2000)
    assert volume.array.min() == stack[stack != -2000].min() - 24
    assert (volume.array[stack == -2000] == volume.array.min()).all()
    np.testing.assert_array_equal(volume.array[volume.valid], stack[stack != -2000] - 24)


def test_nothing_but_padding(tmp_path):
    path = write(tmp_path / "a.dcm", np.full((4, 4), -2000, np.int16), PixelPaddingValue=-2000)
    with pytest.raises(DicomError, match="every pixel is padding"):
        read_volume(path)


def test_spacing_that_is_not_known(tmp_path):
    volume = read_volume(write(tmp_path / "a.dcm", PixelSpacing=None, SliceThickness=None))
    assert np.isnan(volume.spacing).all()
    assert np.isnan(volume.affine[:3, :3]).all()
    with pytest.raises(GeometryError, match="not known"):
        volume.physical_spacing()
    bare = read_volume(write(tmp_path / "b.dcm", ImagePositionPatient=None))
    assert bare.spacing == (2, 0.5, 0.75)
    assert np.isnan(bare.affine[:3, 3]).all()


def test_thickness_zero_is_not_known(tmp_path):
    assert np.isnan(read_volume(write(tmp_path / "a.dcm", SliceThickness=0)).spacing[0])


def test_frames_of_one_file(tmp_path):
    stack = np.stack([image(z) for z in range(4)])
    path = write(tmp_path / "a.dcm", stack, NumberOfFrames=4, ImagePositionPatient=None)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, stack)
    assert np.isnan(volume.spacing[0])


def test_warnings_come_once(tmp_path):
    write_series(tmp_path, RescaleSlope=None, RescaleIntercept=None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert read_volume(tmp_path).units == "stored"
    assert len(caught) == 1
    assert "Hounsfield" in str(caught[0].message)
    assert caught[0].filename == __file__


def test_limit_counts_the_volume(tmp_path, monkeypatch):
    write_series(tmp_path, 4)
    monkeypatch.setattr(limits, "MAX_BYTES", 6 * 5 * 4 * 4)
    read_volume(tmp_path)
    monkeypatch.setattr(limits, "MAX_BYTES", 6 * 5 * 4 * 4 - 1)
    with pytest.raises(LimitError, match="4 slices"):
        read_volume(tmp_path)


def test_paths_and_arguments(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_volume(tmp_path / "none")
    with pytest.raises(FastmmError, match="no DICOM images"):
        read_volume(tmp_path)
    path = write(tmp_path / "a.dcm")
    with pytest.raises(ValueError, match="gaps"):
        read_volume(path, gaps="ignore")
    with pytest.raises(ValueError, match="nonfinite"):
        read_volume(path, nonfinite="ignore")
    with pytest.raises(TypeError, match="series"):
        read_volume(path, series=1.5)
    assert isinstance(read_volume(str(path), nonfinite=0.0), Volume)


def test_enhanced_frames_are_those_of_pydicom(real_data):
    path = next((real_data / "dicom_enhanced").rglob("6_1.dcm"))
    ds = pydicom.dcmread(path)
    groups = ds.PerFrameFunctionalGroupsSequence
    positions = np.array([g.PlanePositionSequence[0].ImagePositionPatient for g in groups], float)
    shared = ds.SharedFunctionalGroupsSequence[0]
    plane = (shared if "PlaneOrientationSequence" in shared else groups[0]).PlaneOrientationSequence
    orientation = np.array(plane[0].ImageOrientationPatient, float)
    order = np.argsort(positions @ np.cross(orientation[:3], orientation[3:]))
    volume = read_volume(path)
    np.testing.assert_allclose(volume.positions, positions[order])
    np.testing.assert_allclose(
        volume.affine[:3, 2], (positions[order][-1] - positions[order][0]) / 5, atol=1e-4
    )
    rescale = [groups[i].PixelValueTransformationSequence[0] for i in order]
    slope, intercept = (
        np.array([float(getattr(r, name)) for r in rescale])[:, None, None]
        for name in ("RescaleSlope", "RescaleIntercept")
    )
    np.testing.assert_allclose(volume.array, ds.pixel_array[order] * slope + intercept, rtol=1e-6)
    with pytest.raises(DicomError, match="4 groups of images"):
        read_volume(path.parent)
    assert read_volume(path.parent, series=2).source[0].name == "6_3.dcm"


def test_pictures_and_nifti(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    nibabel = pytest.importorskip("nibabel")
    stack = np.random.default_rng(0).integers(0, 255, (11, 4, 3)).astype(np.uint8)
    (tmp_path / "a").mkdir()
    for z, picture in enumerate(stack):
        pil.fromarray(picture).save(tmp_path / "a" / f"s{z}.png")
    volume = read_volume(tmp_path / "a")
    np.testing.assert_array_equal(volume.array, stack)  # s10 after s9
    assert np.isnan(volume.spacing).all()
    np.testing.assert_array_equal(read_volume(tmp_path / "a" / "s3.png").array, stack[3:4])
    np.testing.assert_array_equal(read_volume(tmp_path / "a", time="stack").array, stack[None])
    affine = np.array([[-2 * _COS, 0, 3 * _SIN, 3], [0, -2, 0, 4], [2 * _SIN, 0, 3 * _COS, 5],
                       [0, 0, 0, 1]])  # fmt: skip
    (tmp_path / "b").mkdir()
    nibabel.Nifti1Image(stack.T, affine).to_filename(tmp_path / "b" / "n.nii.gz")
    volume = read_volume(tmp_path / "b")
    np.testing.assert_array_equal(volume.array, stack)
    np.testing.assert_allclose(volume.affine_ras, affine, atol=1e-6)
    np.testing.assert_allclose(volume.positions[2], (volume.affine @ [0, 0, 2, 1])[:3])
    with pytest.raises(FastmmError, match="suv"):
        read_volume(tmp_path / "b", suv=True)
    with pytest.raises(FastmmError, match=r"1 NIfTI file\(s\) and 11 picture\(s\)"):
        read_volume(tmp_path)
    shutil.copy(tmp_path / "b" / "n.nii.gz", tmp_path / "b" / "m.nii.gz")
    with pytest.raises(FastmmError, match=r"2 NIfTI files \(m\.nii\.gz, n\.nii\.gz\)"):
        read_volume(tmp_path / "b")
    dicoms = write_series(tmp_path / "b")
    with pytest.raises(DicomError, match=r"one series of images and 2 NIfTI file\(s\)"):
        read_volume(tmp_path / "b")
    np.testing.assert_array_equal(read_volume(tmp_path / "b", series=0).array, dicoms)


def _float_pixels(path: Path, pixels: np.ndarray, **tags) -> Path:
    ds = dataset(np.zeros(pixels.shape, np.int16), **tags)
    for name in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(ds, name)
    ds.BitsAllocated = 32
    ds.add_new("FloatPixelData", "OF", pixels.astype("<f4").tobytes())
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.30"
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    pydicom.dcmwrite(path, ds, enforce_file_format=True)
    return path


def test_nonfinite_voxels(tmp_path):
    stack = np.random.default_rng(0).normal(size=(3, 6, 5)).astype(np.float32)
    stack[0, 1, 2], stack[1, 0, 0], stack[2, 5, 4] = np.nan, np.inf, -np.inf
    for z in range(3):
        _float_pixels(tmp_path / f"{z}.dcm", stack[z], ImagePositionPatient=[0, 0, z])
    with pytest.raises(FastmmError, match="3 of 90 voxels of the volume are NaN or infinite"):
        read_volume(tmp_path)
    filled = read_volume(tmp_path, nonfinite=-7).array
    np.testing.assert_array_equal(filled, np.where(np.isfinite(stack), stack, -7))


def test_colour_needs_a_channel(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 255, (6, 5, 3)).astype(np.uint8)
    for z in range(2):
        write(tmp_path / f"{z}.dcm", rgb[..., 0], SamplesPerPixel=3, PlanarConfiguration=0,
              PhotometricInterpretation="RGB", ImagePositionPatient=[0, 0, z],
              PixelData=rgb.tobytes(), RescaleSlope=None, RescaleIntercept=None,
              Modality="OT")  # fmt: skip
    with pytest.raises(DicomError, match="channel="):
        read_volume(tmp_path)
    for channel in range(3):
        found = read_volume(tmp_path, channel=channel).array
        np.testing.assert_array_equal(found, np.stack([rgb[..., channel]] * 2))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"tilt": "ignore"}, ValueError, "tilt"),
        ({"time": "all"}, ValueError, "time"),
        ({"time": -1}, ValueError, "time"),
        ({"time": 1.0}, TypeError, "time"),
        ({"channel": 3}, ValueError, "channel"),
        ({"suv": 1}, TypeError, "suv"),
        ({"nonfinite": 1e300}, ValueError, "nonfinite"),
        ({"suv": True}, FastmmError, "P"),
    ],
)
def test_options_are_checked(tmp_path, arguments, kind, message):
    write_series(tmp_path)
    with pytest.raises(kind, match=message):
        read_volume(tmp_path, **arguments)


def test_suv_of_each_slice(tmp_path):
    dose = pydicom.Dataset()
    dose.RadionuclideTotalDose, dose.RadionuclideHalfLife = 3.7e8, 6586.2
    dose.RadiopharmaceuticalStartTime = "100000"
    for z, slope in enumerate((0.5, 2)):
        write(tmp_path / f"{z}.dcm", image(z), Modality="PT", Units="BQML", RescaleSlope=slope,
              ImagePositionPatient=[0, 0, z], PatientWeight=70, DecayCorrection="ADMIN",
              CorrectedImage=["ATTN", "DECY"], SeriesDate="20200101", SeriesTime="110000",
              AcquisitionDate="20200101", AcquisitionTime="110000",
              RadiopharmaceuticalInformationSequence=[dose])  # fmt: skip
    assert read_volume(tmp_path).units == "Bq/ml"
    volume = read_volume(tmp_path, suv=True)
    assert volume.units == "SUV"
    stack = np.stack([image(0) * 0.5, image(1) * 2.0])
    np.testing.assert_allclose(volume.array, stack * 70_000 / 3.7e8, rtol=1e-6)
