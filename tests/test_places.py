"""Places in the patient: masks of other makers must land on the slices they were drawn on."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from fastmm.read.reading import read_volume
from fastmm.read.volume import Volume

IMAGES = ("ct", "pet", "mr_t1")


@pytest.fixture(scope="module")
def patients(real_data):
    """Slices and the mask of the whole volume, of every patient and modality."""

    def read(path) -> Volume:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return read_volume(path)

    return {
        folder.name: {
            name: (read(folder / name), read(folder / f"{name}_tumour_mask.nii.gz"))
            for name in IMAGES
        }
        for folder in sorted((real_data / "sts").glob("STS_*"))
    }


def places_in(mask: Volume, volume: Volume, shift=(0, 0, 0)) -> np.ndarray:
    """Return where each voxel of a volume, shifted in mm, lies in the grid of a mask."""
    z, y, x = np.indices(volume.array.shape).reshape(3, -1)
    points = volume.affine @ np.stack([x, y, z, np.ones_like(x)])
    points[:3] += np.array(shift)[:, None]
    return (np.linalg.inv(mask.affine) @ points)[:3]


def inside(mask: Volume, volume: Volume, shift=(0, 0, 0)) -> np.ndarray:
    """Return which voxels of a volume the mask covers, by the nearest voxel."""
    index = np.rint(places_in(mask, volume, shift)).astype(int)
    shape = np.array(mask.array.shape[::-1])[:, None]
    within = ((index >= 0) & (index < shape)).all(axis=0)
    x, y, z = np.where(within, index, 0)
    return (within & (mask.array[z, y, x] > 0)).reshape(volume.array.shape)


def test_slices_lie_on_the_grid_of_their_mask(patients):
    # The masks were written as NIfTI by other software, which knew the whole series.
    assert len(patients) == 34
    for name, images in patients.items():
        for kind, (volume, mask) in images.items():
            places = places_in(mask, volume)
            off = np.abs(places - np.rint(places)).max()
            assert off < 0.01, (name, kind, off)
            assert volume.array.shape[1:] == mask.array.shape[1:]


def test_a_mask_lands_on_its_tumour(patients):
    found = 0
    shifts = [(20, 0, 0), (-20, 0, 0), (0, 20, 0), (0, -20, 0)]
    for images in patients.values():
        pet, mask = images["pet"]
        uptake = pet.array[inside(mask, pet)].mean()
        assert uptake > 1.5 * pet.array[~inside(mask, pet)].mean()
        shifted = [pet.array[inside(mask, pet, shift)].mean() for shift in shifts]
        found += uptake > max(shifted)
    # Some of the tumours are necrotic, and their uptake is at the rim.
    assert found >= 28


def test_the_masks_of_all_modalities_are_one_tumour(patients):
    # Different matrices and fields of view, one frame of reference.
    worst = []
    for images in patients.values():
        ct, ct_mask = images["ct"]
        centre = _centre(ct, inside(ct_mask, ct))
        others = [images[kind] for kind in ("pet", "mr_t1")]
        off = [np.abs(_centre(v, inside(mask, v)) - centre).max() for v, mask in others]
        worst.append(max(off))
    # Of one patient the masks of CT and of MR were drawn apart.
    assert sum(off < 0.5 for off in worst) == 33
    assert max(worst) < 5


def _centre(volume: Volume, where: np.ndarray) -> np.ndarray:
    z, y, x = np.nonzero(where)
    return (volume.affine @ [x.mean(), y.mean(), z.mean(), 1])[:3]


def test_a_tilted_series_has_every_slice_where_its_file_says(real_data):
    from pydicom import dcmread

    folder = real_data / "dicom_ct_gantry_tilt"
    volume = read_volume(folder, gaps="accept", tilt="shear")
    for path, position in zip(volume.source, volume.positions, strict=True):
        np.testing.assert_array_equal(position, dcmread(path).ImagePositionPatient)
    head = dcmread(volume.source[0])
    row, column = np.reshape(head.ImageOrientationPatient, (2, 3))
    np.testing.assert_allclose(volume.affine[:3, 0], row * head.PixelSpacing[1], atol=1e-9)
    np.testing.assert_allclose(volume.affine[:3, 1], column * head.PixelSpacing[0], atol=1e-9)
    along = (volume.positions - volume.positions[0]) @ np.cross(row, column)
    assert (np.diff(along) > 1).all()
    across = np.linalg.norm(volume.positions[-1] - volume.positions[0]) ** 2 - along[-1] ** 2
    assert np.degrees(np.arctan2(np.sqrt(across), along[-1])) == pytest.approx(18.5, abs=0.5)


def test_an_oblique_series_agrees_with_its_tags(real_data):
    from pydicom import dcmread

    volume = read_volume(real_data / "dicom_mr_oblique")
    for z in (0, len(volume.source) // 2, -1):
        head = dcmread(volume.source[z], stop_before_pixels=True)
        row, column = np.reshape(np.float64(head.ImageOrientationPatient), (2, 3))
        index = np.arange(len(volume.source))[z]
        for x, y in ((0, 0), (7, 3), (head.Columns - 1, head.Rows - 1)):
            # DICOM PS3.3, equation C.7.6.2.1-1.
            expected = np.float64(head.ImagePositionPatient)
            expected = expected + row * head.PixelSpacing[1] * x + column * head.PixelSpacing[0] * y
            np.testing.assert_allclose(
                (volume.affine @ [x, y, index, 1])[:3], expected, rtol=0, atol=0.01
            )
