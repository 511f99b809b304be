"""resample against SimpleITK, SciPy and a plain loop: values, geometry, padding, real scans."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from fastmm import Volume, read_volume
from fastmm.errors import GeometryError, LimitError
from fastmm.image.resampling import resample
from fastmm.read import limits


def rotation(*degrees):
    """Turn about x, then y, then z."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        c, s = np.cos(angle), np.sin(angle)
        step = np.eye(3)
        a, b = [i for i in range(3) if i != axis]
        step[[a, a, b, b], [a, b, a, b]] = c, -s, s, c
        turn = step @ turn
    return turn


def affine_of(spacing, origin=(0, 0, 0), turn=None, shear=None):
    """Make an affine from spacing (z, y, x)."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if turn is None else turn) @ np.diag(spacing[::-1])
    if shear is not None:
        affine[:3, :3] = affine[:3, :3] @ shear
    affine[:3, 3] = origin
    return affine


def volume_of(shape, spacing=(1.0, 1.0, 1.0), *, dtype="float32", seed=0, **place):
    rng = np.random.default_rng(seed)
    array = (100 * rng.normal(size=shape)).astype(dtype)
    affine = affine_of(spacing, **place)
    positions = affine[:3, 3] + np.arange(shape[-3])[:, None] * affine[:3, 2]
    return Volume(array, "HU", spacing, affine, modality="CT", positions=positions)


def centred(shape, spacing, turn=None, centre=(0, 0, 0), **options):
    """Make a volume whose middle lies at `centre`."""
    plain = affine_of(spacing, turn=turn)
    origin = np.array(centre) - plain[:3, :3] @ (np.array(shape[::-1]) - 1) / 2
    return volume_of(shape, spacing, origin=origin, turn=turn, **options)


def indices_of(volume, like):
    """Return the float64 source index (z, y, x) of each voxel of `like`, by its definition."""
    grid = np.stack(np.meshgrid(*map(np.arange, like.array.shape[-3:]), indexing="ij"), -1)
    homogeneous = np.concatenate([grid[..., ::-1], np.ones((*grid.shape[:-1], 1))], -1)
    places = homogeneous @ (np.linalg.inv(volume.affine) @ like.affine).T
    return places[..., 2::-1]


def keys(t, a=-0.75):
    t = np.abs(t)
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def naive(volume, like, interpolation, valid=None):
    """Return values in float64 (NaN outside), and where all they rest on is `valid`."""
    source = np.asarray(volume.array, np.float64)
    valid = np.ones(source.shape, bool) if valid is None else valid
    last = np.array(source.shape) - 1
    places = indices_of(volume, like)
    inside = ((places >= -0.5) & (places < last + 0.5)).all(-1)
    if interpolation == "nearest":
        first, reach = np.floor(places + 0.5).astype(int), range(1)
    else:
        places = np.clip(places, 0, last)
        first = np.floor(places).astype(int)
        reach = range(2) if interpolation == "linear" else range(-1, 3)
    values, rests = np.zeros(inside.shape), inside.copy()
    for step in product(reach, repeat=3):
        tap = first + step
        weight = 1.0
        if interpolation != "nearest":
            kernel = keys if interpolation == "cubic" else lambda t: 1 - np.abs(t)
            weight = kernel(places - tap).prod(-1)
        at = tuple(np.moveaxis(np.clip(tap, 0, last), -1, 0))
        values += np.where(weight == 0, 0, weight * source[at])
        rests &= valid[at] | (weight == 0)
    values[~inside] = np.nan
    return values, rests


def itk(volume, like, interpolation, fill):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")

    def image(v):
        made = sitk.GetImageFromArray(np.ascontiguousarray(v.array))
        lengths = np.linalg.norm(v.affine[:3, :3], axis=0)
        made.SetSpacing(lengths.tolist())
        made.SetOrigin(v.affine[:3, 3].tolist())
        made.SetDirection((v.affine[:3, :3] / lengths).ravel().tolist())
        return made

    mode = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor}[interpolation]
    return sitk.GetArrayFromImage(
        sitk.Resample(image(volume), image(like), sitk.Transform(), mode, fill)
    )


SOURCE = {"shape": (9, 14, 11), "spacing": (3.0, 1.1, 1.3), "turn": rotation(5, -8, 20)}
GRIDS = {
    "turned": centred((8, 10, 12), (2.0, 1.5, 0.9), rotation(30, 10, -25)),
    "turned a little": centred((8, 10, 12), (2.9, 1.2, 1.25), rotation(5.1, -8, 20)),
    "same axes, finer": centred((20, 22, 18), (1.31, 0.71, 0.73), SOURCE["turn"]),
    "same axes, coarser": centred((4, 6, 5), (5.1, 2.3, 2.9), SOURCE["turn"]),
    "flipped": centred((8, 10, 12), (2.0, 1.5, 0.9), SOURCE["turn"] @ np.diag([-1.0, -1, 1])),
    "axes in another order": centred((12, 9, 10), (1.0, 2.0, 1.2), SOURCE["turn"][:, [1, 2, 0]]),
    "partial overlap": centred((8, 10, 12), (2.0, 1.5, 0.9), rotation(3, 0, 0), (7, -4, 9)),
    "all around": centred((14, 20, 18), (3.0, 1.5, 1.5), rotation(0, 0, 45)),
    "one slice": centred((1, 20, 18), (3.0, 1.5, 1.5), rotation(0, 20, 45)),
}


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
@pytest.mark.parametrize("name", GRIDS)
def test_equals_simpleitk(name, interpolation):
    volume, like = centred(**SOURCE), GRIDS[name]
    got = resample(volume, like=like, interpolation=interpolation, fill=-77)
    expected = itk(volume, like, interpolation, -77.0)
    assert got.array.dtype == np.float32
    assert np.abs(got.array - expected).max() <= 1e-5 * np.abs(volume.array).max()


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("name", GRIDS)
def test_equals_the_plain_loop(name, interpolation):
    like = GRIDS[name]
    for dtype, share in (("float64", 1e-10), ("float32", 2e-6), ("int16", 2e-6)):
        volume = centred(**SOURCE, dtype=dtype)
        expected, _ = naive(volume, like, interpolation)
        got = resample(volume, like=like, interpolation=interpolation, fill=-77)
        inside = ~np.isnan(expected)
        valid = np.ones(inside.shape, bool) if got.valid is None else got.valid
        np.testing.assert_array_equal(valid, inside)
        assert got.array.dtype == (np.float64 if dtype == "float64" else np.float32)
        error = np.abs(got.array - np.where(inside, expected, -77))
        assert error.max() <= share * np.abs(volume.array).max()


@pytest.mark.parametrize("order", [0, 1])
def test_sheared_grids_equal_scipy(order):
    tilt = np.array([[1, 0, 0], [0, 1, 0.35], [0, 0, 1]])
    volume = volume_of((9, 14, 11), (3.0, 1.1, 1.3), dtype="float64", shear=tilt)
    like = volume_of((7, 15, 12), (2.5, 1.0, 1.1), origin=(1, 2, 3))
    matrix = np.linalg.inv(volume.affine) @ like.affine
    expected = ndimage.affine_transform(
        volume.array,
        matrix[2::-1, 2::-1],
        matrix[2::-1, 3],
        like.array.shape,
        order=order,
        mode="grid-constant" if order == 0 else "nearest",
    )
    got = resample(volume, like=like, interpolation=["nearest", "linear"][order])
    assert 0.3 < got.valid.mean() < 1
    np.testing.assert_allclose(got.array[got.valid], expected[got.valid], rtol=0, atol=1e-9)
    back = resample(like, like=volume)
    assert back.affine[1, 2] != 0
    expected, _ = naive(like, volume, "linear")
    np.testing.assert_array_equal(back.valid, ~np.isnan(expected))
    assert np.nanmax(np.abs(np.where(back.valid, back.array, np.nan) - expected)) <= 1e-3


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.tuples(*[st.floats(0.5, 3)] * 3),
    st.tuples(*[st.floats(-4, 4)] * 3),
    st.tuples(*[st.integers(1, 9)] * 3),
)
def test_a_slope_in_the_patient_stays_where_it_is(degrees, spacing, centre, shape):
    """Linear interpolation is exact on linear functions of the place, away from the edge."""
    volume = centred((12, 11, 10), (2.0, 1.5, 1.25), rotation(10, 20, 30), dtype="float64")

    def slope(v):
        index = np.stack(np.meshgrid(*map(np.arange, v.array.shape), indexing="ij"), -1)
        return (index[..., ::-1] @ v.affine[:3, :3].T + v.affine[:3, 3]) @ [3.0, -5.0, 7.0]

    volume = replace(volume, array=slope(volume))
    got = resample(volume, like=centred(shape, spacing, rotation(*degrees), centre))
    places = indices_of(volume, got)
    between = ((places >= 0) & (places <= np.array(volume.array.shape) - 1)).all(-1)
    np.testing.assert_allclose(got.array[between], slope(got)[between], rtol=0, atol=1e-3)
    assert got.valid is None or got.valid[between].all()


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


def test_bad_voxels_spoil_only_what_they_touch():
    volume = volume_of((5, 6, 7))
    volume.array[2, 3, 4] = np.nan
    # Half a voxel along x, and a shear of whole voxels: nothing of weight touches y or z.
    shear = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1.0]])
    like = volume_of((5, 6, 7), origin=(0.5, 0, 0), shear=shear)
    expected, _ = naive(volume, like, "linear")
    got = resample(volume, like=like)
    touched = np.isnan(got.array)
    assert touched.sum() == 2
    assert touched[2, 3, 0]
    assert touched[2, 3, 1]
    np.testing.assert_allclose(
        got.array[got.valid & ~touched], expected[got.valid & ~touched], rtol=0, atol=1e-4
    )


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


@settings(max_examples=30, deadline=None)
@given(st.floats(-1e6, 1e6, width=32), st.floats(1, 89))
def test_a_constant_stays_constant_exactly(value, angle):
    volume = centred((9, 8, 10), (2.0, 1.0, 1.0))
    volume = replace(volume, array=np.full_like(volume.array, value))
    for like in (
        centred((5, 5, 5), (1.5, 1.1, 0.9), rotation(angle, 0, angle)),
        centred((15, 15, 15), (1.1, 0.3, 0.3)),
    ):
        np.testing.assert_array_equal(resample(volume, like=like).array, np.float32(value))


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


def test_large_volumes_take_the_parallel_build():
    volume = centred((40, 60, 50), (2.0, 1.0, 1.0))
    for turn in (np.eye(3), rotation(10, 20, 20)):
        like = centred((45, 70, 60), (1.9, 0.9, 0.9), turn)
        got = resample(volume, like=like, fill=0)
        expected = itk(volume, like, "linear", 0.0)
        assert np.abs(got.array - expected).max() <= 1e-5 * np.abs(volume.array).max()


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


def unknown(volume, part=np.s_[:3]):
    affine = volume.affine.copy()
    affine[part] = np.nan
    return replace(volume, affine=affine)


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


@pytest.mark.parametrize("patient", ["STS_001", "STS_002"])
def test_masks_of_one_patient_meet_on_the_ct_grid(real_data, patient):
    folder = real_data / "sts" / patient
    ct = read_volume(folder / "ct")
    on_ct = read_volume(folder / "ct_tumour_mask.nii.gz")
    drawn = resample(on_ct, like=ct, interpolation="nearest", fill=0).array > 0
    assert drawn.any()
    for name in ("pet", "mr_t1"):
        mask = read_volume(folder / f"{name}_tumour_mask.nii.gz")
        moved = resample(mask, like=ct, interpolation="nearest", fill=0).array > 0
        dice = 2 * (moved & drawn).sum() / (moved.sum() + drawn.sum())
        assert dice > 0.85, name


@pytest.mark.parametrize("modality", ["pet", "mr_t1"])
def test_real_scans_equal_simpleitk_on_the_ct_grid(real_data, modality):
    folder = real_data / "sts" / "STS_001"
    ct, other = read_volume(folder / "ct"), read_volume(folder / modality)
    got = resample(other, like=ct, fill=0)
    expected = itk(other, ct, "linear", 0.0)
    assert np.abs(got.array - expected).max() <= 1e-5 * np.abs(other.array).max()


def test_an_oblique_scan_stands_upright(real_data):
    oblique = read_volume(real_data / "dicom_mr_oblique")
    assert np.count_nonzero(np.abs(oblique.affine[:3, :3]) > 1e-3) > 3
    centre = oblique.affine[:3] @ [*(np.array(oblique.array.shape[::-1]) - 1) / 2, 1]
    upright = centred((20, 30, 30), (6.0, 4.0, 4.0), centre=centre)
    got = resample(oblique, like=upright, fill=0)
    expected = itk(oblique, upright, "linear", 0.0)
    assert got.valid is None or got.valid.mean() > 0.2
    assert np.abs(got.array - expected).max() <= 1e-5 * np.abs(oblique.array).max()
