"""Kernels without compilation, in any number of threads and array library, by one way in."""

from __future__ import annotations

import ast
from importlib.util import find_spec

import numpy as np
from harness import ROOT, run_python

import fastmm
from fastmm._space import Space


def test_no_work_launches_nothing():
    Space("cpu").launch(None, 0)


def test_numba_is_reached_through_one_file():
    importers, users = set(), set()
    parts = {"_caching", "_intrinsics", "_launching", "_newer_numpy", "_overloading", "_registers"}
    for path in [*ROOT.glob("kernels/*.py"), *ROOT.glob("fastmm/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if any(n.split(".")[0] in ("numba", "llvmlite") for n in names):
                importers.add(path.relative_to(ROOT).as_posix())
            if any(n.split(".")[-1] in parts for n in names):
                users.add(path.relative_to(ROOT).as_posix())
    files = {f"kernels/{part}.py" for part in parts}
    assert importers == {"kernels/_jit.py", *files}
    assert users - files == {"kernels/_jit.py"}


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
