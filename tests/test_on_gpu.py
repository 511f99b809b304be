"""What only a GPU can show: its memory ends, its streams run apart, its arrays are huge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastmm
from fastmm.errors import DeviceMemoryError

pytestmark = pytest.mark.gpu
GIB = 1 << 30


@pytest.fixture
def cupy() -> Any:
    from conftest import gpu_fault

    fault = gpu_fault()
    if fault is not None:
        pytest.skip(f"no usable GPU: {fault}")
    module = pytest.importorskip("cupy")
    yield module
    module.get_default_memory_pool().set_limit(size=0)
    module.get_default_memory_pool().free_all_blocks()


def need(cupy: Any, size: int) -> None:
    free, _ = cupy.cuda.runtime.memGetInfo()
    if free < size:
        pytest.skip(f"needs {size / GIB:.0f} GiB of GPU memory, and {free / GIB:.0f} are free")


def test_memory_that_ends_is_told_and_there_again_after(cupy: Any) -> None:
    pool = cupy.get_default_memory_pool()
    images = cupy.ones((64, 256, 256), np.float32)
    rows = cupy.asarray(np.random.default_rng(0).standard_normal((2000, 300)))
    pool.free_all_blocks()
    pool.set_limit(size=pool.total_bytes() + (4 << 20))
    calls = (
        lambda: fastmm.resize(images, (512, 512)),
        lambda: fastmm.extract_patches(images, (16, 16)),
        lambda: fastmm.rbf_kernel(rows),
        lambda: fastmm.Ridge().fit(rows, rows[:, 0]),
        lambda: fastmm.KernelRidge(kernel="rbf").fit(rows, rows[:, 0]),
    )
    for call in calls:
        with pytest.raises(DeviceMemoryError, match="out of memory"):
            call()
    pool.set_limit(size=0)
    assert fastmm.resize(images, (512, 512)).shape == (64, 512, 512)


def test_work_goes_to_the_current_stream(cupy: Any) -> None:
    # The stream is kept busy before the input is written: on another one, or without waiting
    # for it, the operators would read what was there before.
    host = np.random.default_rng(0).standard_normal((64, 200, 200)).astype(np.float32)
    right = fastmm.resize(fastmm.normalize(host), (90, 70))
    ready, busy = cupy.asarray(host), cupy.ones((4096, 4096), np.float32)
    images = cupy.zeros_like(ready)
    cupy.cuda.runtime.deviceSynchronize()
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        for _ in range(20):
            busy = busy @ busy * np.float32(1e-4)
        images[...] = ready
        found = fastmm.resize(fastmm.normalize(images), (90, 70))
    stream.synchronize()
    np.testing.assert_allclose(found.get(), right, rtol=0, atol=1e-6 * np.abs(right).max())


@pytest.mark.parametrize("elements", [1 << 31, 1 << 32])
@pytest.mark.parametrize(
    ("name", "dtype", "shape", "bytes_per_element", "call"),
    [
        ("resize", "uint8", (256, 256), 2, lambda x: fastmm.resize(x, (9, 8))),
        ("area", "uint8", (256, 256), 2,
         lambda x: fastmm.resize(x, (9, 8), interpolation="area")),
        ("window", "uint8", (256, 256), 6, lambda x: fastmm.window(x, 100, 150)),
        ("zscore", "uint8", (256, 256), 7, fastmm.normalize),
        ("percentile", "uint8", (256, 256), 24, lambda x: fastmm.normalize(x, "percentile")),
        ("patches", "uint8", (256, 256), 3,
         lambda x: fastmm.extract_patches(x, (128, 128), step=128)),
        ("stack", "float32", (65536,), 13, lambda x: fastmm.stack_features({"a": x}).X),
    ],
)  # fmt: skip
def test_elements_past_32_bits(
    cupy: Any, name: str, dtype: str, shape: Any, bytes_per_element: int, call: Any, elements: int
) -> None:
    count = elements // int(np.prod(shape)) + 5
    need(cupy, int(elements * bytes_per_element * 1.3) + GIB)
    values = cupy.asarray(np.random.default_rng(0).integers(0, 200, (8, *shape)).astype(dtype))
    many = cupy.zeros((count, *shape), dtype)
    many[-8:] = values
    found = call(many)
    if name == "stack":  # standardised by all rows: those at the end are beyond the rest
        sums = values.astype(np.float64).sum(axis=0)
        squares = (values.astype(np.float64) ** 2).sum(axis=0)
        mean, variance = sums / count, squares / count - (sums / count) ** 2
        right = (values - mean) / cupy.sqrt(variance)
    else:
        right = call(values)
    last = found[-8:].astype(np.float64)
    scale = float(abs(right).max())
    assert float(abs(last - right).max()) <= 1e-5 * scale


def test_ten_runs_give_the_same_bits(cupy: Any) -> None:
    rng = np.random.default_rng(0)
    images = cupy.asarray(rng.standard_normal((20, 130, 130)).astype(np.float32))
    rows = cupy.asarray(rng.standard_normal((600, 80)))
    y = rows @ cupy.asarray(rng.standard_normal(80))
    groups = np.arange(600) // 6
    labels = (np.arange(600) % 2).astype(np.int64)
    calls = (
        lambda: fastmm.normalize(images),
        lambda: fastmm.normalize(images, "percentile"),
        lambda: fastmm.patch_statistics(images, (16, 16), step=8),
        lambda: fastmm.rbf_kernel(rows),
        lambda: fastmm.patch_kernel(images[:, :40, :40], patch_size=(8, 8)),
        lambda: fastmm.RidgeCV((0.1, 10.0)).fit(rows, y, groups=groups).cv_predictions_,
        lambda: fastmm.KernelRidge(kernel="rbf").fit(rows, y).predict(rows),
        lambda: fastmm.LSSVCCV((1.0,)).fit(rows, labels, groups=groups).cv_decision_,
        lambda: fastmm.SVC().fit(rows, labels).decision_function(rows),
    )
    for call in calls:
        first = call().tobytes()
        assert all(call().tobytes() == first for _ in range(9))


def test_tensors_of_torch_enter_and_leave(cupy: Any) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("this build of PyTorch sees no GPU")
    host = np.random.default_rng(0).standard_normal((3, 20, 30)).astype(np.float32)
    found = fastmm.resize(torch.from_numpy(host).cuda(), (9, 8))
    assert isinstance(found, torch.Tensor)
    assert found.is_cuda
    np.testing.assert_allclose(found.cpu().numpy(), fastmm.resize(host, (9, 8)), atol=1e-5)
