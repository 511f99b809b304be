"""The fused matrix of a cohort as no label has shaped it: all modalities weigh the same.

What a permutation test and a learning curve compute in closed form needs a matrix that
stays what it is when labels change. Means, scales and the width of a kernel know none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastmm.blocks import Block, spread_slices
from fastmm.findings.validation import Plan
from fastmm.fusion.block_fusion import BlockFusion
from fastmm.fusion.fused_solvers import form_of
from fastmm.pairwise import rbf_kernel

__all__ = ["ALPHAS", "Design", "make_design"]

ALPHAS = tuple(10.0**e for e in np.arange(-3, 3.25, 0.5))
_LEAST_SQUARES = (1e-6,)  # nearly no penalty, of rows whose squared norm is 1


class Design(NamedTuple):
    """A fused matrix.

    Parameters
    ----------
    matrix : array of shape (n, d) or (n, n)
        Rows; or a kernel, where `form` is "rbf".
    form : {"linear", "joint", "rbf"}
        What a solver makes of it; see `fastmm.fusion.fused_solvers.form_of`.
    gamma : float
        Width of the kernel of "joint".
    owner : int array of shape (n,)
        Examination of each row.
    alphas : tuple of float
        Penalties to choose from.
    """

    matrix: Any
    form: str
    gamma: float
    owner: np.ndarray[Any, Any]
    alphas: tuple[float, ...]

    def kernel(self) -> np.ndarray[Any, Any]:
        """Return the kernel of the rows, (n, n) float64."""
        if self.form == "joint":
            return np.asarray(rbf_kernel(self.matrix, gamma=self.gamma), np.float64)
        rows = np.asarray(self.matrix, np.float64)
        return rows @ rows.T if self.form == "linear" else rows


def make_design(plan: Plan, kind: str, names: Sequence[str], blocks: Mapping[str, Block]) -> Design:
    """Return the matrix of some modalities, over all rows of their blocks."""
    own, owner = spread_slices({name: blocks[name].read() for name in names})
    several = plan.fusion == "kernel"
    fusion = BlockFusion("kernel" if several else "stack", plan.interactions)
    matrix = fusion.fit(own, plan.modalities)
    rows = len(matrix)
    return Design(
        matrix,
        form_of("kernel" if several else "stack", kind),
        float(fusion.gamma_.get("", 0.0)),
        np.arange(rows) if owner is None else owner,
        _LEAST_SQUARES if kind == "linear" else ALPHAS,
    )
