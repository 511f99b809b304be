"""Bring the blocks of all modalities into one matrix, with rows that lack some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fastmm._check import number, one_of
from fastmm.blocks import Block
from fastmm.features.table import Columns
from fastmm.fuse import StackedFeatures, stack_features
from fastmm.fusion.fused_kernels import FusedKernel, combine, shares
from fastmm.grams.matrices import scale_gamma
from fastmm.pairwise import rbf_kernel
from fastmm.streams.picked_rows import PickedRows

__all__ = ["BlockFusion"]


class BlockFusion:
    r"""Standardise, weigh and fuse blocks whose rows may lack a modality.

    With :math:`o_{im}` 1 where row i has modality m and 0 where not, and weights
    :math:`w_m`, the fused kernel is

    .. math:: K_{ij} = \frac{\sum_m w_m\, o_{im} o_{jm}\, K_m(i, j)}{\sqrt{d_i d_j}},
              \qquad d_i = \sum_m w_m o_{im},

    which is positive semidefinite, and the plain weighted sum for complete rows. With
    ``"kernel"``, :math:`K_m` is an RBF kernel; with ``"stack"`` it is linear, and what is
    returned is the matrix X with :math:`K = X X'`: the blocks side by side. Interactions
    put :math:`\prod_m (1 + w_m o_{im} o_{jm} K_m) - 1` in the place of the sum.

    Each block is standardised over the rows that have it, and scaled so that its rows
    have a squared norm of 1 on average: 10,000 pixels weigh no more than one age.

    Parameters
    ----------
    kind : {"stack", "kernel"}
        What `fit` and `transform` return.
    interactions : bool, default False
        Whether kernels are fused as a product ("kernel" only).

    Attributes
    ----------
    slices_ : dict of str to slice
        Columns of each modality in the stacked matrix.
    scaling_ : dict of str to StackedFeatures
        How the columns of each block are standardised, without the rows themselves.
    table_ : dict of str to TableEncoder
        Encoders of the table blocks.
    weights_ : dict of str to float
        Weight of each modality, of mean 1.
    gamma_ : dict of str to float
        Width of each modality's RBF kernel; with "stack" that of all, with the key "".
    train_, present_ : dict of str to array
        Standardised training rows, and which of them are there ("kernel" only).
    """

    def __init__(self, kind: str = "stack", interactions: bool = False) -> None:
        self.kind = one_of(kind, "kind", ("stack", "kernel"))
        self.interactions = interactions

    def fit(self, blocks: Mapping[str, Block], modalities: Mapping[str, Any]) -> Any:
        """Learn means, scales and categories; return the fused training matrix."""
        rows, present = self.learn(blocks, modalities)
        return self.fuse(rows, present)

    def learn(
        self, blocks: Mapping[str, Block], modalities: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Learn means, scales and categories; return standardised rows, and which are there."""
        self.begin(blocks)
        for name, block in blocks.items():
            own = block.take(block.present)
            if isinstance(own.values, Columns):
                self.encode(name, own.values, modalities)
            values = self.numbers(name, own.values)
            stacked = stack_features({name: values}, weights={name: values.shape[1] ** -0.5})
            self.keep(name, replace(stacked, X=None))
        rows, present = self.standardised(blocks)
        if self.kind == "stack":
            self.gamma_ = {"": scale_gamma(self.fuse(rows, present))}
        else:
            self.gamma_ = {n: scale_gamma(rows[n][present[n]]) for n in rows}
            self.train_, self.present_ = rows, present
        return rows, present

    def begin(self, blocks: Mapping[str, Block]) -> None:
        """Forget what was learned; refuse modalities that no row has."""
        self.table_: dict[str, Any] = {}
        self.scaling_: dict[str, StackedFeatures] = {}
        self.slices_: dict[str, slice] = {}
        self.weights_: dict[str, float] = dict.fromkeys(blocks, 1.0)
        for name, block in blocks.items():
            if not block.present.any():
                raise ValueError(f"Modality {name!r} must be there in at least one row.")

    def encode(self, name: str, columns: Columns, modalities: Mapping[str, Any]) -> None:
        """Learn the categories of a table."""
        self.table_[name] = modalities[name].encoder().fit(columns)

    def keep(self, name: str, scaling: StackedFeatures) -> None:
        """Take the means and scales of a modality, the next in the stacked matrix."""
        start = max((at.stop for at in self.slices_.values()), default=0)
        self.scaling_[name] = scaling
        self.slices_[name] = slice(start, start + scaling.factor.size)

    def kernel(self, rows: dict[str, Any], present: dict[str, Any], form: str) -> FusedKernel:
        """Return the training kernel as a function of weights and widths."""
        gammas = {} if form == "linear" else self.gamma_
        return FusedKernel(rows, present, form, gammas, self.interactions)

    def weigh(self, weights: Mapping[str, Any]) -> None:
        """Take weights that a user gave, of any scale."""
        if set(weights) != set(self.weights_):
            raise ValueError(f"`weights` must name {sorted(self.weights_)}, got {sorted(weights)}.")
        given = {n: number(weights[n], f"weights[{n!r}]", above=0) for n in self.weights_}
        mean = sum(given.values()) / len(given)
        self.weights_ = {name: weight / mean for name, weight in given.items()}

    def transform(self, blocks: Mapping[str, Block]) -> Any:
        """Return the fused matrix of new rows, or their kernel with the training rows."""
        return self.fuse(*self.standardised(blocks))

    def standardised(self, blocks: Mapping[str, Block]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the standardised rows of each modality, and which are there."""
        rows: dict[str, Any] = {}
        present = {name: blocks[name].present for name in self.slices_}
        none = ~np.any(list(present.values()), axis=0)
        if none.any():
            raise ValueError(
                f"Each row must have at least one of {', '.join(present)}; row "
                f"{int(np.argmax(none))} has none ({int(none.sum())} such rows)."
            )
        for name, here in present.items():
            out = np.zeros((len(here), self.scaling_[name].factor.size), np.float32)
            if here.any():
                own = self.numbers(name, blocks[name].take(here).values)
                out[here] = self.scaling_[name].apply({name: own})
            rows[name] = out
        return rows, present

    def fuse(self, rows: dict[str, Any], present: dict[str, Any]) -> Any:
        """Fuse standardised rows: side by side, or as their kernel with the training rows."""
        if self.kind == "kernel":
            return combine(
                self.parts(rows), present, self.present_, self.weights_, self.interactions
            )
        root = np.sqrt(shares(present, self.weights_, False))[:, None]
        scaled = [
            own * (np.sqrt(self.weights_[name]) / root).astype(np.float32)
            for name, own in rows.items()
        ]
        return np.hstack(scaled)

    def parts(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Return the kernel of each modality between new rows and the training rows."""
        return {
            name: rbf_kernel(own, self.train_[name], gamma=self.gamma_[name]).astype(np.float64)
            for name, own in rows.items()
        }

    def feature_names(self, name: str) -> list[str] | None:
        """Return the names of a table's features, None for images."""
        return self.table_[name].feature_names_ if name in self.table_ else None

    def numbers(self, name: str, values: Any) -> Any:
        """Return features as a matrix in memory: tables encoded, rows on disk read."""
        if isinstance(values, Columns):
            return self.table_[name].transform(values)
        return values[:] if isinstance(values, PickedRows) else values
