"""Machine code of different helpers bears different names, whichever process compiled it."""

from __future__ import annotations

import re

import pytest
from fastmm.kernels._jit import columns, copier, summer, turner
from harness import ROOT, run_python

# Two kernels alike but for the helper, which one factory made: where each is compiled first in
# its process, Numba numbers the helpers alike. So many calls that LLVM does not inline them.
KERNELS = """
from fastmm.kernels._jit import HostKernel, turner
turn_8, turn_16 = turner(8), turner(16)
def run_narrow(src, out, stride, last):
    for i in range(src.shape[0]):
        for k in range(0, 16, 8):
            turn_8(src[i], k, stride, last, out[i], stride * k, stride, last)
            turn_8(src[i], stride * 8 + k, stride, last, out[i], stride * k + 8, stride, last)
def run_wide(src, out, stride, last):
    for i in range(0, src.shape[0], 2):
        turn_16(src[i], 0, stride, last, out[i], 0, stride, last)
        turn_16(src[i + 1], i - i, stride, last, out[i + 1], i - i, stride, last)
narrow, wide = HostKernel("narrow", run_narrow), HostKernel("wide", run_wide)
"""


def test_builds_of_two_processes_keep_their_helpers(tmp_path):
    (tmp_path / "two_widths.py").write_text(KERNELS)
    code = f"""
        import sys; sys.path.append({str(tmp_path)!r})
        import numpy as np
        from two_widths import narrow, wide
        squares = np.arange(1024, dtype="f4").reshape(4, 16, 16)
        for kernel in ORDER:
            out = np.zeros((4, 256), "f4")
            kernel(squares.reshape(4, 256), out, 16, 7 if kernel is narrow else 15)
            assert (out.reshape(4, 16, 16) == squares.swapaxes(1, 2)).all(), (kernel, out)
    """
    for order in ("[wide]", "[narrow, wide]"):
        run_python(code.replace("ORDER", order), NUMBA_CACHE_DIR=str(tmp_path / "cache"))


@pytest.mark.parametrize("factory", [turner, summer, copier, lambda n: columns(n, 0, 16)])
def test_what_a_factory_closes_over_is_in_the_name(factory):
    from numba.core.registry import cpu_target

    names = set()
    for helper in (factory(8), factory(16)):
        cpu_target.typing_context.refresh()
        (template,) = cpu_target.typing_context.resolve_value_type(helper).templates
        names.add(template._overload_func().__qualname__)
    assert len(names) == 2


def test_helpers_are_named_in_one_place():
    files = (path for path in (ROOT / "kernels").glob("*.py") if path.name != "_overloading.py")
    assert not [p.name for p in files if re.search(r"\boverload\(", p.read_text("utf-8"))]
