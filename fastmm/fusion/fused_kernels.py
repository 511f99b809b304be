"""Kernels of several modalities as functions of weights and widths, with their derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["FusedKernel", "combine", "inner_products", "shares", "squared_distances"]

_COLUMNS = 2048
Present = Mapping[str, np.ndarray[Any, Any]]


def shares(present: Present, weights: Mapping[str, float], interactions: bool) -> Any:
    """Return d, by whose roots a fused kernel is divided; 0 where a row has no modality."""
    if not interactions:
        return sum(weights[name] * here for name, here in present.items())
    return np.prod([1 + weights[name] * here for name, here in present.items()], axis=0) - 1


def combine(
    parts: Mapping[str, Any], rows: Present, columns: Present, weights: Any, interactions: bool
) -> Any:
    r"""Fuse the kernels of modalities, of rows that may lack some of them.

    .. math:: K = D^{-1/2} \Big(\sum_m w_m\, o_m o_m' * K_m\Big) D^{-1/2} \quad\text{or}\quad
              D^{-1/2} \Big(\prod_m (1 + w_m\, o_m o_m' * K_m) - 1\Big) D^{-1/2}

    The product holds the sum, and the products of every two and more kernels.
    """
    scaled = {
        name: weights[name] * (rows[name][:, None] & columns[name][None]) * part
        for name, part in parts.items()
    }
    if interactions:
        fused = np.prod([1 + part for part in scaled.values()], axis=0) - 1
    else:
        fused = sum(scaled.values())
    left, right = (shares(here, weights, interactions) for here in (rows, columns))
    return fused / np.sqrt(left[:, None] * right)


def squared_distances(rows: Any, others: Any) -> Any:
    """Return |x - y|^2 of rows, float64."""
    norms = [np.einsum("ij,ij->i", each, each, dtype=np.float64) for each in (rows, others)]
    return np.maximum(norms[0][:, None] + norms[1] - 2 * inner_products(rows, others), 0.0)


def inner_products(rows: Any, others: Any) -> Any:
    """Return <x, y> of rows, float64, of which no copy is made but of some columns."""
    found: Any = None
    for start in range(0, max(1, rows.shape[1]), _COLUMNS):
        some = slice(start, start + _COLUMNS)
        left = np.asarray(rows[:, some], np.float64)
        # The same matrix twice takes half the work.
        right = left if others is rows else np.asarray(others[:, some], np.float64)
        part = left @ right.T
        found = part if found is None else np.add(found, part, out=found)
    return found


class FusedKernel:
    r"""The kernel of the training rows for every choice of weights and widths.

    Parameters
    ----------
    rows : dict of str to array of shape (n, d)
        Standardised rows of each modality, zeros where it is missing.
    present : dict of str to bool array of shape (n,)
        Which rows have it.
    form : {"linear", "joint", "rbf"}
        "linear": linear kernels, fused; "joint": one RBF kernel of the rows whose linear
        kernel that is; "rbf": an RBF kernel of each modality, fused.
    gammas : dict of str to float
        Widths of the RBF kernels at 0; "joint" has one, with the key "".
    interactions : bool
        Whether kernels are fused as a product.
    """

    def __init__(
        self,
        rows: Mapping[str, Any],
        present: Present,
        form: str,
        gammas: Mapping[str, float],
        interactions: bool = False,
    ) -> None:
        self.names, self.present, self.form = list(rows), present, form
        self.gammas, self.interactions = gammas, interactions
        product = squared_distances if form == "rbf" else inner_products
        self.parts = {name: product(own, own) for name, own in rows.items()}

    @property
    def parameters(self) -> int:
        """Number of parameters: logarithms of weights, then of widths relative to `gammas`."""
        return len(self.names) + len(self.gammas)

    def named(self, theta: Any) -> tuple[dict[str, float], dict[str, float]]:
        """Return the weights, whose mean is 1, and the widths."""
        weights = np.exp(theta[: len(self.names)])
        weights /= weights.mean()
        widths = np.exp(theta[len(self.names) :]) * list(self.gammas.values())
        return (
            dict(zip(self.names, weights.tolist(), strict=True)),
            dict(zip(self.gammas, widths.tolist(), strict=True)),
        )

    def matrix(self, theta: Any) -> Any:
        """Return the kernel, and keep what its derivatives need."""
        self.weights, self.widths = self.named(theta)
        self.kernels = self.parts
        if self.form == "rbf":
            self.kernels = {n: np.exp(-self.widths[n] * part) for n, part in self.parts.items()}
        self.fused = combine(
            self.kernels, self.present, self.present, self.weights, self.interactions
        )
        if self.form != "joint":
            return self.fused
        norms = self.fused.diagonal()
        self.distances = np.maximum(norms[:, None] + norms - 2 * self.fused, 0.0)
        self.joint = np.exp(-self.widths[""] * self.distances)
        return self.joint

    def alone(self, name: str) -> Any:
        """Return the kernel of one modality by itself, at the widths of `gammas`."""
        part = self.parts[name]
        if self.form == "linear":
            return part
        if self.form == "rbf":
            return np.exp(-self.gammas[name] * part)
        norms = part.diagonal()
        return np.exp(-self.gammas[""] * np.maximum(norms[:, None] + norms - 2 * part, 0.0))

    def pull(self, slope: Any) -> np.ndarray[Any, Any]:
        """Turn the derivative of a loss by the last kernel into that by its parameters."""
        widths = []
        if self.form == "joint":
            along = slope * self.joint
            widths = [-self.widths[""] * (along * self.distances).sum()]
            along *= -self.widths[""]
            slope = -2 * along
            slope[np.diag_indices_from(slope)] += along.sum(axis=0) + along.sum(axis=1)
        root = np.sqrt(shares(self.present, self.weights, self.interactions))
        own = slope / (root[:, None] * root)
        # What a change of the share of row i does: -K_ij / (2 d_i) for row and column.
        through = -0.5 * ((slope + slope.T) * self.fused).sum(axis=1) / root**2
        found = []
        for name in self.names:
            here, weight = self.present[name], self.weights[name]
            others = weight * (here[:, None] & here) * own
            share = weight * here
            if self.interactions:
                others *= self._without(name, self.kernels)
                share = share * self._without(name, None)
            found.append((others * self.kernels[name]).sum() + through @ share)
            if self.form == "rbf":
                change = self.parts[name] * self.kernels[name]
                widths.append(-self.widths[name] * (others * change).sum())
        # The mean of the weights is kept at 1.
        slopes, weights = np.array(found), np.array(list(self.weights.values()))
        slopes -= weights / weights.sum() * slopes.sum()
        return np.concatenate([slopes, widths])

    def _without(self, name: str, kernels: Any) -> Any:
        product: Any = 1.0
        for other in self.names:
            if other != name:
                here = self.present[other]
                factor = here if kernels is None else (here[:, None] & here) * kernels[other]
                product = product * (1 + self.weights[other] * factor)
        return product
