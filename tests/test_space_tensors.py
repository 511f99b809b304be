"""Tensors of PyTorch enter without a copy and leave as tensors."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
from array_layouts import draw, operators

import fastmm
from fastmm import _space


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@operators
@pytest.mark.parametrize("dtype", ["float32", "int16", "uint8", "float16", "bool"])
def test_tensors_leave_as_tensors(torch, operator, dtype):
    array = draw("float32") > 40 if dtype == "bool" else draw().astype(dtype)
    tensor = torch.from_numpy(array)
    got = operator(tensor)
    assert type(got) is torch.Tensor
    assert got.device.type == "cpu"
    np.testing.assert_array_equal(got.numpy(), operator(array))
    np.testing.assert_array_equal(operator(tensor.mT.contiguous().mT).numpy(), got.numpy())


def test_tensors_enter_without_a_copy(torch):
    tensor = torch.zeros(3, 4)
    _, (taken,), _ = _space.enter(images=tensor)
    tensor[1, 2] = 5
    assert taken[1, 2] == 5


def test_results_leave_without_a_copy(torch):
    _, _, leave = _space.enter(images=torch.zeros(3))
    native = np.zeros(4)
    tensor = leave(native)
    native[2] = 7
    assert tensor[2] == 7


def test_all_of_a_stack_leaves_as_tensors(torch):
    block = torch.from_numpy(draw("float32"))
    fitted = fastmm.stack_features({"a": block})
    for array in (fitted.X, fitted.origin, fitted.shift, fitted.factor, fitted.apply({"a": block})):
        assert type(array) is torch.Tensor


def test_subclasses_of_tensors_from_other_packages_are_tensors(torch, monkeypatch):
    class MetaTensor(torch.Tensor):
        pass

    MetaTensor.__module__ = "imaging_package.data"
    monkeypatch.setitem(sys.modules, "imaging_package", ModuleType("imaging_package"))
    array = draw("float32")
    got = fastmm.resize(torch.from_numpy(array).as_subclass(MetaTensor), (3, 3))
    np.testing.assert_array_equal(got.numpy(), fastmm.resize(array, (3, 3)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda torch: torch.zeros(4, 4, requires_grad=True), r"gradient, use tensor\.detach\(\)"),
        (lambda torch: torch.nn.Parameter(torch.zeros(4, 4)), r"gradient, use tensor\.detach\(\)"),
        (lambda torch: torch.zeros(4, 4, dtype=torch.bfloat16), "`images` .* dtype"),
        (lambda torch: torch.zeros(4, 4, device="meta"), "`images` .* meta"),
        (lambda torch: torch.eye(4).to_sparse(), "`images` .* layout"),
    ],
)
def test_tensors_that_cannot_be_shared_are_refused(torch, make, message):
    with pytest.raises(TypeError, match=message):
        fastmm.resize(make(torch), (2, 2))


def test_arrays_of_mixed_libraries_leave_as_the_first(torch):
    X, Y = draw()[0], torch.from_numpy(draw()[1])
    assert type(fastmm.rbf_kernel(X, Y)) is np.ndarray
    assert type(fastmm.rbf_kernel(Y, X)) is torch.Tensor
