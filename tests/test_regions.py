"""Regions of interest, and slices as rows: by geometry, by pictures, and in the features."""

from __future__ import annotations

import csv

import cv2
import nibabel
import numpy as np
import pytest
import SimpleITK
from dicom_files import image, write
from PIL import Image

from fastmm import ImageModality, MultimodalClassifier, TableModality
from fastmm.blocks import Block, spread_slices
from fastmm.errors import CohortError, GeometryError
from fastmm.features.regional import slice_statistics
from fastmm.read.reading import read_volume
from fastmm.read.volume import Volume
from fastmm.regions.cropping import mask_on, region_box
from fastmm.regions.features import statistic_names
from fastmm.regions.sizes import measure_region
from fastmm.validate.out_of_fold import out_of_fold


def volume(array, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0)):
    affine = np.diag([spacing[2], spacing[1], spacing[0], 1.0])
    affine[:3, 3] = origin
    return Volume(np.asarray(array, np.float32), "a.u.", spacing, affine)


def crop_to_region(images, inside, mask, shape, margin):
    kept, box = region_box(mask, shape, margin)
    return images[kept][:, *box], inside[kept][:, *box]


def test_a_finer_mask_is_brought_to_the_scan_by_the_nearest_voxel():
    scan = volume(np.zeros((3, 6, 8)), spacing=(3.0, 2.0, 2.0), origin=(0.5, 0.5, 1.0))
    fine = np.zeros((9, 12, 16))
    fine[4:6, 2:7, 4:11] = 1
    found = mask_on(scan, volume(fine))
    expected = np.zeros((3, 6, 8), bool)
    for z, y, x in np.ndindex(3, 6, 8):  # centre of each voxel, in voxels of the mask
        i, j, k = (
            int(np.ceil(c - 0.5)) for c in (z * 3 + 1.0, y * 2 + 0.5 - 1e-9, x * 2 + 0.5 - 1e-9)
        )
        expected[z, y, x] = fine[i, j, k] > 0
    ambiguous = np.zeros_like(expected)  # centres half-way between two voxels go either way
    ambiguous[:, [0, 3], :] = ambiguous[:, :, [1, 5]] = True
    np.testing.assert_array_equal(found[~ambiguous], expected[~ambiguous])
    assert found.any()


def test_masks_that_do_not_meet_their_scan():
    scan = volume(np.zeros((3, 6, 8)))
    with pytest.raises(GeometryError):
        mask_on(scan, volume(np.ones((3, 6, 8)), origin=(500.0, 0.0, 0.0)))
    unplaced = Volume(np.ones((3, 6, 7), np.float32), "", (np.nan,) * 3, np.full((4, 4), np.nan))
    with pytest.raises(GeometryError, match=r"must have the shape of its scan, \(3, 6, 8\)"):
        mask_on(scan, unplaced)


@pytest.mark.parametrize("shape", [(8, 8), (16, 8), (8, 16)])
def test_the_box_holds_the_mask_in_the_proportions_asked_for(shape):
    mask = np.zeros((4, 60, 70), bool)
    mask[1, 20:30, 33:38] = mask[2, 24:33, 30:36] = True
    images = np.arange(mask.size, dtype=np.float32).reshape(mask.shape)
    crop, inside = crop_to_region(images, mask, mask, shape, 0.0)
    assert crop.shape == inside.shape == (2, *inside.shape[1:])
    assert inside.sum() == mask.sum()
    np.testing.assert_array_equal(crop[inside], images[mask])
    height, width = crop.shape[1:]
    assert height >= 13
    assert width >= 8
    assert abs(height / shape[0] - width / shape[1]) <= 1 / min(shape)
    wide, _ = crop_to_region(images, mask, mask, shape, 0.5)
    assert wide.shape[1] == pytest.approx(2 * height, abs=1)
    mask[1, 0, 0] = mask[1, -1, -1] = True
    assert crop_to_region(images, mask, mask, shape, 0.5)[0].shape == (2, 60, 70)


