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
    return arrays(pixels, 4) + arrays(real, 4, 2) + arrays("uint32", 2) + arrays(real, 1)


def weighing(pixels, real):
    tables = arrays("uint32", 2) + arrays(real, 2)
    given = arrays(pixels, 1) + arrays(real, 4) + arrays("int64", 2) + arrays(real, 2)
    return given + 3 * tables


def resampling(pixels, real):
    from numba import types

    places = (*arrays("int64", 2), types.int64)
    return arrays(pixels, 4) + arrays(real, 4) + arrays("boolean", 3) + places + arrays(real, 1)


def resampling_axes(pixels, real, *tables):
    given = arrays(pixels, 4) + arrays(real, 4, 1) + arrays("int64", 2)
    return given + 3 * tuple(a for kind, rank in tables for a in arrays(kind or real, rank))


def support():
    from numba import types

    return (*arrays("boolean", 4, 4), *arrays("int64", 2), types.int64, types.int64)


def picking(bits):
    return arrays(bits, 1, 4) + arrays("int64", 2) + arrays("uint32", 1, 1, 1)


def stacking(block, real):
    from numba import types

    columns = arrays(block, 2) + arrays(real, 2)
    return (*columns, types.int64, *arrays(real, 1), types.boolean, *arrays(real, 1, 1, 1))


def patches(bits, index):
    return arrays(bits, 4, 7) + arrays(index, 1) + arrays(bits, 1)


def merging_patches(pixels, real):
    tables = arrays("int64", *(1,) * 7)
    return arrays(pixels, 7) + arrays(real, 4) + tables + arrays(real, 1)


def describing(pixels, real, key):
    tables = arrays("int64", 1, 1) + arrays(key, 2) + arrays(real, 2, 1, 1)
    return arrays(pixels, 4) + arrays(real, 5) + tables


def measuring(pixels, real):
    from numba import types

    images = arrays(pixels, 2) + arrays("uint8", 2)
    return (*images, *arrays(real, 2), *arrays("uint8", 1), types.boolean, *arrays(real, 3))


def merging_runs(real):
    return arrays(real, 3, 2) + arrays("uint8", 1) + arrays("float64", 3)


def settling(partial, real):
    from numba import types

    table = arrays(real, 2) + arrays("uint8", 1)
    return (*arrays(partial, 3), *arrays("float64", 1), types.boolean, *table)


def normalizing(pixels, real):
    from numba import types

    images = arrays(pixels, 2) + arrays("uint8", 2) + arrays(real, 2, 2)
    return (*images, *arrays("float64", 1), types.boolean, *arrays(real, 2))


def selecting(pixels, real):
    return arrays(pixels, 2) + arrays("uint8", 2) + arrays(real, 1) + arrays("float64", 1, 2)


def unfolding(pixels):
    places = arrays("int64", 1, 1)
    return arrays(pixels, 1) + places + arrays(pixels, 1) + arrays("float32", 1, 2)


def responding():
    return arrays("float32", 2, 3) + arrays("int64", 2) + arrays("float32", 1, 4)


def comparing(real):
    images = arrays(real, 4, 5) + arrays("int64", 2)
    return images + arrays(real, 1) + arrays("int64", 1) + arrays(real, 1, 3)


