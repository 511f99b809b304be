"""Gram matrices in tiles: equal to those of one call, within a limit, from and to any place."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from disk_sources import KINDS, Sliced, Store, least, on_disk, peak, pictures

import fastmm
from fastmm.grams.tile_grid import Grid, tile_side

ROWS = {
    "linear": fastmm.linear_kernel,
    "polynomial": fastmm.polynomial_kernel,
    "rbf": fastmm.rbf_kernel,
    "laplacian": fastmm.laplacian_kernel,
    "arccos": partial(fastmm.arccos_kernel, depth=2),
    "ntk": partial(fastmm.ntk_kernel, bias=0.1),
}
IMAGES = {
    "patches": partial(fastmm.patch_kernel, patch_size=(3, 4)),
    "shifted": partial(fastmm.patch_kernel, patch_size=(3, 4), step=2, shifts=1),
    "linear patches": partial(fastmm.patch_kernel, patch_size=(3, 4), kernel="linear", shifts=1),
    "convolutional": partial(fastmm.convolutional_kernel, depth=2),
    "tangent": partial(fastmm.convolutional_kernel, depth=2, pool=2, tangent=True),
}


class Written:
    """What takes results by slices, and counts them."""

    def __init__(self, like):
        self.array, self.writes = np.full_like(like, np.nan), 0
        self.shape, self.dtype = like.shape, like.dtype

    def __setitem__(self, key, part):
        self.array[key] = part
        self.writes += 1


def rows(n, d=11, seed=0, dtype="f8"):
    # A mean far from 0, which every tile has another of.
    return (np.random.default_rng(seed).normal(size=(n, d)) + np.linspace(0, 9, n)[:, None]).astype(
        dtype
    )


def tight(kernel, *sources, share=0.25, result="f8"):
    """Return a limit under which there are several tiles, with an `out`."""
    out = Written(np.empty((len(sources[0].array), len(sources[-1].array)), result))
    low = least(lambda limit: kernel(*sources, memory_limit=limit, out=out))
    return low + (3000 if sources[0].array.ndim == 2 else int(share * low))


def agrees(made, expected, tolerance=1e-12):
    assert made.dtype == expected.dtype
    np.testing.assert_allclose(made, expected, rtol=0, atol=tolerance * abs(expected).max())


@pytest.mark.parametrize("name", sorted(ROWS | IMAGES))
def test_tiles_equal_one_call(name):
    kernel = (ROWS | IMAGES)[name]
    make = rows if name in ROWS else partial(pictures, shape=(7, 9), dtype="f8")
    X, Y = make(31), make(17, seed=1)
    share = 1 if name in ("convolutional", "tangent") else 0.25
    for arrays in ((X,), (X, Y)):
        expected = kernel(*arrays)
        kept, sources = Written(expected), [Sliced(a) for a in arrays]
        assert kernel(*sources, memory_limit=tight(kernel, *sources, share=share), out=kept) is kept
        out = kept.array
        assert 3 <= kept.writes < out.size / 2  # in tiles, indeed
        # An angle has half of the digits of its cosine, and one block another rounding.
        agrees(out, expected, 1e-7 if name in ("tangent", "ntk", "arccos") else 1e-12)
        if len(arrays) == 1:
            np.testing.assert_array_equal(out, out.T)
        agrees(kernel(*arrays, memory_limit="1GB"), expected, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_on_disk_into_files(kind, tmp_path):
    store = Store(tmp_path)
    X, Y = rows(60, dtype="f4"), rows(45, seed=2, dtype="f4")
    for kernel in (fastmm.rbf_kernel, fastmm.laplacian_kernel):
        expected = kernel(X, Y)
        agrees(kernel(store(kind, X), Y), expected, 1e-6)
        agrees(kernel(X, store(kind, Y), memory_limit="400MB"), expected, 1e-6)
        out = np.lib.format.open_memmap(tmp_path / "K.npy", "w+", "f4", (60, 45))
        agrees(kernel(store(kind, X), store(kind, Y), out=out), expected, 1e-6)
        agrees(np.load(tmp_path / "K.npy"), expected, 1e-6)


def test_a_matrix_of_a_store(tmp_path):
    zarr = pytest.importorskip("zarr", reason="zarr is not installed")
    X = rows(60)
    out = zarr.create_array(tmp_path / "K.zarr", shape=(60, 60), dtype="f8", chunks=(8, 6))
    assert fastmm.rbf_kernel(on_disk("zarr", X, tmp_path), memory_limit="100kB", out=out) is out
    agrees(out[:], fastmm.rbf_kernel(X))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("polynomial", "f4"), ("rbf", "i2"), ("laplacian", "f4"), ("arccos", "i2")]
    + [("patches", "i2"), ("shifted", "f4"), ("linear patches", "i2"), ("convolutional", "f4")],
)
def test_memory_stays_within_the_limit(name, dtype):
    kernel = (ROWS | IMAGES)[name]
    if name in ROWS:
        X, limit = (rows(1000, 20) * 20).astype(dtype), 2_000_000
    else:
        X, limit = pictures(60, (9, 11), dtype=dtype), 1_200_000
    kernel(X[:3])  # what is compiled and imported stays
    out = np.empty((len(X), len(X)), "f4")
    _, held = peak(lambda: kernel(Sliced(X), memory_limit=limit, out=out))
    assert held < 1.3 * limit
    made, held = peak(lambda: kernel(X, memory_limit=limit + out.nbytes))
    assert held < 1.3 * limit + out.nbytes
    np.testing.assert_allclose(made, out, rtol=0, atol=2e-6 * abs(out).max())


def test_rows_far_out_take_no_more():
    X = rows(600, 30, dtype="f4")
    X[5] = 1e6  # float32 has no digits left for the distances of the others
    expected = fastmm.rbf_kernel(X, gamma=0.05)
    made, held = peak(
        lambda: fastmm.rbf_kernel(X, gamma=0.05, memory_limit=3_000_000 + expected.nbytes)
    )
    assert held < 1.3 * 3_000_000 + expected.nbytes
    agrees(made, expected, 2e-6)


def test_leading_axes_go_one_by_one():
    X, Y = rows(24).reshape(2, 1, 12, 11), rows(30).reshape(3, 10, 11)
    for kernel in (fastmm.linear_kernel, fastmm.rbf_kernel):
        for arrays in ((X,), (X, Y), (X, Y[0])):
            expected = kernel(*arrays)
            out = np.full_like(expected, np.nan)
            agrees(kernel(*map(Sliced, arrays), memory_limit="70kB", out=out), expected)


def test_modalities_are_summed():
    X = {"a": pictures(20, (6, 7), "f8"), "b": pictures(20, (5, 4), "f4", seed=1)}
    options = {"patch_size": {"a": (3, 3), "b": (2, 2)}, "gamma": {"a": 1e-4, "b": "scale"}}
    Y = {name: images[:9] for name, images in X.items()}
    for other in (None, Y):
        expected = fastmm.patch_kernel(X, other, **options)
        out = Written(expected)
        lazy = [None if d is None else {k: Sliced(v) for k, v in d.items()} for d in (X, other)]
        fastmm.patch_kernel(*lazy, **options, memory_limit="240kB", out=out)
        assert out.writes > 1
        agrees(out.array, expected)


def test_a_constant_has_a_width_of_1():
    X = np.full((30, 4), 0.1)
    Y = X[:7] + 1
    for kernel in (fastmm.rbf_kernel, fastmm.laplacian_kernel):
        out = np.empty((30, 7))
        kernel(X, Y, memory_limit="70kB", out=out)
        agrees(out, kernel(X, Y, gamma=1.0))


def test_what_is_wrong_is_told_before_anything_is_written():
    X, out = rows(40), np.full((40, 40), 7.0)
    kernel = partial(fastmm.rbf_kernel, memory_limit="80kB")
    with pytest.raises(ValueError, match=r"memory_limit` must be at least .* result takes 12.8kB"):
        fastmm.rbf_kernel(X, memory_limit=100)
    with pytest.raises(ValueError, match="gamma"):
        kernel(X, gamma=-1, out=out)
    with pytest.raises(ValueError, match="as many columns, got 11 and 3"):
        kernel(X, X[:, :3], out=out)
    with pytest.raises(ValueError, match=r"must have the shape \(40, 40\)"):
        kernel(X, out=out[1:])
    with pytest.raises(ValueError, match="must have the dtype float64"):
        kernel(X, out=out.astype("f4"))
    square = rows(40, 40)
    with pytest.raises(ValueError, match="must not share memory with `X` or `Y`"):
        kernel(square, out=square)
    with pytest.raises(ValueError, match="got \\[\\(2, 20, 11\\)\\]"):
        fastmm.ntk_kernel(X.reshape(2, 20, 11), out=out)
    with pytest.raises(TypeError, match="both be dicts"):
        fastmm.patch_kernel({"a": X}, X, patch_size=(2,), out=out)
    X[33, 4] = np.nan
    for source in (X, Sliced(X)):
        with pytest.raises(ValueError, match=r"`X` contains NaN .* index \(33, 4\)"):
            kernel(source, out=out)
    assert (out == 7).all()


def test_tiles_cover_each_place_once():
    for mirrored, n, m in ((False, 11, 7), (True, 11, 11)):
        seen = np.zeros((2, n, m), int)
        for place in Grid((2,), n, m, 4, mirrored):
            seen[place.region] += 1
            if mirrored and place.rows != place.columns:
                seen[place.mirrored.region] += 1
        assert (seen == 1).all()
    assert tile_side(100, lambda side: side <= 50, [(8, 6), (7,)]) == 48
    assert tile_side(100, lambda side: side <= 200, [(8, 6)]) == 100