@pytest.fixture
def pictures(tmp_path):
    """Twelve patients of three slices; a bright square of the ill ones, marked by the mask."""
    rng = np.random.default_rng(0)
    for i in range(12):
        for kind in ("scan", "mask"):
            (tmp_path / f"{kind}{i}").mkdir()
        for k in range(3):
            pixels, mask = rng.integers(0, 120, (40, 48)), np.zeros((40, 48), np.uint8)
            y, x = rng.integers(2, 22, 2)
            if k:
                mask[y : y + 12, x : x + 9] = 255
                pixels[y : y + 12, x : x + 9] += 60 * (i % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"scan{i}" / f"{k}.png")
            Image.fromarray(mask).save(tmp_path / f"mask{i}" / f"{k}.png")
    return [(tmp_path / f"scan{i}", tmp_path / f"mask{i}") for i in range(12)]


def test_statistics_of_a_region_are_those_of_its_pixels(pictures):
    modality = ImageModality(shape=(24, 24), features="statistics", margin=0.0)
    images = modality.load(pictures[:2]).images[1]
    assert images.shape == (2, 24, 24)  # the first slice has no mask
    found = slice_statistics(images)
    for own, row in zip(images, found, strict=True):
        values = own[np.isfinite(own)].astype(float)
        assert row[0] == pytest.approx(values.mean(), rel=1e-5)
        assert row[1] == pytest.approx(values.std(), rel=1e-5)
        kurtosis = ((values - values.mean()) ** 4).mean() / values.var() ** 2 - 3
        assert row[3] == pytest.approx(kurtosis, abs=1e-4)
        np.testing.assert_allclose(row[4:7], np.percentile(values, [10, 50, 90]), rtol=1e-5)
        assert row[7] == pytest.approx(values.size / own.size)
        assert values.mean() > 90
    np.testing.assert_allclose(modality.extract(pictures[:2]).values[1], found.mean(axis=0))


@pytest.mark.parametrize("outside", ["blank", "keep"])
def test_surroundings_are_blanked_or_kept(pictures, outside):
    path, mask = pictures[1]
    modality = ImageModality(shape=(24, 24), outside=outside, margin=0.0)
    found = modality.load([(path, mask)]).images[0]
    scan, where = read_volume(path).array, read_volume(mask).array > 0
    crop, inside = crop_to_region(scan, where, where, (24, 24), 0.0)
    blanked = np.where(inside, crop, crop[inside].min()) if outside == "blank" else crop
    expected = [cv2.resize(each.astype(np.float32), (24, 24)) for each in blanked]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    # Normalised is the whole slice, before the crop: regions keep their level.
    scaled = ImageModality(shape=(24, 24), outside="keep", normalize="zscore", margin=0.0)
    own = scaled.load([(path, mask)]).images[0]
    whole = scan[where.any(axis=(1, 2))].astype(np.float64)
    mean, std = whole.mean(axis=(1, 2)), whole.std(axis=(1, 2))
    for k, each in enumerate(crop):
        plain = cv2.resize(each.astype(np.float32), (24, 24))
        np.testing.assert_allclose(own[k], (plain - mean[k]) / std[k], atol=1e-4)


def test_a_nifti_mask_on_its_own_grid_meets_a_dicom_scan(tmp_path):
    write(tmp_path / "ct.dcm", image(0, (16, 16)))
    scan = read_volume(tmp_path / "ct.dcm")
    where = np.zeros(scan.array.shape, np.uint8)
    where[:, 5:12, 6:10] = 1
    marked = nibabel.Nifti1Image(where.T, scan.affine_ras)
    nibabel.save(marked, tmp_path / "mask.nii.gz")
    assert where.sum() == 28
    np.testing.assert_array_equal(mask_on(scan, read_volume(tmp_path / "mask.nii.gz")), where > 0)