# For each kernel, (whether double precision is its business, argument types).
SIGNATURES = {
    "resizing.linear": [
        (real == "float64", lambda p=pixels, r=real: resizing(p, r))
        for real in ("float32", "float64")
        for pixels in (real, "int16", "uint8")
    ],
    "weighing.weigh": [
        (real == "float64", lambda p=pixels, r=real: weighing(p, r))
        for real in ("float32", "float64")
        for pixels in (real, "int16", "uint8")
    ],
    **{
        name: [
            (real == "float64", lambda p=pixels, r=real: resampling(p, r))
            for real in ("float32", "float64")
            for pixels in (real, "int16")
        ]
        for name in ("resampling.nearest", "resampling.linear", "resampling_cubic.turned")
    },
    **{
        name: [
            (real == "float64", lambda p=pixels, r=real, t=tables: resampling_axes(p, r, *t))
            for real in ("float32", "float64")
            for pixels in (real, "int16")
        ]
        for name, tables in (
            ("resampling_axes.linear", [("uint32", 1), ("uint32", 1), (None, 1)]),
            ("resampling_cubic.along_axes", [("uint32", 2), (None, 2)]),
        )
    },
    "support.support": [(False, support)],
    "picking.pick": [(False, lambda n=size: picking(f"uint{n}")) for size in (8, 16, 32, 64)],
    "stacking.stack": [
        (real == "float64", lambda b=block, r=real: stacking(b, r))
        for real in ("float32", "float64")
        for block in (real, "uint8")
    ],
    "moments.measure": [
        (real == "float64", lambda p=pixels, r=real: measuring(p, r))
        for real in ("float32", "float64")
        for pixels in (real, "int16", "uint8")
    ],
    # Doubles, once for each run or image: what float32 pixels lose in their sums stays lost.
    "moments.merge": [(True, lambda r=real: merging_runs(r)) for real in ("float32", "float64")],
    "moments.settle": [
        (True, lambda r=real: settling("float64", r)) for real in ("float32", "float64")
    ],
    "normalizing.normalize": [
        (True, lambda p=pixels, r=real: normalizing(p, r))
        for real in ("float32", "float64")
        for pixels in (real, "int16")
    ],
    "normalizing.apply": [
        (real == "float64", lambda p=pixels, r=real: arrays(p, 2) + arrays(r, 2, 2, 2))
        for real in ("float32", "float64")
        for pixels in (real, "int16", "uint8")
    ],
    "selecting.select": [
        (True, lambda p=pixels: selecting(p, "float32")) for pixels in ("float32", "int16")
    ],
    "patches.extract": [
        (False, lambda n=size, i=index: patches(f"uint{n}", i))
        for size in (8, 16, 32, 64)
        for index in ("uint32", "int64")
    ],
    "patches.gather": [
        (False, lambda n=size: arrays(f"uint{n}", 4, 4) + arrays("int64", 2))
        for size in (8, 16, 32, 64)
    ],
    "merging.merge": [
        (real == "float64", lambda p=pixels, r=real: merging_patches(p, r))
        for real in ("float32", "float64")
        for pixels in (real, "int16", "uint8")
    ],
    **{
        f"statistics.describe.{real}": [
            (real == "float64", lambda p=pixels, r=real, k=key: describing(p, r, k))
            for pixels in (real, "int16", "uint8")
        ]
        for real, key in (("float32", "int32"), ("float64", "int64"))
    },
    # float64 pixels are subtracted from each other before they become float32.
    "unfolding.unfold": [
        (real == "float64", lambda r=real: unfolding(r)) for real in ("float32", "float64")
    ],
    "responses.respond": [(False, responding)],
    "rbf.rbf.float32": [(False, lambda: arrays("float32", 2, 1, 2, 1))],
    "rbf.rbf.float64": [(True, lambda: arrays("float64", 2, 1, 2, 1))],
    "laplacian.laplacian.float32": [(False, lambda: arrays("float32", 2, 3, 1, 2))],
    "laplacian.laplacian.float64": [(True, lambda: arrays("float64", 2, 3, 1, 2))],
    # The angle of a cosine near 1 has half of its digits: float64 for whatever comes in.
    "convolving.convolve": [(True, lambda: arrays("float64", 4, 4, 3, 3) + arrays("int64", 2, 1))],
    "arcs.arcs": [
        (True, lambda: arrays("float64", 2, 2, 2) + arrays("int64", 1) + arrays("float64", 1))
    ],
    **{
        f"boxes.boxes.{real}": [(real == "float64", lambda r=real: comparing(r))]
        for real in ("float32", "float64")
    },
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


def test_a_launch_of_few_blocks_is_configured_without_a_warning():
    # Warnings are errors here; an image of 64 x 64 pixels takes 16 blocks.
    assert all_kernels()["resizing.linear"]._device[16, 256].griddim == (16, 1, 1)


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
