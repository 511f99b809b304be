"""Every public name runs on the arrays of a CuPy that is as strict as the real one.

No GPU is needed: the arrays are NumPy's underneath, and kernels run in their CPU build. What
this shows is that calls use only what CuPy has, mix nothing of the host in, and stay where
they were given.
"""

from __future__ import annotations

import copy
import pickle
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from strict_array import ndarray
from strict_cupy import LAUNCHES, forget, leave_room, use
from strict_libraries import use_cucim, use_torch

import fastmm
from fastmm._device_memory import tells_of_memory
from fastmm.errors import DeviceMemoryError

RNG = np.random.default_rng(0)
X = RNG.normal(2.0, 1.0, (24, 5)).astype(np.float32)
Y = (X @ np.arange(5.0) + RNG.normal(size=24)).astype(np.float64)
CODES = (X[:, 0] > 2).astype(np.int64)
GROUPS = np.arange(24) // 3
IMAGES = RNG.normal(size=(24, 10, 9)).astype(np.float32)
MASK = (RNG.random(IMAGES.shape) > 0.2).astype(np.uint8)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    use(monkeypatch)
    use_cucim(monkeypatch)
    yield __import__("cupy")
    monkeypatch.undo()
    forget()


def fitted(model: Any, x: Any, y: Any, there: Any, **more: Any) -> list[Any]:
    """Fit, and return all that the model then says of rows."""
    model.fit(there(x), there(y), **more)
    names = ("predict", "decision_function", "transform")
    told = [getattr(model, name)(there(x[:4])) for name in names if hasattr(model, name)]
    held_out = ("cv_predictions_", "cv_decision_", "coef_", "intercept_", "dual_coef_")
    told += [getattr(model, name) for name in held_out if hasattr(model, name)]
    assert type(pickle.loads(pickle.dumps(model))) is type(copy.deepcopy(model)) is type(model)
    return told


def rows(model: Any, y: Any = Y, **more: Any) -> Any:
    return lambda there: fitted(copy.deepcopy(model), X, y, there, groups=GROUPS, **more)


def volume(there: Any) -> Any:
    array = IMAGES[:4, :5, :6].copy()
    valid = there(np.ones((4, 5, 6), bool))
    return fastmm.Volume(there(array), "HU", (1.0, 1.0, 1.0), np.eye(4), valid)