def test_a_mask_that_marks_nothing_and_one_that_is_missing(pictures, tmp_path):
    Image.fromarray(np.zeros((40, 48), np.uint8)).save(tmp_path / "none.png")
    one = pictures[0][0] / "0.png"
    with pytest.raises(GeometryError, match="marks no voxel"):
        ImageModality().load([(one, tmp_path / "none.png")])
    with pytest.raises(CohortError, match="a mask for each of its scans or for none; 1 of 2"):
        ImageModality().load([pictures[0], one])
    with pytest.raises(ValueError, match="outside"):
        ImageModality(outside="black")
    with pytest.raises(ValueError, match="margin"):
        ImageModality(margin=-1)


def test_slices_as_rows_share_the_patient_and_average(pictures):
    modality = ImageModality(shape=(24, 24), features="statistics", pool="rows")
    y = np.arange(12) % 2
    data = {"scan": pictures, "case": {"age": [str(40 + 3 * i) for i in range(11)] + [""]}}
    model = MultimodalClassifier({"scan": modality, "case": TableModality()})
    blocks = model.extract(data)
    assert blocks["scan"].values.shape == (24, 8)
    assert blocks["scan"].counts.tolist() == [2] * 12
    held_out = out_of_fold(model, blocks, y, np.arange(12))
    assert (held_out.prediction == y).mean() > 0.9
    model.fit(blocks, y)
    assert model.cv_decision_.shape == (12,)
    score = model.decision_function(blocks)
    assert score.shape == (12,)
    # The score of an examination is the mean of those of its slices.
    spread, owner = spread_slices(blocks)
    each = model.score_rows(spread)
    np.testing.assert_allclose(score, [each[owner == i].mean() for i in range(12)], atol=1e-8)
    np.testing.assert_allclose(sum(model.contributions(blocks).values()), score, atol=1e-6)


def test_blocks_of_slices_are_taken_by_examination():
    values = np.arange(12.0).reshape(6, 2)
    block = Block(values, np.array([True, False, True]), np.array([4, 0, 2]))
    some = block.take(np.array([False, True, True]))
    np.testing.assert_array_equal(some.values, values[4:])
    assert some.counts.tolist() == [0, 2]
    np.testing.assert_array_equal(block.take([2, 0]).values, values[[4, 5, 0, 1, 2, 3]])
    other = Block(np.ones((3, 1)), np.ones(3, bool))
    spread, owner = spread_slices({"a": block, "b": other})
    assert owner.tolist() == [0, 0, 0, 0, 1, 2, 2]
    assert spread["a"].present.tolist() == [True] * 4 + [False] + [True] * 2
    np.testing.assert_array_equal(spread["a"].values[4], 0)
    unlike = Block(np.zeros((7, 1)), np.ones(3, bool), np.array([4, 1, 2]))
    assert spread_slices({"a": block, "b": unlike})[1].tolist() == owner.tolist()
    wrong = Block(np.zeros((8, 1)), np.ones(3, bool), np.array([5, 1, 2]))
    with pytest.raises(ValueError, match="as many in each examination; 'a' has 4 and another 5"):
        spread_slices({"a": block, "b": wrong})


def test_real_masks_lie_on_their_scans(real_data):
    folder = real_data / "sts" / "STS_001"
    for name in ("ct", "pet", "mr_t1"):
        scan, mask = read_volume(folder / name), read_volume(folder / f"{name}_tumour_mask.nii.gz")
        found = mask_on(scan, mask)
        # The same place, found by hand: grids agree in the plane, slices by their position.
        places = scan.affine[2, 3] + scan.affine[2, 2] * np.arange(len(scan.array))
        at = np.round((places - mask.affine[2, 3]) / mask.affine[2, 2]).astype(int)
        np.testing.assert_array_equal(found, mask.array[at] > 0)
    with (real_data / "lgg" / "cohort.csv").open(newline="") as opened:
        row = next(csv.DictReader(opened))
    pair = (real_data / "lgg" / row["mri"], real_data / "lgg" / row["tumour_mask"])
    assert ImageModality(channel=1).load([pair]).images[0].shape == (5, 128, 128)


