"""Kernels compile for CUDA beside a NumPy that lacks what numba-cuda asks it for."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = """
import numpy as np
if hasattr(np, "row_stack"):
    del np.row_stack
np.__version__ = "2.5.0"
from fastmm.kernels._jit import numba_cuda
numba_cuda()
import numba.cuda.np.arrayobj
assert not hasattr(np, "row_stack")
"""


@pytest.mark.ptx
@pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed")
def test_numba_cuda_sets_itself_up_without_row_stack() -> None:
    root = Path(__file__).resolve().parent.parent
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_ENABLE_CUDASIM"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        env=environment | {"PYTHONPATH": str(root)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