WEIGHT = np.linspace(0.5, 2, 24)
# For each public name, calls that take arrays, of a function that brings arrays to a device.
CALLS: dict[str, list[Any]] = {
    "DensePatchRidge": [
        lambda there: fitted(fastmm.DensePatchRidge((3, 4)), IMAGES, Y, there),
        lambda there: fitted(
            fastmm.DensePatchRidge((3, 3), 2, alphas=(0.1, 1.0)), IMAGES, Y, there, groups=GROUPS
        ),
    ],
    "FeatureMachineClassifier": [rows(fastmm.FeatureMachineClassifier(iterations=1), CODES)],
    "FeatureMachineRegressor": [rows(fastmm.FeatureMachineRegressor(iterations=1))],
    "FisherVectors": [
        lambda there: fitted(
            fastmm.FisherVectors((2,), n_gaussians=2, n_components=3, rounds=2, n_descriptors=200),
            np.tile(IMAGES[:6], (1, 3, 3)),
            Y[:6],
            there,
        )
    ],
    "KernelRidge": [
        rows(fastmm.KernelRidge(kernel=kernel, gamma=0.1, alpha=0.5, fit_intercept=True))
        for kernel in ("linear", "rbf", "laplacian", "poly", "ntk")
    ],
    "KernelRidgeCV": [rows(fastmm.KernelRidgeCV(kernel="rbf", gamma=[0.1, 1.0]))],
    "LSSVC": [rows(fastmm.LSSVC(class_weight="balanced"), CODES), rows(fastmm.LSSVC(), CODES % 3)],
    "LSSVCCV": [rows(fastmm.LSSVCCV((0.1, 1.0)), CODES), rows(fastmm.LSSVCCV(cv=3), CODES)],
    "LinearCombination": [
        rows(fastmm.LinearCombination()), rows(fastmm.LinearCombination(positive=True)),
    ],
    "NystromFeatures": [
        lambda there: fitted(fastmm.NystromFeatures(gamma=0.1, n_components=6), X, Y, there)
    ],
    "PatchDictionary": [
        lambda there: fitted(
            fastmm.PatchDictionary((3, 3), 4, pool=2, n_patches=100, rounds=2), IMAGES, Y, there
        )
    ],
    "Ridge": [
        rows(fastmm.Ridge(1.0)), rows(fastmm.Ridge(0.0, fit_intercept=False)),
        lambda there: fitted(fastmm.Ridge(1.0), X, Y, there, sample_weight=there(WEIGHT)),
        lambda there: fitted(fastmm.Ridge(1.0), X, np.stack([Y, -Y], 1), there),
    ],
    "RidgeCV": [
        rows(fastmm.RidgeCV((0.1, 1.0))), rows(fastmm.RidgeCV((0.1, 1.0), cv=4)),
        lambda there: fitted(fastmm.RidgeCV((0.1, 1.0)), X, Y, there, sample_weight=there(WEIGHT)),
    ],
    "RidgeClassifier": [rows(fastmm.RidgeClassifier(), CODES)],
    "RidgeClassifierCV": [rows(fastmm.RidgeClassifierCV(), CODES)],
    "SVC": [rows(fastmm.SVC(gamma=0.1), CODES), rows(fastmm.SVC(kernel="linear"), CODES)],
    "arccos_kernel": [lambda there: fastmm.arccos_kernel(there(X), there(X[:3]), depth=2)],
    "clip_histogram": [lambda there: fastmm.clip_histogram(there(IMAGES))],
    "convolutional_kernel": [lambda there: fastmm.convolutional_kernel(there(IMAGES[:4]))],
    "denoise": [
        lambda there: fastmm.denoise(there(IMAGES)),
        lambda there: fastmm.denoise(there(IMAGES[:3]), "tv"),
    ],
    "equalize": [lambda there: fastmm.equalize(there(IMAGES[:3]), tile=4)],
    "extract_patches": [lambda there: fastmm.extract_patches(there(IMAGES), (3, 4), step=2)],
    "laplacian_kernel": [lambda there: fastmm.laplacian_kernel(there(X))],
    "linear_kernel": [lambda there: fastmm.linear_kernel(there(X), there(X[:3]))],
    "merge_patches": [
        lambda there: fastmm.merge_patches(
            fastmm.extract_patches(there(IMAGES), (3, 4)), (10, 9)
        )
    ],
    "normalize": [
        lambda there: fastmm.normalize(there(IMAGES), mask=there(MASK)),
        lambda there: fastmm.normalize(there(IMAGES), "minmax"),
        lambda there: fastmm.normalize(there(IMAGES), "percentile", mask=there(MASK)),
    ],
    "ntk_kernel": [lambda there: fastmm.ntk_kernel(there(X), bias=0.1)],
    "patch_kernel": [
        lambda there: fastmm.patch_kernel(there(IMAGES), patch_size=(3, 4), shifts=1),
        lambda there: fastmm.patch_kernel(there(IMAGES), patch_size=(3, 4), kernel="linear"),
    ],
    "patch_statistics": [lambda there: fastmm.patch_statistics(there(IMAGES), (4, 4), step=2)],
    "polynomial_kernel": [lambda there: fastmm.polynomial_kernel(there(X))],
    "preprocess": [
        lambda there: fastmm.preprocess(there(IMAGES), (5, 6), window=(0, 3), normalize="zscore")
    ],
    "rbf_kernel": [
        lambda there: fastmm.rbf_kernel(there(X), there(X[:3])),
        lambda there: fastmm.rbf_kernel(there(X), gamma="scale", memory_limit="90kB"),
    ],
    "resample": [
        lambda there, name=name: fastmm.resample(
            volume(there), spacing=(2, 1, 1), interpolation=name
        ).array
        for name in ("nearest", "linear", "cubic")
    ],
    "resize": [
        *(
            lambda there, name=name: fastmm.resize(there(IMAGES), (5, 12), interpolation=name)
            for name in ("nearest", "linear", "cubic", "area")
        ),
        lambda there: fastmm.resize([there(IMAGES[0]), there(IMAGES[1][:, :5])], (5, 12)),
    ],
    "sample_patches": [lambda there: fastmm.sample_patches(there(IMAGES), (3, 3), 7)],
    "stack_features": [
        lambda there: fastmm.stack_features({"a": there(X), "b": there(X[:, :2])}).X
    ],
    "window": [lambda there: fastmm.window(there(IMAGES), 0, 2)],
}  # fmt: skip
NO_ARRAYS = {
    *("__version__", "datasets", "errors", "plan", "scan", "SeriesInfo", "read_volume"),
    *("load_images", "ImageModality", "TableModality"),  # files and tables; loading: test_batch
    *("MultimodalClassifier", "MultimodalRegressor"),  # of examinations, on the host
    *("load_model", "save_model", "metrics", "streaming"),  # what is on the host, or is given
    *("StackedFeatures", "Volume"),  # hold arrays, and do nothing with them
    "DeepClassifier",  # PyTorch: see below
}
CASES = [
    pytest.param(call, id=f"{n}-{i}") for n, calls in CALLS.items() for i, call in enumerate(calls)
]


