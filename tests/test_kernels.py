"""The kernel contract: both builds, both arithmetics, any launch, the same numbers."""

from __future__ import annotations

import ast
from importlib.util import find_spec

import naive
import numpy as np
import pytest
from harness import ROOT, SIMULATED, all_kernels, run_python

import fastmm
from fastmm._interp import Rescale, canonical, resize_linear
from fastmm._space import Space, enter


def arguments(name, dtype="float32", seed=0):
    """Make a launch of the named kernel: its work and fresh arguments."""
    rng = np.random.default_rng(seed)
    if name == "resizing.linear":
        from fastmm._interp import linear_tables

        src, out = rng.normal(size=(2, 3, 5, 4)).astype(dtype), np.empty((2, 2, 4, 6), dtype)
        scale = [np.array([1, 2], dtype), np.array([0, 3], dtype), np.array([-1, 4], dtype)]
        tables = [
            table
            for before, after in zip(src.shape[1:], out.shape[1:], strict=True)
            for table in linear_tables(before, after, np.dtype(dtype).char)
        ]
        return out.size, [src, out, *scale, *tables]
    if name == "patches.extract":
        src = rng.integers(0, 99, (2, 3, 5, 4)).astype("u2")
        return 2 * 24 * 8, [src, np.empty((2, 2, 4, 3, 2, 2, 2), "u2"), np.ones(3, np.int64)]
    if name == "stacking.stack":
        src, out = rng.normal(9, 2, (7, 5)).astype(dtype), np.zeros((7, 8), dtype)
        return 5, [src, out, 2, np.ones(1, dtype), True, *np.zeros((3, 5), dtype)]
    if name.startswith("rbf.rbf"):
        dtype = name.rpartition(".")[2]
        left, right = rng.normal(size=(4, 3)).astype(dtype), rng.normal(size=(5, 3)).astype(dtype)
        norms = [(rows**2).sum(1) for rows in (left, right)]
        return 20, [left @ right.T, *norms, np.array([0.3], dtype)]
    raise AssertionError(f"the kernel {name} has no launch in this test")


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
    outputs = {"resizing": [1], "patches": [1], "stacking": [1, 5, 6, 7], "rbf": [0]}
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        if i not in outputs[name.partition(".")[0]]:
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


def test_no_work_launches_nothing():
    Space("cpu").launch(None, 0)


def test_only_one_file_imports_numba_and_one_asks_where_arrays_live():
    importers = set()
    for path in [*ROOT.glob("kernels/*.py"), *ROOT.glob("fastmm/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            if any(n == "numba" or n.startswith("numba.") for n in names):
                importers.add(path.relative_to(ROOT).as_posix())
    assert importers == {"kernels/_jit.py"}


def test_kernels_are_no_package():
    assert not (ROOT / "kernels" / "__init__.py").exists()
    assert find_spec("fastmm.kernels._jit").origin == str(ROOT / "kernels" / "_jit.py")


def test_without_compilation_the_numbers_are_the_same():
    # Plain Python is what coverage and debuggers see.
    code = """
        import sys; sys.path.append("tests")
        import naive, numpy as np, fastmm
        images = np.random.default_rng(0).normal(40, 9, (2, 9, 8)).astype("f4")
        from fastmm.kernels import _jit
        _jit._MIN_PARALLEL_WORK = 1
        shape = (5, 11)
        np.testing.assert_allclose(fastmm.resize(images, shape), naive.resize(images, shape), 1e-5)
        np.testing.assert_array_equal(
            fastmm.extract_patches(images, (3, 2)), naive.extract_patches(images, (3, 2), (1, 1)))
        np.testing.assert_allclose(
            fastmm.stack_features({"a": images[0]}).X, naive.standardize(images[0]), atol=1e-5)
        for dtype in ("f4", "f8"):
            X = images[0].astype(dtype)
            np.testing.assert_allclose(
                fastmm.rbf_kernel(X, gamma=0.01), naive.rbf(X, X, 0.01), atol=1e-5)
        print("done")
    """
    assert "done" in run_python(code, cwd=ROOT, NUMBA_DISABLE_JIT="1")


def test_results_do_not_depend_on_the_number_of_threads():
    code = """
        import hashlib, numpy as np, fastmm
        images = np.random.default_rng(0).normal(40, 9, (3, 120, 130)).astype("f4")
        for got in (fastmm.resize(images, (150, 140)), fastmm.rbf_kernel(images[0], gamma=.01),
                    fastmm.stack_features({"a": images}).X):
            print(hashlib.sha256(got.tobytes()).hexdigest())
    """
    one = run_python(code, NUMBA_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    assert one == run_python(code, NUMBA_NUM_THREADS="2", OPENBLAS_NUM_THREADS="1")


def test_every_operator_in_any_array_library(xp):
    images = np.random.default_rng(1).normal(10, 3, (3, 4, 5)).astype(np.float32)
    rows = images.reshape(3, -1)
    for call, array in (
        (lambda a: fastmm.resize(a, (3, 3)), images),
        (lambda a: fastmm.resize(a, (2, 3, 4)), images),
        (lambda a: fastmm.extract_patches(a, (2, 3)), images),
        (lambda a: fastmm.stack_features({"a": a}).X, rows),
        (lambda a: fastmm.rbf_kernel(a, gamma=0.02), rows),
        (lambda a: fastmm.linear_kernel(a), rows),
        (lambda a: fastmm.window(a, 10, 6), images),
        (lambda a: fastmm.normalize(a), images),
    ):
        got, expected = xp.asnumpy(call(xp.asarray(array))), call(array)
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
