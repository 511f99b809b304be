"""Devices: their names, arguments on two of them, and what is said where CUDA is broken."""

from __future__ import annotations

import logging
import sys
from types import ModuleType

import numpy as np
import pytest
from harness import SIMULATED

import fastmm
from fastmm import _space


class Elsewhere:
    """An array on another device, as DLPack sees it."""

    def __init__(self, kind):
        self.kind = kind

    def __dlpack_device__(self):
        return self.kind, 0

    def __dlpack__(self, **_):
        raise BufferError("this device shares nothing")

    def __len__(self):
        return 1


def test_an_unknown_device_is_named():
    with pytest.raises(TypeError, match="`images` lives on a device of DLPack type 10; CPU and"):
        fastmm.resize(Elsewhere(10), (2, 2))


def test_an_array_that_cannot_be_shared_says_why():
    with pytest.raises(TypeError, match=r"`images` \(Elsewhere\) .* this device shares nothing"):
        fastmm.resize(Elsewhere(1), (2, 2))


@pytest.fixture
def other_device(monkeypatch):
    """An array that fastmm takes to live on a GPU, with or without one."""
    cupy = ModuleType("cupy")
    cupy.from_dlpack = lambda array: array
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    namespace = ModuleType("elsewhere")
    namespace.from_dlpack = lambda array: array
    monkeypatch.setattr(Elsewhere, "__array_namespace__", lambda self: namespace, raising=False)
    return Elsewhere(2)


@pytest.mark.parametrize(
    "call",
    [
        lambda here, there: fastmm.rbf_kernel(here, there),
        lambda here, there: fastmm.linear_kernel(here, there),
        lambda here, there: fastmm.normalize(here, mask=there),
    ],
)
def test_arguments_on_two_devices_are_refused(other_device, call):
    with pytest.raises(TypeError, match=r"lives on the cpu but `\w+` lives on cuda:0; move one"):
        call(np.eye(3), other_device)


def test_blocks_on_two_devices_are_refused(other_device):
    with pytest.raises(TypeError, match=r"`blocks\['a'\]` lives on the cpu but `blocks\['b'\]`"):
        fastmm.stack_features({"a": np.eye(3), "b": other_device})


def test_new_rows_on_another_device_than_the_fit_are_refused(monkeypatch):
    fitted = fastmm.stack_features({"a": np.eye(3)})
    real = _space._take_in

    def everything_new_is_elsewhere(array, name):
        space, taken, leave = real(array, name)
        return (_space.Space("cuda", 1) if name.startswith("blocks") else space), taken, leave

    monkeypatch.setattr(_space, "_take_in", everything_new_is_elsewhere)
    monkeypatch.setattr(_space.Space, "xp", np)
    with pytest.raises(TypeError, match="stacked on the cpu but `blocks` live on cuda:1"):
        fitted.apply({"a": np.eye(3)})


@pytest.mark.cudasim
@pytest.mark.skipif(not SIMULATED, reason="needs Numba's simulator (NUMBA_ENABLE_CUDASIM=1)")
def test_the_simulator_is_another_device():
    from numba import cuda

    with pytest.raises(TypeError, match="`X` lives on the cpu but `Y` lives on the simulator"):
        fastmm.rbf_kernel(np.eye(3), cuda.to_device(np.eye(3)))


@pytest.mark.parametrize("device", ["gpu", "CUDA", "", None, 0])
def test_a_device_has_one_of_three_names(device):
    with pytest.raises(ValueError, match='`device` must be one of "auto", "cpu", "cuda"'):
        _space.space_for(device)


def test_the_cpu_is_always_there():
    assert _space.space_for("cpu") == _space.Space("cpu")


@pytest.fixture
def broken_cuda(monkeypatch):
    """A machine with CuPy whose driver does not work."""

    def fail():
        raise RuntimeError("cudaErrorInsufficientDriver: too old\nand more")

    cupy = ModuleType("cupy")
    cupy.cuda = ModuleType("cupy.cuda")
    cupy.cuda.runtime = ModuleType("cupy.cuda.runtime")
    cupy.cuda.runtime.getDeviceCount = fail
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    _space._cuda_fault.cache_clear()
    _space._say_choice_once.cache_clear()
    yield
    _space._cuda_fault.cache_clear()
    _space._say_choice_once.cache_clear()


def test_a_broken_cuda_is_said_once_and_the_cpu_taken(broken_cuda, caplog):
    with caplog.at_level(logging.DEBUG, logger="fastmm"):
        assert [_space.space_for("auto").kind for _ in range(3)] == ["cpu"] * 3
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "using the CPU" in record.message
    assert "cudaErrorInsufficientDriver: too old" in record.message


def test_a_broken_cuda_asked_for_is_an_error(broken_cuda):
    with pytest.raises(ValueError, match=r"needs a usable GPU: RuntimeError: cudaErrorInsuff"):
        _space.space_for("cuda")
    assert not _space.cuda_available()


def test_without_cupy_the_notice_says_what_to_install(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "cupy", None)
    _space._cuda_fault.cache_clear()
    _space._say_choice_once.cache_clear()
    try:
        with caplog.at_level(logging.INFO, logger="fastmm"):
            assert _space.space_for("auto").kind == "cpu"
        (record,) = caplog.records
        assert record.levelno == logging.INFO
        assert 'pip install "fastmm[cuda13]"' in record.message
        with pytest.raises(ValueError, match="cupy is not installed"):
            _space.space_for("cuda")
    finally:
        _space._cuda_fault.cache_clear()
        _space._say_choice_once.cache_clear()


@pytest.mark.gpu
def test_a_working_gpu_is_taken():
    fault = _space._cuda_fault()
    if fault is not None:
        pytest.skip(f"no usable GPU: {fault}")
    assert _space.space_for("auto").kind == _space.space_for("cuda").kind == "cuda"
