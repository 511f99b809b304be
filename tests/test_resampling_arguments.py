"""What resample takes from any library, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from resampling_by_definition import GRIDS, SOURCE, centred, naive, rotation, unknown, volume_of

from fastmm.errors import GeometryError, LimitError
from fastmm.image.resampling import resample
from fastmm.read import limits


def test_layouts_and_inputs():
    volume, like = centred(**SOURCE), GRIDS["all around"]
    expected = resample(volume, like=like)
    before = volume.array.copy()
    for array in (
        np.asfortranarray(volume.array),
        volume.array[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
        volume.array.astype(">f4"),
    ):
        array.flags.writeable = False
        got = resample(replace(volume, array=array), like=like)
        np.testing.assert_array_equal(got.array, expected.array)
    np.testing.assert_array_equal(volume.array, before)


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("name", ["turned", "straight"])
def test_any_array_library(xp, name, interpolation):
    shape = (3, 6, 3) if xp.small else (9, 14, 11)
    turn = rotation(10, 20, 30) if name == "turned" else np.eye(3)
    like = centred((2, 3, 4) if xp.small else (9, 12, 12), (1.5, 1.3, 0.8), turn)
    for dtype in ("float32", "float64", "int16", "float16", "bool"):
        volume = centred(shape, (2.0, 1.0, 1.0), dtype=dtype)
        valid = np.ones(shape, bool)
        valid[0, 0, 0] = False
        there = replace(volume, array=xp.asarray(volume.array), valid=xp.asarray(valid))
        got = resample(there, like=like, interpolation=interpolation, fill=0)
        values, good = naive(volume, like, interpolation, valid)
        scale = np.abs(volume.array.astype(float)).max()
        marked = np.ones(good.shape, bool) if got.valid is None else xp.asnumpy(got.valid)
        np.testing.assert_array_equal(marked, good)
        error = np.abs(xp.asnumpy(got.array) - np.where(good, values, 0))
        assert error.max() <= 2e-6 * scale
        unmasked = replace(there, valid=None)
        got = resample(unmasked, like=like, interpolation=interpolation, fill=0)
        inside = ~np.isnan(values)
        marked = np.ones(inside.shape, bool) if got.valid is None else xp.asnumpy(got.valid)
        np.testing.assert_array_equal(marked, inside)


def test_torch_comes_and_leaves():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    volume, like = centred(**SOURCE), GRIDS["all around"]
    got = resample(replace(volume, array=torch.from_numpy(volume.array)), like=like)
    assert isinstance(got.array, torch.Tensor)
    assert got.valid.dtype == torch.bool
    np.testing.assert_array_equal(got.array.numpy(), resample(volume, like=like).array)


V = volume_of((4, 5, 6))


@pytest.mark.parametrize(
    ("volume", "options", "error", "message"),
    [
        (V.array, {"spacing": 1}, TypeError, r"`volume` must be a fastmm.Volume, got ndarray\."),
        (V, {"like": V.array}, TypeError, r"`like` must be a fastmm.Volume, got ndarray\."),
        (V, {}, ValueError, r"Exactly one of `spacing` and `like` .* got neither\."),
        (V, {"spacing": 1, "like": V}, ValueError, r"Exactly one .* got both\."),
        (V, {"spacing": 0}, ValueError, r"`spacing` must be .* greater than 0, got 0\.0\."),
        (V, {"spacing": np.nan}, ValueError, r"`spacing` must be .* got nan\."),
        (V, {"spacing": "1"}, TypeError, r"`spacing` must be .* got '1'\."),
        (V, {"spacing": (1, 2)}, ValueError, r"`spacing` must be one number or three, .* got 2\."),
        (V, {"spacing": (1, 2, -1)}, ValueError, r"`spacing\[2\]` must be .* got -1\.0\."),
        (V, {"spacing": 1, "fill": np.nan}, ValueError, r"`fill` must be a finite number"),
        (V, {"spacing": 1, "interpolation": "spline"}, ValueError, r"`interpolation` must be one"),
        (V, {"spacing": 1e-9}, LimitError, r"fastmm\.read\.limits\.MAX_BYTES; choose a coarser"),
        (replace(V, array=V.array[0]), {"spacing": 1}, ValueError, r"got \(5, 6\)\."),
        (replace(V, array=V.array[:0]), {"spacing": 1}, ValueError, r"got \(0, 5, 6\)\."),
        (replace(V, valid=np.ones(3, bool)), {"spacing": 1}, ValueError, r"`volume\.valid` must"),
        (replace(V, array=V.array * 1j), {"spacing": 1}, ValueError, "Complex data not supported"),
        (replace(V, spacing=(np.nan, 1, 1)), {"spacing": 1}, GeometryError, "is not known"),
        (replace(V, spacing=(-1.0, 1, 1)), {"spacing": 1}, GeometryError, "is not positive"),
        (replace(V, spacing=(1, 2.0, 1)), {"spacing": 1}, GeometryError, "along y is 2 mm, but"),
        (unknown(V), {"like": V}, GeometryError, r"`volume` has an affine with NaN"),
        (V, {"like": unknown(V)}, GeometryError, r"`like` has an affine with NaN"),
        (V, {"like": unknown(V, np.s_[:3, 2])}, GeometryError, r"`like` has an affine with NaN"),
        (
            replace(V, affine=np.diag([1, 1, 0, 1.0])),
            {"like": V},
            GeometryError,
            "a singular affine",
        ),
        (V, {"like": volume_of((4, 5, 6), origin=(99, 0, 0))}, GeometryError, "No valid voxel"),
        (V, {"like": volume_of((4, 5, 6), origin=(1e12, 0, 0))}, GeometryError, "voxels away"),
        (
            V,
            {"like": centred((1, 1, 9), (1.0, 1.0, 1.0), rotation(0, 0, 45), (6.5, -2.5, 2))},
            GeometryError,
            "No valid voxel",
        ),
        (replace(V, valid=np.zeros((4, 5, 6), bool)), {"spacing": 1}, ValueError, "no valid voxel"),
        (
            replace(V, valid=np.zeros((4, 5, 6), bool)),
            {"spacing": 1, "fill": 0},
            GeometryError,
            "No valid voxel",
        ),
    ],
)
def test_wrong_arguments_are_named(volume, options, error, message):
    with pytest.raises(error, match=message):
        resample(volume, **options)


def test_the_limit_is_that_of_reading(monkeypatch):
    monkeypatch.setattr(limits, "MAX_BYTES", 4 * V.array.size)
    assert resample(V, like=V).array.shape == V.array.shape
    with pytest.raises(LimitError, match="would take 3840 bytes, more than the 480 of"):
        resample(V, spacing=0.5)