def test_every_public_name_is_here() -> None:
    assert set(CALLS) | NO_ARRAYS == set(fastmm.__all__)
    assert not set(CALLS) & NO_ARRAYS


@pytest.mark.parametrize("call", CASES)
def test_stays_on_the_device_and_gives_what_the_host_gives(cupy: Any, call: Any) -> None:
    expected = flat(call(lambda array: array))
    for found, right in zip(flat(call(cupy.asarray)), expected, strict=True):
        if isinstance(right, np.ndarray) and right.dtype.kind == "f":
            assert isinstance(found, ndarray), type(found)
        host = found.get() if isinstance(found, ndarray) else np.asarray(found)
        assert (host.shape, host.dtype) == (np.shape(right), np.asarray(right).dtype)
        np.testing.assert_allclose(host, right, rtol=1e-4, atol=1e-5 * max(1, np.abs(right).max()))


def test_networks_take_arrays_of_the_device(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    use_torch(monkeypatch)
    told = []
    for there in (cupy.asarray, np.asarray):
        model = fastmm.DeepClassifier(max_epochs=1, width=4, n_features=8, random_state=0)
        blocks = {"ct": there(IMAGES), "table": there(X)}
        model.fit(blocks, there(CODES), sample_weight=there(WEIGHT), groups=there(GROUPS))
        told.append(
            [getattr(model, name)(blocks) for name in ("predict", "predict_proba", "embed")]
        )
    for found, right in zip(*told, strict=True):
        assert isinstance(found, ndarray)
        np.testing.assert_array_equal(found.get(), right)


@pytest.mark.parametrize("call", [calls[0] for calls in CALLS.values()], ids=list(CALLS))
def test_a_device_out_of_memory_is_told_in_our_own_terms(cupy: Any, call: Any) -> None:
    leave_room(0)
    with pytest.raises(DeviceMemoryError, match="out of memory"):
        call(cupy.asarray)
    leave_room(5)  # some need no more than this
    with suppress(DeviceMemoryError):
        call(cupy.asarray)


def test_a_host_out_of_memory_stays_what_it_is() -> None:
    fault = MemoryError("of the host")

    @tells_of_memory
    def fail() -> None:
        raise fault

    with pytest.raises(MemoryError) as caught:
        fail()
    assert caught.value is fault


def flat(told: Any) -> list[Any]:
    return list(told) if isinstance(told, (list, tuple)) else [told]


REFUSALS = {
    "a NumPy array beside it": lambda a: a + np.ones(3),
    "the same, on the left": lambda a: np.ones(3) * a,
    "a NumPy array in a function": lambda a: __import__("cupy").where(a > 0, a, np.zeros(3)),
    "turning into a NumPy array": np.asarray,
    "an index": lambda a: [1, 2][a[0].astype(int)],
    "a method of NumPy's": lambda a: a.argsort(stable=True),
    "a keyword of NumPy's": lambda a: a.sum(where=a > 0),
    "rounding a scalar": lambda a: round(a.sum()),
    "flags of NumPy's": lambda a: a.flags.writeable,
    "a function that CuPy lacks": lambda a: __import__("cupy").geomspace(1, 2),
    "host values into a row": lambda a: a.__setitem__(slice(0, 2), np.ones(2)),
    "a list in a function": lambda a: __import__("cupy").sum([1, 2]),
    "right sides of another batch": lambda a: __import__("cupy").linalg.solve(
        __import__("cupy").eye(3)[None], a[:, None]
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_the_stand_in_refuses(cupy: Any, name: str) -> None:
    with pytest.raises((TypeError, AttributeError, ValueError)):
        REFUSALS[name](cupy.asarray(np.ones(3)))


def test_the_stand_in_is_like_cupy(cupy: Any) -> None:
    a = cupy.arange(3.0)
    assert isinstance(a[0], ndarray)
    assert isinstance(a.sum(), ndarray)
    assert isinstance(np.sqrt(a), ndarray)
    first = a[0]
    a[0] = 7
    assert float(first) == 7  # a view, where NumPy would give a number
    assert bool(cupy.isnan(cupy.empty(3)).all())
    indefinite = cupy.asarray(np.diag([1.0, -1.0]))
    assert bool(cupy.isnan(cupy.linalg.cholesky(indefinite)).all())
    with __import__("cupyx").errstate(linalg="raise"), pytest.raises(np.linalg.LinAlgError):
        cupy.linalg.cholesky(indefinite)


def test_a_kernel_takes_no_array_of_the_host(cupy: Any) -> None:
    from fastmm.kernels._jit import Kernel

    LAUNCHES.clear()
    fastmm.window(cupy.asarray(IMAGES), 0, 2)
    (key,) = LAUNCHES
    with pytest.raises(TypeError, match="of the host"):
        Kernel.run_cuda(LAUNCHES[key], 3, 0, np.ones(3))
