r"""How steeply a score rises with each feature: the factors of every additive explanation.

Along the straight line from the mean of the training rows, z = 0, to a row z, the mean slope
of feature j is :math:`\bar g_j = \int_0^1 \partial_j f(tz)\, dt`. The parts
:math:`z_j \bar g_j` sum to :math:`f(z) - f(0)`: exactly for linear models, whose slopes are
constant, and to the error of a quadrature for all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastmm.blocks import Block
from fastmm.explain.kernel_slopes import fused_kernel_slopes, joint_kernel_slopes
from fastmm.fusion.fused_kernels import shares

__all__ = ["LINEAR", "Slopes", "slopes_of"]

LINEAR = ("ridge", "linear")


class Slopes(NamedTuple):
    """Mean slopes of rows, in units of standardised features.

    Parameters
    ----------
    slopes : dict of str to array of shape (n, targets, features)
        Of each modality; 0 in rows that lack it.
    rows : dict of str to array of shape (n, features)
        Standardised features, 0 where the modality is missing.
    baseline : array of shape (n, targets)
        Score of the same modalities with each feature at its training mean.
    scalers : dict of str to object
        What standardises the features of each modality: ``apply(values)``.
    """

    slopes: dict[str, Any]
    rows: dict[str, Any]
    baseline: Any
    scalers: dict[str, Any]

    def parts(self) -> dict[str, Any]:
        """Return what each feature adds, (n, targets, features)."""
        return {name: own * self.rows[name][:, None] for name, own in self.slopes.items()}


class _FusionScaler:
    """Standardises raw features of one modality as its fusion does."""

    def __init__(self, fusion: Any, name: str) -> None:
        self.fusion, self.name = fusion, name

    def apply(self, values: Any) -> Any:
        """Return standardised features, float64."""
        own = self.fusion.scaling_[self.name].apply({self.name: values})
        return np.asarray(own, np.float64)


class _NetworkScaler:
    """Standardises raw features as a network does: by column, or by the one channel."""

    def __init__(self, scaling: Mapping[str, Any]) -> None:
        self.mean, self.scale = scaling["mean"], scaling["scale"]

    def apply(self, values: Any) -> Any:
        """Return standardised features, float64."""
        return (np.asarray(values, np.float64) - self.mean) / self.scale


def slopes_of(model: Any, blocks: Mapping[str, Block], nodes: int) -> Slopes:
    """Return the mean slopes of prepared rows, by quadratures of at least so many nodes.

    Of regressors in units of the standardised target.
    """
    if model.fusion == "late":
        return _of_late(model, blocks, nodes)
    if model.solver == "deep":
        return _of_network(model, blocks, nodes)
    fusion = model.fusion_
    rows, present = fusion.standardised(blocks)
    rows = {name: np.asarray(own, np.float64) for name, own in rows.items()}
    scalers = {name: _FusionScaler(fusion, name) for name in rows}
    if model.fusion == "kernel":
        slopes, baseline = fused_kernel_slopes(model, rows, present, nodes)
        return Slopes(slopes, rows, baseline, scalers)
    root = np.sqrt(shares(present, fusion.weights_, False))
    gains = {n: here * np.sqrt(fusion.weights_[n]) / root for n, here in present.items()}
    if model.solver in LINEAR:
        coef = np.atleast_2d(np.asarray(model.solver_.coef_, np.float64))
        slopes = {n: gains[n][:, None, None] * coef[:, fusion.slices_[n]] for n in rows}
        intercept = np.broadcast_to(np.atleast_1d(model.solver_.intercept_), (len(root), len(coef)))
        return Slopes(slopes, rows, np.array(intercept, np.float64), scalers)
    fused = np.asarray(np.hstack([rows[n] * gains[n][:, None] for n in rows]), np.float64)
    whole, baseline = joint_kernel_slopes(model.solver_, fused, nodes)
    slopes = {n: whole[..., fusion.slices_[n]] * gains[n][:, None, None] for n in rows}
    return Slopes(slopes, rows, baseline, scalers)


def _of_late(model: Any, blocks: Mapping[str, Block], nodes: int) -> Slopes:
    """Pass the slopes of each modality's own model through the combination of scores."""
    fusion = model.fusion_
    present = {name: blocks[name].present for name in fusion.members_}
    factors, slopes, rows, scalers = fusion.factors(present), {}, {}, {}
    count = len(next(iter(present.values())))
    baseline = np.zeros((count, len(fusion.combinations_)))
    baseline += [one.intercept_ for one in fusion.combinations_]
    for name, member in fusion.members_.items():
        here = present[name]
        own = slopes_of(member, {name: blocks[name].take(here)}, nodes)
        slopes[name] = np.zeros((count, *own.slopes[name].shape[1:]))
        slopes[name][here] = own.slopes[name] * factors[name][here][..., None]
        rows[name] = np.zeros((count, own.rows[name].shape[1]))
        rows[name][here] = own.rows[name]
        baseline[here] += factors[name][here] * (own.baseline - fusion.centres_[name])
        scalers[name] = own.scalers[name]
    return Slopes(slopes, rows, baseline, scalers)


def _of_network(model: Any, blocks: Mapping[str, Block], nodes: int) -> Slopes:
    from fastmm.deep.path_gradients import path_gradients

    fusion = model.fusion_
    found = path_gradients(fusion.network_, fusion.inputs(blocks), nodes)
    scalers = {
        name: _NetworkScaler(fusion.network_.scaling_[name]) for name in fusion.network_.shapes_
    }
    return Slopes(found.slopes, found.rows, found.baseline, scalers)
