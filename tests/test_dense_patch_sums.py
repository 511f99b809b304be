"""Sums over all patches against the same sums over explicit patches, in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from fastmm._space import enter
from fastmm.image.grid import patch_grid
from fastmm.solve.patches import gram as gram_module
from fastmm.solve.patches import inputs, tiling
from fastmm.solve.patches.boxes import slide, slide_diagonal
from fastmm.solve.patches.conjugate import solve_systems
from fastmm.solve.patches.correlation import Correlation
from fastmm.solve.patches.gram import add_patch_gram
from fastmm.solve.patches.sums import patch_sums
from fastmm.solve.patches.tiling import Plan, plan_tiles


def explicit(images, size, step):
    """Return the patches (n, *grid, m prod(size)) of images (n, m, *spatial)."""
    rank = len(size)
    views = sliding_window_view(images, size, axis=tuple(range(2, 2 + rank)))
    views = views[(slice(None), slice(None), *(slice(None, None, s) for s in step))]
    views = np.moveaxis(views, 1, 1 + rank)
    return views.reshape(*views.shape[: 1 + rank], -1)


def gram_of(images, grid, arrays=None):
    space, (images,), _ = enter(x=images if arrays is None else arrays.asarray(images))
    gram = space.xp.zeros((images.shape[1], *grid.size) * 2)
    add_patch_gram(gram, images, grid, space)
    return gram if arrays is None else arrays.asnumpy(gram)


CASES = [
    ((3, 2, 9), (4,), (1,)),
    ((3, 1, 9, 8), (4, 3), (1, 1)),
    ((2, 2, 9, 8), (4, 3), (2, 3)),
    ((2, 1, 12, 11), (2, 2), (3, 3)),
    ((1, 1, 5, 6), (5, 6), (1, 1)),
    ((1, 1, 5, 6), (1, 1), (1, 1)),
    ((2, 2, 6, 5, 5), (3, 2, 3), (1, 2, 1)),
    ((2, 1, 5, 6, 5), (5, 2, 4), (1, 1, 1)),
]


@pytest.mark.parametrize("wide", [1, 7, 512])
@pytest.mark.parametrize(("shape", "size", "step"), CASES)
def test_every_plan_gives_the_products_of_explicit_patches(shape, size, step, wide, monkeypatch):
    monkeypatch.setattr(tiling, "_WIDE", wide)
    grid = patch_grid((shape[0], *shape[2:]), size, step, 0, "x")
    images = np.random.default_rng(0).standard_normal(shape)
    rows = explicit(images, size, step).reshape(-1, shape[1] * int(np.prod(size)))
    expected = rows.T @ rows
    few = [sorted({1, 2, g // 2 + 1, g}) for g in grid.counts]
    for slid, positions in itertools.product(range(len(size)), itertools.product(*few)):
        plan = Plan(slid, tuple(map(min, positions, grid.counts)))
        monkeypatch.setattr(gram_module, "plan_tiles", lambda *_, plan=plan: plan)
        got = gram_of(images, grid).reshape(expected.shape)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-13 * abs(expected).max())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_sizes_and_steps(data):
    rank = data.draw(st.integers(1, 3))
    size = tuple(data.draw(st.integers(1, 5)) for _ in range(rank))
    spatial = tuple(p + data.draw(st.integers(0, 6)) for p in size)
    step = tuple(data.draw(st.integers(1, 7)) for _ in range(rank))
    n, m = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
    images = np.random.default_rng(data.draw(st.integers(0, 99))).normal(0, 1, (n, m, *spatial))
    rows = explicit(images, size, step).reshape(-1, m * int(np.prod(size)))
    expected = rows.T @ rows
    got = gram_of(images, patch_grid((n, *spatial), size, step, 0, "x"))
    scale = abs(expected).max()
    np.testing.assert_allclose(got.reshape(expected.shape), expected, rtol=0, atol=1e-13 * scale)


def test_any_array_library(xp_any):
    images = np.random.default_rng(0).standard_normal((5, 2, 9, 10))
    grid = patch_grid((5, 9, 10), (4, 5), (1, 2), 0, "x")
    rows = explicit(images, (4, 5), (1, 2)).reshape(-1, 40)
    got = gram_of(images, grid, xp_any).reshape(40, 40)
    np.testing.assert_allclose(got, rows.T @ rows, rtol=0, atol=1e-11)


@pytest.mark.parametrize("slid", [0, 1])
@pytest.mark.parametrize("room", [1, 2, 3, 5, 100])
def test_tiles_in_batches_of_any_size(slid, room, monkeypatch):
    images = np.random.default_rng(0).standard_normal((3, 2, 11, 10))
    grid = patch_grid((3, 11, 10), (4, 3), 1, 0, "x")
    rows = explicit(images, (4, 3), (1, 1)).reshape(-1, 24)
    monkeypatch.setattr(gram_module, "plan_tiles", lambda *_: Plan(slid, (3, 2)))
    monkeypatch.setattr(tiling.Tiles, "at_once", lambda *_: room)
    got = gram_of(images, grid).reshape(24, 24)
    np.testing.assert_allclose(got, rows.T @ rows, rtol=0, atol=1e-11)


def test_tiles_hold_each_position_once():
    grid = patch_grid((1, 23, 17), (5, 4), (2, 3), 0, "x")
    for positions in itertools.product(range(1, grid.counts[0] + 1), range(1, grid.counts[1] + 1)):
        seen = np.zeros(grid.counts, int)
        for tiles in Plan(1, positions).tiles(grid):
            places = []
            for axis, step in enumerate(grid.steps):
                first = np.arange(tiles.numbers[axis]) * tiles.positions[axis]
                first = first + tiles.starts[axis] // step
                places.append((first[:, None] + np.arange(tiles.positions[axis])).ravel())
            np.add.at(seen, np.ix_(*places), 1)
        assert (seen == 1).all()


@pytest.mark.parametrize(
    ("shape", "size", "step", "modalities", "images"),
    [
        ((128, 128), (64, 64), 1, 2, 1000),
        ((512, 512), (8, 8), 1, 1, 10),
        ((64,) * 3, (8,) * 3, 4, 1, 5),
    ],
)
def test_plans_fit_into_memory_and_save_work(shape, size, step, modalities, images):
    grid = patch_grid(shape, size, step, 0, "x")
    plan = plan_tiles(grid, modalities, images)
    for tiles in plan.tiles(grid):
        lengths = tiles.lengths(grid)
        block = modalities * int(np.prod(lengths[plan.slid :]))
        held = 8 * block**2 * int(np.prod(lengths[: plan.slid]))
        assert held * plan.together(grid, tiles, modalities) <= 2 * tiling.MOST_BYTES
    patches = Plan(0, (1,) * len(shape))
    seconds = [tiling._seconds(p, grid, modalities, images) for p in (plan, patches)]
    assert seconds[0] <= seconds[1]


@pytest.mark.parametrize(("count", "step"), [(1, 1), (2, 3), (3, 1), (4, 1), (7, 2), (5, 9)])
def test_box_sums(count, step):
    size = 6
    rng, length = np.random.default_rng(0), size + step * (count - 1)
    values = rng.standard_normal((2, length + 1, 3, length))
    got = slide(values, 1, size, count, step, np)
    expected = sum(values[:, k * step : k * step + size] for k in range(count))
    np.testing.assert_allclose(got, expected, atol=1e-13)
    got = slide_diagonal(values, (1, 3), size, count, step, np)
    spans = [slice(k * step, k * step + size) for k in range(count)]
    np.testing.assert_allclose(got, sum(values[:, s, :, s] for s in spans), atol=1e-13)


@pytest.mark.parametrize(("shape", "size", "step"), CASES)
def test_correlations_are_adjoint_and_right(shape, size, step):
    rng, rank = np.random.default_rng(0), len(size)
    images, space = rng.standard_normal(shape), enter(x=np.empty(1))[0]
    grid = patch_grid((shape[0], *shape[2:]), size, step, 0, "x")
    correlation = Correlation(shape[2:], grid, space)
    rows = explicit(images, size, step)
    filters = rng.standard_normal((shape[1], *size))
    spectra = correlation.spectra(images)
    got = correlation.maps(spectra, correlation.spectra(filters)[None])
    np.testing.assert_allclose(got, rows @ filters.ravel(), atol=1e-11)
    maps = rng.standard_normal(rows.shape[:-1])
    expected = np.tensordot(maps, rows, axes=1 + rank).reshape(filters.shape)
    np.testing.assert_allclose(correlation.filters(spectra, maps, 0), expected, atol=1e-11)
    each = correlation.filters(spectra, maps)
    np.testing.assert_allclose(each.sum(axis=0), expected, atol=1e-11)


@pytest.mark.parametrize("by_position", [False, True])
@pytest.mark.parametrize(("mean", "dtype"), [(0, "f8"), (1e4, "f8"), (1e4, "f4"), (-3, "i2")])
def test_sums_of_patches_and_targets(by_position, mean, dtype, monkeypatch):
    monkeypatch.setattr(inputs, "_WORK", 3000)  # several pieces
    rng = np.random.default_rng(0)
    given = {name: rng.normal(mean, 9, (7, 8, 9)).astype(dtype) for name in "ab"}
    images, _ = inputs.take_images(given, (3, 4), 2)
    assert len(images.pieces()) > 1
    counts = images.grid.counts
    y = rng.normal(50, 1, (7, *counts) if by_position else (7, 2))
    weight = rng.uniform(0, 2, 7)
    sums = patch_sums(images, inputs.take_targets(y, images), weight)
    stacked = np.stack([given["a"], given["b"]], axis=1).astype("f8")
    rows = explicit(stacked, (3, 4), (2, 2)).reshape(-1, 24)
    positions = int(np.prod(counts))
    targets = y.reshape(-1, 1) if by_position else np.repeat(y, positions, axis=0)
    w = np.repeat(weight, positions)
    assert sums.weight == pytest.approx(w.sum())
    x_mean, y_mean = w @ rows / w.sum(), w @ targets / w.sum()
    rows, targets = rows - x_mean, targets - y_mean
    np.testing.assert_allclose(sums.x_mean, x_mean, rtol=1e-12)
    np.testing.assert_allclose(sums.y_mean, y_mean, rtol=1e-12)
    scale = abs(rows.T @ (w[:, None] * rows)).max()
    np.testing.assert_allclose(sums.xx, rows.T @ (w[:, None] * rows), atol=1e-12 * scale)
    np.testing.assert_allclose(sums.xy, rows.T @ (w[:, None] * targets), atol=1e-12 * scale)
    np.testing.assert_allclose(sums.yy, w @ targets**2, rtol=1e-12)


def test_systems_near_one_matrix():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((30, 20))
    near = root.T @ root + np.eye(20)
    taken = 0.1 * rng.standard_normal((5, 20, 3))
    matrices = near - taken @ taken.transpose(0, 2, 1)
    right = rng.standard_normal((20, 5, 2))
    asked = []

    def product(v, which):
        asked.append(which.size)
        return np.einsum("sij,jst->ist", matrices[which], v)

    inverse = np.linalg.inv(near)
    found, missing = solve_systems(
        product, lambda v: inverse @ v, right, np.zeros_like(right), np.ones(2), 50, np
    )
    expected = np.linalg.solve(matrices, right.transpose(1, 0, 2)).transpose(1, 0, 2)
    assert missing.size == 0
    np.testing.assert_allclose(found, expected, atol=1e-11)
    assert max(asked) == 5
    # A system that conjugate gradients cannot solve is named, and the others are solved.
    matrices[3] = -near
    found, missing = solve_systems(
        product, lambda v: inverse @ v, right, np.zeros_like(right), np.ones(2), 50, np
    )
    assert missing.tolist() == [3]
    kept = [0, 1, 2, 4]
    np.testing.assert_allclose(found[:, kept], expected[:, kept], atol=1e-11)
