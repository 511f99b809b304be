"""Bring the blocks of all modalities into one matrix, with rows that lack some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fastmm._check import one_of
from fastmm.blocks import Block
from fastmm.features.table import Columns
from fastmm.fuse import StackedFeatures, stack_features
from fastmm.kernel_matrices import scale_gamma
from fastmm.pairwise import rbf_kernel

__all__ = ["BlockFusion"]


class BlockFusion:
    r"""Standardise, weigh and fuse blocks whose rows may lack a modality.

    With :math:`o_{im}` 1 where row i has modality m and 0 where not, and equal weights
    :math:`w_m`, the fused kernel is

    .. math:: K_{ij} = \frac{\sum_m w_m\, o_{im} o_{jm}\, K_m(i, j)}{\sqrt{d_i d_j}},
              \qquad d_i = \sum_m w_m o_{im},

    which is positive semidefinite, and the plain weighted sum for complete rows. With
    ``"kernel"``, :math:`K_m` is an RBF kernel; with ``"stack"`` it is linear, and what is
    returned is the matrix X with :math:`K = X X'`: the blocks side by side.

    Each block is standardised over the rows that have it, and scaled so that its rows
    have a squared norm of 1 on average: 10,000 pixels weigh no more than one age.

    Parameters
    ----------
    kind : {"stack", "kernel"}
        What `fit` and `transform` return.

    Attributes
    ----------
    slices_ : dict of str to slice
        Columns of each modality in the stacked matrix.
    scaling_ : dict of str to StackedFeatures
        How the columns of each block are standardised, without the rows themselves.
    table_ : dict of str to TableEncoder
        Encoders of the table blocks.
    gamma_ : dict of str to float
        Width of each modality's RBF kernel ("kernel" only).
    train_, present_, share_ : dict of str to array, dict of str to array, array
        Standardised training rows, which of them are there, the root of d ("kernel" only).
    """

    def __init__(self, kind: str = "stack") -> None:
        self.kind = one_of(kind, "kind", ("stack", "kernel"))

    def fit(self, blocks: Mapping[str, Block], modalities: Mapping[str, Any]) -> Any:
        """Learn means, scales and categories; return the fused training matrix."""
        self.table_: dict[str, Any] = {}
        self.scaling_: dict[str, StackedFeatures] = {}
        self.slices_: dict[str, slice] = {}
        start = 0
        for name, block in blocks.items():
            if not block.present.any():
                raise ValueError(f"Modality {name!r} must be there in at least one row.")
            own = block.take(block.present)
            if isinstance(own.values, Columns):
                self.table_[name] = modalities[name].encoder().fit(own.values)
            values = self._numbers(name, own.values)
            stacked = stack_features({name: values}, weights={name: values.shape[1] ** -0.5})
            self.scaling_[name] = replace(stacked, X=None)
            self.slices_[name] = slice(start, start := start + values.shape[1])
        rows, share = self._standardised(blocks)
        if self.kind == "stack":
            return self._side_by_side(rows, share)
        self.train_, self.share_ = rows, share
        self.gamma_ = {n: scale_gamma(rows[n][blocks[n].present]) for n in rows}
        self.present_ = {name: block.present for name, block in blocks.items()}
        return self._kernel(rows, share, self.present_)

    def transform(self, blocks: Mapping[str, Block]) -> Any:
        """Return the fused matrix of new rows, or their kernel with the training rows."""
        rows, share = self._standardised({name: blocks[name] for name in self.slices_})
        if self.kind == "stack":
            return self._side_by_side(rows, share)
        return self._kernel(rows, share, {name: blocks[name].present for name in rows})

    def _numbers(self, name: str, values: Any) -> Any:
        if isinstance(values, Columns):
            return self.table_[name].transform(values)
        return values

    def _standardised(self, blocks: Mapping[str, Block]) -> tuple[dict[str, Any], Any]:
        rows: dict[str, Any] = {}
        weight = 1 / len(blocks)
        d = np.zeros(len(next(iter(blocks.values())).present))
        for name, block in blocks.items():
            out = np.zeros((len(block.present), self.scaling_[name].factor.size), np.float32)
            if block.present.any():
                own = self._numbers(name, block.take(block.present).values)
                out[block.present] = self.scaling_[name].apply({name: own})
            rows[name] = out
            d += weight * block.present
        if (d == 0).any():
            raise ValueError(
                f"Each row must have at least one of {', '.join(blocks)}; row "
                f"{int(np.argmax(d == 0))} has none ({int((d == 0).sum())} such rows)."
            )
        return rows, np.sqrt(d)

    def _side_by_side(self, rows: dict[str, Any], share: Any) -> Any:
        weight = np.sqrt(1 / len(rows))
        return np.hstack(list(rows.values())) * (weight / share[:, None]).astype(np.float32)

    def _kernel(self, rows: dict[str, Any], share: Any, present: dict[str, Any]) -> Any:
        total = np.zeros((len(share), len(self.share_)))
        for name, own in rows.items():
            both = present[name][:, None] & self.present_[name][None, :]
            total += both * rbf_kernel(own, self.train_[name], gamma=self.gamma_[name])
        return total / len(rows) / (share[:, None] * self.share_[None, :])
