"""The kernel contract: both builds, both arithmetics, any launch, the same numbers."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from harness import SIMULATED, all_kernels

from fastmm._interp import Rescale, canonical, resize_linear
from fastmm._space import enter


def value_maps(dtype):
    return np.array([[1, 0, -1, 4], [2, 3, -1, 4]], dtype)


def arguments(name, dtype="float32", seed=0):
    """Make a launch of the named kernel: its work and fresh arguments."""
    rng = np.random.default_rng(seed)
    if name == "resizing.linear":
        from fastmm._interp import linear_tables

        src, out = rng.normal(size=(2, 3, 5, 4)).astype(dtype), np.empty((2, 2, 4, 6), dtype)
        axes = zip(src.shape[1:], out.shape[1:], strict=True)
        tables = [linear_tables(m, n, np.dtype(dtype).char) for m, n in axes]
        first, second, weights = (np.concatenate(t) for t in zip(*tables, strict=True))
        return out.size, [src, out, value_maps(dtype), np.stack([first, second]), weights]
    if name == "weighing.weigh":
        from fastmm._taps import taps

        flat, out = rng.normal(size=100).astype(dtype), np.empty((2, 2, 7, 6), dtype)
        images = np.array([[60, 2, 4, 5, 0, 0, 0], [3, 2, 4, 5, 0, 0, 0]])
        sizes = zip((2, 4, 5), out.shape[1:], strict=True)
        char = np.dtype(dtype).char
        tables = [table for m, n in sizes for table in taps(m, n, "cubic", False, char)]
        return out.size, [flat, out, images, value_maps(dtype), *tables]
    if name.startswith("resampling") or name == "support.support":
        return resampling(name, dtype, rng)
    if name == "picking.pick":
        flat, out = rng.integers(0, 99, 100).astype("u2"), np.empty((2, 2, 3, 4), "u2")
        images = np.array([[40, 3, 4, 5, 0, 0, 0], [7, 3, 4, 5, 0, 0, 0]])
        tables = [np.arange(n, dtype="u4") for n in out.shape[1:]]
        return out.size, [flat, out, images, *tables]
    if name.partition(".")[0] in ("moments", "normalizing", "selecting"):
        return pixel_arguments(name, rng, dtype)
    if name == "patches.extract":
        src = rng.integers(0, 99, (2, 3, 5, 4)).astype("u2")
        layout = np.array([1, 1, 1, 0, 1, 1, 2])  # steps, padding, mirrored
        return 2 * 2 * 6 * 5 * 8, [src, np.empty((2, 2, 6, 5, 2, 2, 2), "u2"), layout, src[0, 0, 0]]
    if name == "patches.gather":
        src = rng.integers(0, 99, (2, 3, 5, 4)).astype("u2")
        corners = np.array([[0, 0, 0, 0], [1, 1, 3, 2], [1, 0, 2, 1]])
        return 3 * 8, [src, np.empty((3, 2, 2, 2), "u2"), corners]
    if name.startswith(("merging", "statistics")):
        return patch_arguments(name, rng)
    if name == "stacking.stack":
        src, out = rng.normal(9, 2, (7, 5)).astype(dtype), np.zeros((7, 8), dtype)
        return 5, [src, out, 2, np.ones(1, dtype), True, *np.zeros((3, 5), dtype)]
    if name.startswith("rbf.rbf"):
        dtype = name.rpartition(".")[2]
        left, right = rng.normal(size=(4, 3)).astype(dtype), rng.normal(size=(5, 3)).astype(dtype)
        norms = [(rows**2).sum(1) for rows in (left, right)]
        return 20, [left @ right.T, norms[0], norms[1][None], np.array([0.3], dtype)]
    if name.startswith("laplacian"):
        dtype = name.rpartition(".")[2]
        left, right = (rng.normal(size=shape).astype(dtype) for shape in ((10, 131), (2, 131, 70)))
        return 4 * 32, [left, right, np.array([0.01], dtype), np.empty((10, 70), dtype)]
    if name == "unfolding.unfold":
        src, starts = rng.normal(40, 9, 120).astype(dtype), np.array([3, -1, 17, 20])
        offsets = np.array([0, 1, 2, 7, 8, 9, 14, 15, 16, 30])
        parts = np.array([0.5, 0.25], "f4")
        out = np.empty((8, 10), "f4")
        return 8, [src, starts, offsets, np.full(1, 0.25, dtype), parts, out]
    if name == "responses.respond":
        # Whole numbers, of which sums in any order are the same.
        rows, atoms = (rng.integers(-9, 10, n).astype("f4") for n in ((36, 5), (2, 5, 64)))
        tiles = np.array([[0, 2], [12, 1]])
        return 2 * 2 * 2 * 16, [
            rows,
            atoms,
            tiles,
            np.full(1, 3, "f4"),
            np.empty((2, 2, 2, 128), "f4"),
        ]
    if name == "convolving.convolve":
        planes = np.zeros((2, 2, 2, 5, 6))
        planes[0, :, :, 1:-1, 1:-1] = rng.normal(size=(2, 2, 3, 4))
        norms, layout = np.full((2, 3, 4), 4.0), np.array([1, 0, 0, 0, 0, 1])
        return 24, [*planes, norms, norms.copy(), np.array([[0, 1], [1, 1]]), layout]
    if name == "arcs.arcs":
        rows = rng.normal(size=(4, 3))
        norms, gram = np.tile((rows**2).sum(1), (2, 1)), rows @ rows.T
        return 16, [gram, norms, norms.copy(), np.array([2, 3]), np.array([0.1])]
    if name.startswith("boxes"):
        return comparing_arguments(name.rpartition(".")[2], rng)
    raise AssertionError(f"the kernel {name} has no launch in this test")


def comparing_arguments(dtype, rng):
    """Make a launch that compares patches of 2 images with those of 64, one step apart."""
    from fastmm.kernels.boxes import LANES

    left, right = rng.normal(size=(2, 2, 4, 3)), rng.normal(size=(1, 2, 4, 3, LANES))
    moves = np.array([[0, 0, 0, 0, 0, 0, 1, 3, 2], [0, 0, 0, 0, 1, 1, 1, 2, 1]])
    sizes, out = np.array([2, 2, 2, 1, 1, 1, 0]), np.empty((1, 2, LANES), dtype)
    weights, gamma = np.array([1, 0.5], dtype), np.array([0.1], dtype)
    return out.size, [left.astype(dtype), right.astype(dtype), moves, weights, sizes, gamma, out]


def resampling(name, dtype, rng):
    from fastmm.image.places import Places, cubic_table, linear_table

    src, out = rng.normal(size=(2, 3, 5, 4)).astype(dtype), np.empty((2, 2, 4, 6), dtype)
    turned = np.array([[1.1, 0.3, -0.2, 0.1], [-0.2, 0.9, 0.1, 0.3], [0.2, 0.1, 0.7, -0.6]])
    if "axes" not in name:
        places = Places(turned, src.shape[1:], out.shape[1:])
        if name == "support.support":
            return out.size, [src < 1.5, np.empty(out.shape, bool), places.matrix, places.shift, 2]
        constants = np.array([7, 2.0**-places.shift], dtype)
        inside = np.empty(out.shape[1:], bool)
        return out.size, [src, out, inside, places.matrix, places.shift, constants]
    straight = turned * np.c_[np.eye(3), np.ones(3)]
    places = Places(straight, src.shape[1:], out.shape[1:])
    make = linear_table if name.endswith("linear") else cubic_table
    axes = [(places.along(o, o), src.shape[o + 1], places.shift, dtype) for o in range(3)]
    runs = np.array([places.run(o, o) for o in range(3)])
    return out.size, [src, out, np.full(1, 7, dtype), runs, *(t for a in axes for t in make(*a))]


def pixel_arguments(name, rng, dtype):
    """Make a launch of a kernel of intensities: 3 images of 20 pixels, a mask for each."""
    src, inside = rng.normal(9, 2, (3, 20)).astype(dtype), rng.integers(0, 2, (3, 20), np.uint8)
    table, pending = np.ones((3, 5), dtype), np.ones(3, np.uint8)
    limits = np.array([2.0**-40, 2.0**40, 2.0**120, 2.0**126])
    partial = np.abs(rng.normal(9, 1, (6, 3, 4))).astype(dtype)
    run = np.zeros((6, 3, 1), dtype)  # one: builds cut images into runs as suits them
    bounds, out = np.array([[-1, 2]], dtype), np.zeros((3, 20), dtype)
    found = {
        "moments.measure": (3, [src, inside, table, pending, False, run]),
        "moments.merge": (6, [partial, table, pending, np.zeros((6, 3, 2))]),
        "moments.settle": (3, [partial.astype("f8"), limits, False, table, pending]),
        "normalizing.normalize": (3, [src, inside, out, table, limits, False, bounds]),
        "normalizing.apply": (60, [src, out, table, bounds]),
        "selecting.select": (6, [src, inside, out[0], np.array([0.3, 0.8]), np.zeros((3, 2))]),
    }
    return found[name]


def patch_arguments(name, rng):
    """Make a launch of a kernel that joins or describes patches of 2 x 3 x 2 pixels."""
    if name == "merging.merge":
        src, out = (
            rng.normal(9, 2, (2, 2, 2, 2, 2, 3, 2)).astype("f4"),
            np.empty((2, 3, 5, 4), "f4"),
        )
        axes = [([0, 0, 1], [1, 2, 1]), ([0, 0, 0, 1, 1], [1, 1, 2, 1, 1])]
        axes.append(([0, 0, 1, 0], [1, 1, 1, 0]))
        tables = [np.array(table) for axis in axes for table in axis]
        layout = np.array([1, 2, 2, 0, 0, 0])
        return out.size, [src, out, layout, *tables, np.array([7], "f4")]
    real = name.rpartition(".")[2]
    src = rng.integers(0, 9, (2, 3, 5, 4)).astype(real)
    src[0, :, :3] = 4
    codes = np.arange(14)
    ranks = np.full((14, 2), 3, "i4" if real == "float32" else "i8") + [0, 5]
    weights, share = np.full((14, 2), 0.25, real), np.arange(13) / 12
    out = np.empty((2, 2, 2, 2, 14), real)
    layout = np.array([1, 2, 2, 0, 0, 0, 2, 3, 2, 5, 0, 1, 1])
    return 16, [src, out, layout, codes, ranks, weights, np.zeros(2, real), share.astype(real)]


KERNELS = pytest.mark.parametrize("name", sorted(all_kernels()))


def run(method, name):
    work, args = arguments(name)
    getattr(all_kernels()[name], method)(work, *args)
    return [a for a in args if isinstance(a, np.ndarray)]


@KERNELS
def test_serial_parallel_and_plain_python_agree(name):
    kernel = all_kernels()[name]
    results = {}
    for build in ("_serial", "_parallel", "_cpu"):
        _, args = arguments(name)
        getattr(kernel, build)(*args)
        results[build] = [a for a in args if isinstance(a, np.ndarray)]
    for ours, theirs in zip(results["_serial"], results["_parallel"], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(results["_serial"], results["_cpu"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@KERNELS
def test_inputs_are_read_only(name):
    _, before = arguments(name)
    _, after = arguments(name)
    all_kernels()[name].run_cpu(1, *after)
    outputs = {
        "moments.measure": [5],
        "moments.merge": [3],
        "moments.settle": [3, 4],
        "normalizing.normalize": [2, 3],
        "normalizing.apply": [1],
        "selecting.select": [4],
        "resizing": [1],
        "weighing": [1],
        "picking": [1],
        "patches": [1],
        "merging": [1],
        "statistics": [1],
        "stacking": [1, 5, 6, 7],
        "rbf": [0],
        "laplacian": [3],
        "arcs": [0],
        "convolving": [1],
        "boxes": [6],
        "resampling": [1, 2],
        "resampling_axes": [1],
        "resampling_cubic": [1, 2],
        "support": [1],
        "unfolding": [5],
        "responses": [4],
    }
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        if i not in outputs.get(name, outputs.get(name.partition(".")[0], [])):
            np.testing.assert_array_equal(old, new)


@pytest.mark.cudasim
@pytest.mark.skipif(not SIMULATED, reason="needs Numba's simulator (NUMBA_ENABLE_CUDASIM=1)")
@KERNELS
@pytest.mark.parametrize("threads", [(1, 1), (2, 3), (5, 64)])
def test_any_grid_gives_what_the_cpu_gives(name, threads):
    expected = run("run_cpu", name)
    work, args = arguments(name)
    all_kernels()[name]._device[threads](work, *args)
    got = [a for a in args if isinstance(a, np.ndarray)]
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("out_dtype", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["int16", "uint8", "uint16", "float32"])
def test_rescale_and_window_are_fused_per_image(xp, dtype, out_dtype):
    rng = np.random.default_rng(0)
    before, after = ((3, 4), (2, 3)) if xp.small else ((31, 45), (20, 64))
    images = rng.integers(0, 200, (3, *before)).astype(dtype)
    slopes, intercepts = [1.0, 0.5, 2.0], [-100.0, 0.0, 3.5]
    space, (src,), leave = enter(images=xp.asarray(images))
    out = space.xp.empty((3, 1, *after), out_dtype)
    resize_linear(space, canonical(src, 2), out, Rescale(slopes, intercepts, -20.0, 150.0))
    rescaled = [
        np.clip(i * s + b, -20, 150)
        for i, s, b in zip(images.astype(np.float64), slopes, intercepts, strict=True)
    ]
    expected = naive.resize(np.stack(rescaled), after)
    np.testing.assert_allclose(xp.asnumpy(leave(out))[:, 0], expected, rtol=0, atol=1e-4)


def test_tables_end_inside_the_image_at_every_size():
    from fastmm._interp import linear_tables

    for before in (1, 2, 3, 7, 1000, 65_537):
        for after in (1, 2, 3, 5, 999, 70_001):
            first, second, weight = linear_tables(before, after, "f")
            assert first.dtype == second.dtype == np.uint32
            assert second.max() < before
            assert np.all((second == first) | (second == first + 1))
            assert np.all((weight >= 0) & (weight <= 1))


def test_an_axis_beyond_its_table_is_refused():
    from fastmm._interp import linear_tables

    with pytest.raises(ValueError, match="at most 2\\^32 pixels, got 4294967297"):
        linear_tables(2**32 + 1, 1, "f")
