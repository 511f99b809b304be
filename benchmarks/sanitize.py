"""Launch every CUDA kernel of fastmm at small shapes, for compute-sanitizer.

``compute-sanitizer --tool TOOL python benchmarks/sanitize.py`` looks for faults in the
kernels; with ``--plant TOOL`` a kernel with a fault of that tool's kind is launched
instead, to show that the tool sees it. ``--simulator`` (with NUMBA_ENABLE_CUDASIM=1) runs
the kernels without a GPU, which keeps this file itself right.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
from fastmm.kernels._jit import Kernel, numba_cuda

import fastmm
import fastmm.kernels

__all__ = ["exercise", "faults", "kernels"]

TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")


def kernels() -> dict[str, Kernel]:
    """Find every kernel there is, by module and name."""
    found: dict[str, Kernel] = {}
    for module in pkgutil.iter_modules(fastmm.kernels.__path__):
        if module.name.startswith("_"):
            continue
        names = vars(importlib.import_module(f"fastmm.kernels.{module.name}"))
        for name, value in names.items():
            choices = value if isinstance(value, dict) else {"": value}
            for choice, kernel in choices.items():
                if isinstance(kernel, Kernel):
                    found[f"{module.name}.{name}" + (f"[{choice}]" if choice else "")] = kernel
    return found


def exercise(asarray: Callable[[np.ndarray], Any]) -> None:
    """Call public operators on odd shapes, so that last threads and edges have work."""
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64"):
        images = asarray(rng.standard_normal((2, 13, 11)).astype(dtype))
        fastmm.resize(images, (5, 7))
        fastmm.resize(images, (3, 17, 4))
        fastmm.resize(images, (5, 17), interpolation="cubic")
        fastmm.resize(images, (3, 2), interpolation="cubic", antialias=True)
        fastmm.resize(images, (3, 5, 17), interpolation="area")
        fastmm.resize([images, images[:, 2:, 3:]], (5, 17), interpolation="nearest")
        fastmm.resize([images, images[:, 2:, 3:]], (5, 17))
        fastmm.extract_patches(images, (4, 3), step=2)
        fastmm.extract_patches(images, (2, 4, 3))
        describe_patches(images)
        for shape in ((3, 7, 5), (2, 130, 130)):  # an image a thread; images in strips
            pixels = asarray(rng.standard_normal(shape).astype(dtype))
            fastmm.normalize(pixels, mask=asarray(rng.integers(0, 2, shape, np.uint8)))
            fastmm.normalize(pixels, "percentile", clip=(0, 1))
        fastmm.window(images, 0, 1)
        rows = [asarray(rng.standard_normal((n, 7)).astype(dtype)) for n in (9, 5)]
        fastmm.rbf_kernel(*rows)
        fastmm.laplacian_kernel(*rows)
        fastmm.arccos_kernel(*rows, degree=2, depth=2)
        fastmm.ntk_kernel(*rows, bias=0.1)
        fastmm.convolutional_kernel(images, pool=2, tangent=True)
        fastmm.patch_kernel(images, patch_size=(4, 3), shifts=1, step=2)
        fastmm.stack_features({"a": rows[0], "b": asarray(rng.standard_normal((9, 3)))})
        fastmm.PatchDictionary((4, 3), 5, pool=(2, 3), atoms="random").fit_transform(images)
    resample_all(asarray, rng)
    fastmm.resize(asarray(rng.integers(-1000, 3000, (2, 13, 11), np.int16)), (5, 7))


def describe_patches(images: Any) -> None:
    """Extract patches beyond the border, put them together, draw some, and describe them."""
    from fastmm.features.statistics import patch_statistics
    from fastmm.image.merging import merge_patches
    from fastmm.image.sampling import sample_patches

    for mode in ("edge", "reflect", "constant"):
        patches = fastmm.extract_patches(images, (4, 3), step=2, pad=(1, (5, 3)), pad_mode=mode)
    merge_patches(patches, (13, 11), step=2, pad=(1, (5, 3)))
    sample_patches(images, (4, 3), 5)
    patch_statistics(images, (4, 3), step=2, statistics=("kurtosis", "entropy", "p10", "iqr"))


def resample_all(asarray: Callable[[np.ndarray], Any], rng: np.random.Generator) -> None:
    """Resample small volumes, with padding, on grids that stick out of them."""
    from fastmm.image.resampling import resample

    turned = np.array([[0.9, 0.3, 0, -1], [-0.3, 0.9, 0.1, 0], [0, -0.1, 0.9, 0], [0, 0, 0, 1]])
    straight = np.diag([0.7, -0.7, 0.7, 1]) + [[0, 0, 0, -1], [0, 0, 0, 3], [0] * 4, [0] * 4]
    for dtype in ("float32", "float64"):
        array = asarray(rng.standard_normal((3, 5, 7)).astype(dtype))
        valid = asarray(rng.random((3, 5, 7)) > 0.1)
        volume = fastmm.Volume(array, "HU", (1.0, 1.0, 1.0), np.eye(4), valid)
        for affine in (turned, straight):
            like = fastmm.Volume(np.zeros((4, 5, 6), "f4"), "HU", (1.0, 1.0, 1.0), affine)
            for interpolation in ("nearest", "linear", "cubic"):
                resample(volume, like=like, interpolation=interpolation, fill=0)


def faults() -> dict[str, Callable[..., None]]:
    """Return, for each tool, a kernel function with a fault of the kind it finds."""
    cuda = numba_cuda()

    def writes_outside(src: Any, out: Any) -> None:
        out[cuda.threadIdx.x + 1] = src[0]  # the last thread, by one

    def races(src: Any, out: Any) -> None:
        shared = cuda.shared.array(64, np.int32)
        i = cuda.threadIdx.x
        shared[i] = src[i]
        out[i] = shared[63 - i]  # the other warp's value, and no barrier between

    def reads_unwritten(src: Any, out: Any) -> None:
        out[cuda.threadIdx.x] = src[cuda.threadIdx.x] + 1

    def diverges(src: Any, out: Any) -> None:
        shared = cuda.shared.array(64, np.int32)
        i = cuda.threadIdx.x
        if i < src[0]:  # only some threads of the warp come to the barrier
            shared[i] = i
            cuda.syncthreads()
            out[i] = shared[i + 1]

    return dict(zip(TOOLS, (writes_outside, races, reads_unwritten, diverges), strict=True))


def plant(tool: str) -> None:
    """Launch a kernel with the fault that `tool` is there to find."""
    import cupy

    src = cupy.empty(64, np.int32) if tool == "initcheck" else cupy.full(64, 16, np.int32)
    numba_cuda().jit(faults()[tool])[1, 64](src, cupy.zeros(64, np.int32))
    cupy.cuda.runtime.deviceSynchronize()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plant", choices=TOOLS)
    parser.add_argument("--simulator", action="store_true")
    args = parser.parse_args()
    if not args.simulator:
        import cupy

        # A pool would hand out parts of larger allocations, where a fault goes unseen.
        cupy.cuda.set_allocator(None)
    if args.plant:
        try:
            plant(args.plant)
        except Exception:  # the fault may stop the kernel; the tool's verdict is the exit code
            traceback.print_exc()
        return 0
    launched: set[int] = set()
    method = "run_simulator" if args.simulator else "run_cuda"
    original = getattr(Kernel, method)

    def noting(self: Kernel, *given: Any) -> None:
        launched.add(id(self))
        original(self, *given)

    setattr(Kernel, method, noting)
    if args.simulator:
        exercise(numba_cuda().to_device)
    else:
        exercise(cupy.asarray)
        cupy.cuda.runtime.deviceSynchronize()
    every = kernels()
    missed = [name for name, kernel in every.items() if id(kernel) not in launched]
    print(f"launched {len(every) - len(missed)} of {len(every)} kernels: {', '.join(every)}")
    if missed:
        print(f"not launched: {', '.join(missed)}")
    return 1 if missed or not every else 0


if __name__ == "__main__":
    sys.exit(main())
