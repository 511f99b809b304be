"""Every CUDA kernel compiled to PTX, without a GPU, for the oldest and newest targets."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest
from fastmm.kernels._jit import Kernel, cuda
from harness import SIMULATED, all_kernels

pytestmark = [
    pytest.mark.ptx,
    pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed"),
    pytest.mark.skipif(SIMULATED, reason="the simulator does not compile"),
]
CAPABILITIES = [(8, 0), (9, 0)]


def arrays(dtype, *ranks):
    from numba import types

    return tuple(types.Array(getattr(types, dtype), rank, "C") for rank in ranks)


def resizing(pixels, real):
    tables = arrays("uint32", 1, 1) + arrays(real, 1)
    return arrays(pixels, 4) + arrays(real, 4, 1, 1, 1) + 3 * tables


def stacking(block, real):
    from numba import types

    columns = arrays(block, 2) + arrays(real, 2)
    return (*columns, types.int64, *arrays(real, 1), types.boolean, *arrays(real, 1, 1, 1))


def patches(bits):
    return arrays(bits, 4, 7) + arrays("int64", 1)


# For each kernel, (whether double precision is its business, argument types).
SIGNATURES = {
    "resizing.linear": [
        (real == "float64", lambda p=pixels, r=real: resizing(p, r))
        for real in ("float32", "float64")
        for pixels in (real, "int16", "uint8")
    ],
    "stacking.stack": [
        (real == "float64", lambda b=block, r=real: stacking(b, r))
        for real in ("float32", "float64")
        for block in (real, "uint8")
    ],
    "patches.extract": [(False, lambda n=size: patches(f"uint{n}")) for size in (8, 16, 32, 64)],
    "rbf.rbf.float32": [(False, lambda: arrays("float32", 2, 1, 1, 1))],
    "rbf.rbf.float64": [(True, lambda: arrays("float64", 2, 1, 1, 1))],
}
CASES = [
    pytest.param(name, double, signature, id=f"{name}-{i}")
    for name, cases in SIGNATURES.items()
    for i, (double, signature) in enumerate(cases)
]


def faults(ptx, double):
    """List what a kernel should not contain: doubles where they are slow, and calls."""
    found = [] if double else re.findall(r"^.*\.f64.*$", ptx, re.MULTILINE)
    return found + re.findall(r"^\s*(?:@!?%p\d+\s+)?call\b.*$", ptx, re.MULTILINE)


def test_every_kernel_has_a_signature_here():
    assert set(all_kernels()) == set(SIGNATURES)


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize(("name", "double", "signature"), CASES)
def test_compiles_without_doubles_and_calls(name, double, signature, capability):
    ptx = all_kernels()[name].ptx(signature(), capability)
    assert f".target sm_{capability[0]}{capability[1]}" in ptx
    assert ".entry" in ptx
    assert faults(ptx, double) == []


def planted_threads(work, src, out):
    for i in range(cuda.grid(1), work, cuda.gridsize(1)):
        out[i] = src[i] * 0.1


def test_a_planted_double_is_caught():
    kernel = Kernel("planted", planted_threads, planted_threads)
    assert faults(kernel.ptx(arrays("float32", 1, 1), (8, 0)), double=False)


def test_a_planted_call_is_caught():
    assert faults("\tcall.uni (retval0), __nv_expf, (param0);", double=True)
    assert faults("\t@%p1 call.uni f;", double=True)
    assert not faults("\tst.global.f32 [%rd1], %f1; // no call", double=True)
