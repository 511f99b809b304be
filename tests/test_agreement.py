"""Any dtype, layout and odd shape gives what a plain contiguous array on the CPU gives.

On the CPU exactly; on a GPU as closely as the two devices promise to agree: 1e-6 of the
greatest value for images, 1e-5 for float32 features and predictions, 1e-10 for float64.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import fastmm
from fastmm._space import enter

# Each dtype is a build of each kernel: on the CPU, where they are compiled anew, three.
PLACES = [("numpy", dtype) for dtype in ("int16", "float32", "float64")] + [
    pytest.param("cupy", dtype, marks=pytest.mark.gpu)
    for dtype in ("uint8", "int16", "uint16", "int32", "float16", "float32", "float64")
]
SHAPES = [(1, 9, 33), (3, 17, 23), (2, 31, 8), (5, 24, 64)]


def contiguous(x: Any, xp: Any) -> Any:
    return x


def fortran(x: Any, xp: Any) -> Any:
    return xp.asfortranarray(x)


def strided(x: Any, xp: Any) -> Any:
    wide = xp.zeros((x.shape[0], x.shape[1], 2 * x.shape[2]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def backwards(x: Any, xp: Any) -> Any:
    return xp.ascontiguousarray(x[::-1, :, ::-1])[::-1, :, ::-1]


def window_of_larger(x: Any, xp: Any) -> Any:
    large = xp.zeros(tuple(n + 3 for n in x.shape), x.dtype)
    large[1:-2, 2:-1, 1:-2] = x
    return large[1:-2, 2:-1, 1:-2]


LAYOUTS = [contiguous, fortran, strided, backwards, window_of_larger]

IMAGES = {
    "resize nearest": lambda x: fastmm.resize(x, (11, 14), interpolation="nearest"),
    "resize linear": lambda x: fastmm.resize(x, (11, 14)),
    "resize linear, antialias": lambda x: fastmm.resize(x, (7, 5), antialias=True),
    "resize cubic": lambda x: fastmm.resize(x, (40, 14), interpolation="cubic"),
    "resize area": lambda x: fastmm.resize(x, (4, 5), interpolation="area"),
    "resize 3-D": lambda x: fastmm.resize(x, (2, 11, 14)),
    "window": lambda x: fastmm.window(x, 100, 150),
    "zscore": fastmm.normalize,
    "minmax": lambda x: fastmm.normalize(x, "minmax"),
    "percentile": lambda x: fastmm.normalize(x, "percentile"),
    "patches": lambda x: fastmm.extract_patches(x, (3, 4), step=2),
    "merge": lambda x: fastmm.merge_patches(
        fastmm.extract_patches(x, (3, 4), step=1), tuple(x.shape[-2:])
    ),
    "statistics": lambda x: fastmm.patch_statistics(x, (5, 6), step=3),
    "preprocess": lambda x: fastmm.preprocess(x, (12, 10), window=(90, 200), normalize="zscore"),
    "stack": lambda x: fastmm.stack_features({"a": x[0], "b": x[0, :, ::2]}).X,
}
ROWS = {
    "linear kernel": fastmm.linear_kernel,
    "polynomial kernel": fastmm.polynomial_kernel,
    "rbf kernel": lambda x: fastmm.rbf_kernel(x, gamma=1e-5),
    "laplacian kernel": lambda x: fastmm.laplacian_kernel(x, gamma=1e-4),
    "ridge": lambda x: fastmm.Ridge(alpha=10.0).fit(x, target(x)).predict(x),
    "ridge search": lambda x: fastmm.RidgeCV((1e2, 1e4)).fit(x, target(x)).cv_predictions_,
    "kernel ridge": lambda x: (
        fastmm.KernelRidge(kernel="rbf", gamma=1e-5, alpha=1.0).fit(x, target(x)).predict(x)
    ),
    "least squares svm": lambda x: (
        fastmm.LSSVC(C=1.0, gamma=1e-5).fit(x, labels(x)).decision_function(x)
    ),
}


@pytest.mark.parametrize(("xp_any", "dtype"), PLACES, indirect=["xp_any"])
@pytest.mark.parametrize("name", IMAGES)
def test_images(xp_any, name, dtype):
    agree(xp_any, IMAGES[name], dtype, lambda x: x, 1e-6)


@pytest.mark.parametrize(("xp_any", "dtype"), PLACES, indirect=["xp_any"])
@pytest.mark.parametrize("name", ROWS)
def test_rows(xp_any, name, dtype):
    agree(xp_any, ROWS[name], dtype, lambda x: x[0], 1e-5)


def agree(arrays: Any, operator: Any, dtype: str, part: Any, tolerance: float) -> None:
    for shape, layout in product(SHAPES, LAYOUTS):
        host = values(shape, dtype)
        expected = np.asarray(operator(part(host)))
        given = part(layout(arrays.asarray(host), arrays.namespace))
        found = arrays.asnumpy(operator(given))
        where = f"{shape}, {layout.__name__}"
        assert found.dtype == expected.dtype, where
        assert found.shape == expected.shape, where
        if arrays.name == "numpy":
            np.testing.assert_array_equal(found, expected, err_msg=where)
            continue
        if expected.dtype == np.float64:
            tolerance = 1e-10
        scale = max(float(np.abs(expected).max()), 1e-300)
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale, err_msg=where)


def values(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    whole = np.random.default_rng(sum(shape)).uniform(0, 255, shape)
    return whole.astype(dtype)  # integers are cut, floats keep their fractions


def target(x: Any) -> Any:
    y = np.sin(np.arange(x.shape[0]))
    return enter(x=x)[0].xp.asarray(y)


def labels(x: Any) -> np.ndarray:
    return np.arange(x.shape[0]) % 2