def measured_by_simpleitk(voxels, spacing):
    image = SimpleITK.GetImageFromArray(voxels.astype(np.uint8))
    image.SetSpacing(spacing[::-1])
    shapes = SimpleITK.LabelShapeStatisticsImageFilter()
    shapes.ComputeFeretDiameterOn()
    shapes.Execute(image)
    return shapes.GetPhysicalSize(1) / 1000, shapes.GetFeretDiameter(1)


@pytest.mark.parametrize("kind", ["blob", "slice", "line", "two"])
def test_the_size_of_a_region_is_that_of_simpleitk(kind):
    rng = np.random.default_rng(4)
    voxels = np.zeros((6, 20, 24), bool)
    if kind == "blob":
        voxels[1:5, 3:15, 4:20] = rng.random((4, 12, 16)) > 0.4
    elif kind == "slice":
        voxels[3, 5:11, 2:20] = rng.random((6, 18)) > 0.3
    elif kind == "line":
        voxels[2, 4, 3:17] = True
    else:
        voxels[0, 1, 2] = voxels[5, 18, 21] = True
    spacing = (4.0, 0.9, 0.7)
    found = measure_region(volume(voxels, spacing))
    np.testing.assert_allclose(found, measured_by_simpleitk(voxels, spacing), rtol=1e-6)
    # Turned in space, all stays as large as it is.
    turned = volume(voxels, spacing)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    affine = turned.affine.copy()
    affine[:3, :3] = axes @ affine[:3, :3]
    np.testing.assert_allclose(
        measure_region(Volume(turned.array, "", spacing, affine)), found, rtol=1e-6
    )


def test_sizes_are_named_features_or_an_error_without_lengths(tmp_path, pictures):
    paths = []
    for i in range(3):
        write(tmp_path / f"{i}.dcm", image(i, (16, 16)))
        scan = read_volume(tmp_path / f"{i}.dcm")
        where = np.zeros(scan.array.shape, np.uint8)
        where[:, 4 : 8 + i, 6:10] = 1
        nibabel.save(nibabel.Nifti1Image(where.T, scan.affine_ras), tmp_path / f"{i}.nii.gz")
        paths.append((tmp_path / f"{i}.dcm", tmp_path / f"{i}.nii.gz"))
    modality = ImageModality(shape=(8, 8), features="statistics", region_size=True)
    block = modality.extract([*paths, None])
    assert statistic_names(modality, block.values.shape[1])[-2:] == [
        "volume (ml)", "longest extent (mm)",
    ]  # fmt: skip
    for row, (_, mask) in zip(block.values, paths, strict=False):
        np.testing.assert_allclose(row[-2:], measure_region(read_volume(mask)), rtol=1e-6)
    np.testing.assert_array_equal(block.values[3], 0)
    plain = ImageModality(shape=(8, 8), features="statistics").extract([*paths, None])
    np.testing.assert_array_equal(block.values[:, :-2], plain.values)
    with pytest.raises(GeometryError, match="must tell the size of its voxels"):
        modality.extract(pictures[:1])
    with pytest.raises(ValueError, match="from files with their masks"):
        modality.extract([np.ones((1, 8, 8), "float32")])
    with pytest.raises(ValueError, match='`region_size` needs `features="statistics"`'):
        ImageModality(region_size=True)


def test_real_tumours_are_as_large_as_simpleitk_says(real_data):
    masks = sorted((real_data / "sts").glob("*/*.nii.gz"))[:3]
    assert masks
    for mask in masks:
        image = SimpleITK.ReadImage(str(mask)) != 0
        shapes = SimpleITK.LabelShapeStatisticsImageFilter()
        shapes.ComputeFeretDiameterOn()
        shapes.Execute(image)
        found = measure_region(read_volume(mask))
        assert found.volume == pytest.approx(shapes.GetPhysicalSize(1) / 1000, rel=1e-5)
        assert found.extent == pytest.approx(shapes.GetFeretDiameter(1), rel=1e-5)
