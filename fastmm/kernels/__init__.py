"""The kernels: a face only, which finds the modules wherever they lie.

In an installed fastmm they lie in this folder; in a checkout, in the top-level
``kernels/``, which is then added to where this package looks for its modules.
"""

from pathlib import Path

_here = Path(__file__).resolve().parent
if not (_here / "_jit.py").exists():
    __path__.append(str(_here.parents[1] / "kernels"))
