"""What each CUDA kernel needs of a multiprocessor: registers, spills, shared memory.

``python benchmarks/resources.py [--readme kernels/README.md]`` compiles every kernel to PTX
and assembles it with nvJitLink, which comes with numba-cuda, for compute capability 8.0 and
9.0; no GPU is needed. With --readme, the table there is made anew. Exit code 1: one spills.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

__all__ = ["Resources", "assemble", "occupancy", "resources"]

CAPABILITIES = [(8, 0), (9, 0)]
_REGISTERS, _WARPS, _WARP = 65536, 64, 32  # of a multiprocessor, and the threads of a warp


@dataclass(frozen=True)
class Resources:
    """Of one kernel: registers a thread; bytes of spills a thread, and of shared memory."""

    kernel: str
    variants: int
    capability: tuple[int, int]
    registers: int
    spills: int
    shared: int


def resources() -> list[Resources]:
    """Assemble every kernel; the greatest need among its variants (types of pixels) counts."""
    from harness import all_kernels
    from test_ptx import SIGNATURES

    kernels, found = all_kernels(), []
    for name, cases in sorted(SIGNATURES.items()):
        for capability in CAPABILITIES:
            needs = [
                assemble(kernels[name].ptx(signature(), capability), capability)
                for _, signature in cases
            ]
            most = (max(need[i] for need in needs) for i in range(3))
            found.append(Resources(name, len(needs), capability, *most))
    return found


def assemble(ptx: str, capability: tuple[int, int]) -> tuple[int, int, int]:
    """Return registers, bytes of spills and of shared memory that the assembler reports."""
    from cuda.bindings import nvjitlink

    options = [f"-arch=sm_{capability[0]}{capability[1]}", "-verbose", "-O3"]
    handle, source = nvjitlink.create(len(options), options), ptx.encode() + b"\0"
    try:
        nvjitlink.add_data(handle, nvjitlink.InputType.PTX, source, len(source), "kernel")
        nvjitlink.complete(handle)
        log = bytearray(nvjitlink.get_info_log_size(handle))
        nvjitlink.get_info_log(handle, log)
    finally:
        nvjitlink.destroy(handle)
    return read_report(log.decode(errors="replace"))


def read_report(text: str) -> tuple[int, int, int]:
    """Read what the assembler says: the greatest figures of all functions in it."""
    used = [int(n) for n in re.findall(r"Used (\d+) registers", text)]
    if not used:
        raise RuntimeError(f"The assembler reported no registers: {text}")
    spills = [int(n) for n in re.findall(r"(\d+) bytes spill (?:stores|loads)", text)]
    shared = [int(n) for n in re.findall(r"(\d+) bytes smem", text)]
    return max(used), max(spills, default=0), max(shared, default=0)


def occupancy(registers: int, threads: int) -> float:
    """Return the share of a multiprocessor's warps that registers allow, in blocks of `threads`.

    Registers are given to warps in units of 256; both capabilities have 65,536 and 64 warps.
    """
    warp = -(-registers * _WARP // 256) * 256
    blocks = _REGISTERS // (warp * (threads // _WARP))
    return min(1.0, blocks * (threads // _WARP) / _WARPS)


def table(found: list[Resources], threads: int) -> str:
    """Return a Markdown table, a line a kernel."""
    lines = [
        f"| kernel | variants | registers 8.0, 9.0 | spilled bytes | shared bytes | occupancy 9.0, "
        f"{threads} threads |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    by_name: dict[str, list[Resources]] = {}
    for need in found:
        by_name.setdefault(need.kernel, []).append(need)
    for name, needs in by_name.items():
        lines.append(
            f"| `{name}` | {needs[0].variants} | {', '.join(str(n.registers) for n in needs)} | "
            f"{max(n.spills for n in needs)} | {max(n.shared for n in needs)} | "
            f"{occupancy(needs[-1].registers, threads):.0%} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readme", type=Path)
    args = parser.parse_args()
    from fastmm.kernels._jit import _THREADS_PER_BLOCK
    from summary import put_into_readme

    found = resources()
    text = table(found, _THREADS_PER_BLOCK)
    print(text)
    if args.readme:
        put_into_readme(text, args.readme, "resources")
    return int(any(need.spills for need in found))


if __name__ == "__main__":
    sys.exit(main())
