"""What becomes of a volume: its grid, spacing, padding, time points and all else of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from resampling_by_definition import (
    GRIDS,
    SOURCE,
    affine_of,
    centred,
    naive,
    rotation,
    volume_of,
)

from fastmm.image.resampling import resample


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "cubic"])
def test_its_own_grid_gives_an_exact_copy(interpolation):
    volume = centred(**SOURCE)
    volume.array[1, 2, 3], volume.array[4, 5, 6] = np.nan, np.inf
    # Another scanner writes the same numbers with fewer digits.
    rounded = volume.affine.copy()
    rounded[:3] += 1e-9
    for affine in (volume.affine, rounded):
        got = resample(volume, like=replace(volume, affine=affine), interpolation=interpolation)
        np.testing.assert_array_equal(got.array, volume.array)
        assert got.valid is None
        assert not np.shares_memory(got.array, volume.array)


@pytest.mark.parametrize(
    ("spacing", "shape", "corner"),
    [
        (1.0, (12, 9, 6), (-0.5, 0.0, 0.0)),
        ((2.0, 0.5, 2.0), (6, 18, 3), (0.0, -0.25, 0.5)),
        ((2.0, 1.0, 4.0), (6, 9, 2), (0.0, 0.0, 0.5)),
        ((100.0, 1.0, 1.0), (1, 9, 6), (5.0, 0.0, 0.0)),
        (np.array([2.0, 2.0, 1.0]), (6, 5, 6), (0.0, 0.0, 0.0)),
    ],
)
def test_spacing_covers_the_volume_about_its_centre(spacing, shape, corner):
    volume = volume_of((6, 9, 6), (2.0, 1.0, 1.0))
    got = resample(volume, spacing=spacing)
    assert got.array.shape == shape
    assert got.spacing == (tuple(spacing) if np.ndim(spacing) else (spacing,) * 3)
    assert got.affine[2::-1, 3].tolist() == list(corner)
    assert got.valid is None
    np.testing.assert_allclose(np.linalg.norm(got.affine[:3, :3], axis=0), got.spacing[::-1])
    middle = [v.affine @ [*(np.array(v.array.shape[::-1]) - 1) / 2, 1] for v in (volume, got)]
    np.testing.assert_allclose(middle[0], middle[1])
    np.testing.assert_allclose(got.positions[-1], got.affine[:3] @ [0, 0, shape[0] - 1, 1])
    expected, _ = naive(volume, got, "linear")
    np.testing.assert_allclose(got.array, expected, rtol=0, atol=1e-3)


def test_spacing_keeps_a_tilted_gantry_tilted():
    tilt = np.array([[1, 0, 0], [0, 1, 0.35], [0, 0, 1]])
    volume = volume_of((6, 9, 6), (2.0, 1.0, 1.0), shear=tilt)
    got = resample(volume, spacing=(1.0, 1.0, 1.0))
    np.testing.assert_allclose(got.affine[:3, 2], volume.affine[:3, 2] / 2)
    assert got.array.shape == (12, 9, 6)


def test_spacing_needs_no_place_in_the_patient():
    volume = volume_of((6, 9, 6), (2.0, 1.0, 1.0))
    unknown = np.full((4, 4), np.nan)
    got = resample(replace(volume, affine=unknown, positions=None), spacing=1)
    np.testing.assert_array_equal(got.array, resample(volume, spacing=1).array)
    assert np.isnan(got.affine[:3]).all()
    assert got.positions is None


def test_a_single_slice_lends_and_takes_a_grid():
    slice_ = volume_of((1, 9, 8), (4.0, 1.0, 1.0), origin=(0, 0, 6))
    got = resample(volume_of((6, 9, 8), (2.0, 1.0, 1.0)), like=slice_)
    assert got.array.shape == (1, 9, 8)
    unknown = slice_.affine.copy()
    unknown[:3, 2] = np.nan
    thin = resample(volume_of((6, 9, 8), (2.0, 1.0, 1.0)), like=replace(slice_, affine=unknown))
    np.testing.assert_array_equal(thin.array, got.array)
    turned = centred((1, 12, 12), (4.0, 1.0, 1.0), rotation(10, 0, 0))
    slab = replace(slice_, affine=affine_of((4.0, 1.0, 1.0), (-4, -4, 0)))
    expected, _ = naive(slab, turned, "linear")
    got = resample(slab, like=turned)
    np.testing.assert_array_equal(got.valid, ~np.isnan(expected))
    np.testing.assert_allclose(got.array[got.valid], expected[got.valid], rtol=0, atol=1e-3)


def test_everything_else_of_the_volume_is_kept():
    volume, like = volume_of((6, 9, 8)), volume_of((5, 5, 5), (1.5, 1.0, 1.0), seed=1)
    volume = replace(volume, time_axis="EchoTime")
    got = resample(volume, like=replace(like, units="SUV", modality="PT"))
    assert (got.units, got.modality, got.time_axis) == ("HU", "CT", "EchoTime")
    assert got.spacing == like.spacing
    np.testing.assert_array_equal(got.affine, like.affine)
    np.testing.assert_array_equal(got.positions, like.positions)
    assert not np.shares_memory(got.affine, like.affine)


def test_time_points_are_resampled_each():
    volume = volume_of((3, 6, 9, 8))
    valid = np.random.default_rng(1).random(volume.array.shape) > 0.02
    for like in (GRIDS["turned"], volume_of((5, 5, 5), (1.5, 1.0, 1.0), origin=(-2, 0, 0))):
        for mask in (None, valid):
            got = resample(replace(volume, valid=mask), like=like, fill=0)
            assert got.array.shape == got.valid.shape == (3, *like.array.shape)
            for t in range(3):
                one = replace(
                    volume, array=volume.array[t], valid=None if mask is None else mask[t]
                )
                each = resample(one, like=like, fill=0)
                np.testing.assert_array_equal(got.array[t], each.array)
                np.testing.assert_array_equal(got.valid[t], each.valid)


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("name", ["turned", "same axes, finer", "flipped"])
def test_valid_where_all_it_rests_on_is_valid(name, interpolation):
    volume, like = centred(**SOURCE), GRIDS[name]
    valid = np.random.default_rng(2).random(volume.array.shape) > 0.02
    got = resample(replace(volume, valid=valid), like=like, interpolation=interpolation)
    values, expected = naive(volume, like, interpolation, valid)
    assert 0 < expected.sum() < np.isfinite(values).sum()
    np.testing.assert_array_equal(got.valid, expected)
    assert (got.array[~expected] == volume.array[valid].min()).all()
    np.testing.assert_allclose(got.array[expected], values[expected], rtol=0, atol=1e-3)


def test_fill_is_the_lowest_valid_value_or_what_is_asked_for():
    volume = volume_of((4, 5, 6))
    volume.array[0, 0, 0] = -9000
    valid = volume.array > -8000
    like = volume_of((4, 5, 6), origin=(2, 0, 0))
    assert resample(volume, like=like).array[0, 0, -1] == -9000
    lowest = volume.array[valid].min()
    assert resample(replace(volume, valid=valid), like=like).array[0, 0, -1] == lowest
    got = resample(volume, like=like, fill=3.5)
    assert (got.array[..., -2:] == 3.5).all()
    assert not got.valid[..., -2:].any()
    assert got.valid[..., :-2].all()
    volume.array[1, 1, 1] = np.nan
    assert resample(volume, like=like).array[0, 0, -1] == -9000


def test_all_valid_says_so():
    volume = volume_of((4, 5, 6))
    got = resample(replace(volume, valid=np.ones((4, 5, 6), bool)), spacing=0.5)
    assert got.valid is None


def test_a_tie_belongs_to_the_upper_voxel():
    volume = volume_of((1, 1, 4), dtype="float64")
    for noise in (0, 1e-12, -1e-12):
        like = volume_of((1, 1, 5), origin=(-0.5 + noise, 0, 0))
        got = resample(volume, like=like, interpolation="nearest", fill=0)
        np.testing.assert_array_equal(got.array[0, 0], [*volume.array[0, 0], 0])
