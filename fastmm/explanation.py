"""Why a score is what it is: what modalities, columns and pixels add to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastmm._check import integer
from fastmm.blocks import Block, spread_slices
from fastmm.explain.slopes import LINEAR, Slopes, slopes_of
from fastmm.fusion.fused_kernels import combine, shares
from fastmm.fusion.multimodal_base import mean_by
from fastmm.fusion.row_parts import over_parts

__all__ = [
    "PathParts",
    "average_parts",
    "contributions",
    "feature_contributions",
    "integrated_gradients",
]

_BASELINE, _ERROR = "\0baseline", "\0error"  # no name of a modality


class PathParts(NamedTuple):
    """What features add to scores, along the way from the mean of the training rows.

    Parameters
    ----------
    parts : dict of str to array of shape (rows, features), or (rows, classes, features)
        Of each modality; 0 in rows that lack it.
    baseline : array of shape (rows,) or (rows, classes)
        Score of the same modalities with every feature at its training mean.
    error : array of the shape of `baseline`
        Score less baseline and parts: what the quadrature leaves unexplained.
    """

    parts: dict[str, Any]
    baseline: Any
    error: Any


def contributions(model: Any, X: Mapping[str, Any]) -> dict[str, Any]:
    """Split scores into what each modality adds, and the intercept; exactly.

    Parameters
    ----------
    model : MultimodalClassifier or MultimodalRegressor
        Fitted: linear, or with a kernel for each modality, or fused late.
    X : dict of str to raw data or Block
        Rows.

    Returns
    -------
    dict of str to array of shape (rows,) or (rows, classes)
        Parts that sum to the score: one for each modality, "intercept", and with
        `interactions` "interactions".

    Raises
    ------
    ValueError
        For a network, and for one RBF kernel of several modalities: they are no sums over
        modalities. See `integrated_gradients`.
    """
    check_is_fitted(model, "fusion_")
    unit, centre = _unit(model)

    def split(part: dict[str, Block]) -> dict[str, Any]:
        blocks, owner = spread_slices(part)
        return {
            name: part * unit + centre if name == "intercept" else mean_by(owner, part) * unit
            for name, part in _parts(model, blocks).items()
        }

    return over_parts(model, X, split, fixed=("intercept",))


def feature_contributions(model: Any, X: Mapping[str, Any]) -> dict[str, Any]:
    r"""Split the scores of a linear model into what each feature adds; exactly.

    .. math:: f(x) = b + \sum_j \beta_j (x_j - \mu_j) / \sigma_j

    Parameters
    ----------
    model : MultimodalClassifier or MultimodalRegressor
        Fitted, with solver "ridge" or "linear".
    X : dict of str to raw data or Block
        Rows.

    Returns
    -------
    dict of str to array of shape (rows, features) or (rows, classes, features)
        For each modality, and "intercept" of shape (rows,) or (rows, classes): the sum over
        all features and the intercept is the score.

    Raises
    ------
    ValueError
        For solvers that are not linear; see `integrated_gradients`.
    """
    check_is_fitted(model, "fusion_")
    if model.solver not in LINEAR:
        raise ValueError(
            f'Features add up for "ridge" and "linear", got "{model.solver}"; '
            "`integrated_gradients` approximates the others."
        )

    def split(part: dict[str, Block]) -> dict[str, Any]:
        blocks, owner = spread_slices(part)
        parts, baseline = _averaged(model, slopes_of(model, blocks, 1), owner)
        return {**parts, "intercept": baseline}

    return over_parts(model, X, split, 2 * _targets(model))


def integrated_gradients(model: Any, X: Mapping[str, Any], *, nodes: int = 64) -> PathParts:
    r"""Split the scores of any model into what each feature adds, by integrated gradients.

    .. math:: f(z) - f(0) = \sum_j z_j \int_0^1 \partial_j f(tz)\, dt

    with z the standardised features, 0 at the mean of the training rows. Of linear models
    these are `feature_contributions`. Of others they are one of several fair ways to share
    what features do together; they depend on the baseline.

    Parameters
    ----------
    model : MultimodalClassifier or MultimodalRegressor
        Fitted.
    X : dict of str to raw data or Block
        Rows.
    nodes : int, default 64
        Nodes of the Gauss-Legendre quadrature. Kernel machines double them until the error
        is below 1e-7 of the largest score; of networks, which have kinks, it shrinks slowly.

    Returns
    -------
    PathParts
        Parts, baseline and the error that is left: they sum to the score.

    References
    ----------
    .. [1] Sundararajan, M., Taly, A., & Yan, Q. (2017). Axiomatic attribution for deep
       networks. ICML. https://doi.org/10.48550/arXiv.1703.01365
    """
    check_is_fitted(model, "fusion_")
    nodes = integer(nodes, "nodes")
    unit, centre = _unit(model)

    def split(part: dict[str, Block]) -> dict[str, Any]:
        blocks, owner = spread_slices(part)
        parts, baseline = _averaged(model, slopes_of(model, blocks, nodes), owner)
        score = mean_by(owner, model.score_rows(blocks)) * unit + centre
        left = score - baseline - sum(p.sum(-1) for p in parts.values())
        return {_BASELINE: baseline, _ERROR: left, **parts}

    found = over_parts(model, X, split, 4 * _targets(model))
    return PathParts(baseline=found.pop(_BASELINE), error=found.pop(_ERROR), parts=found)


def _targets(model: Any) -> int:
    """Return how many scores a row has."""
    count = len(getattr(model, "classes_", ()))
    return count if count > 2 else 1


def average_parts(model: Any, found: Slopes, owner: Any) -> tuple[dict[str, Any], Any]:
    """Return parts (n, targets, features) and baselines (n, targets) of examinations.

    `owner` tells the examination of each row, where slices are rows.
    """
    unit, centre = _unit(model)
    parts = {name: mean_by(owner, own) * unit for name, own in found.parts().items()}
    return parts, mean_by(owner, found.baseline) * unit + centre


def _averaged(model: Any, found: Slopes, owner: Any) -> tuple[dict[str, Any], Any]:
    """Do the same, without an axis where there is one target."""
    parts, baseline = average_parts(model, found, owner)
    if baseline.shape[1] == 1:
        return {name: own[:, 0] for name, own in parts.items()}, baseline[:, 0]
    return parts, baseline


def _unit(model: Any) -> tuple[float, float]:
    """Return scale and centre of what a regressor predicts; 1 and 0 of scores."""
    return getattr(model, "scale_", 1.0), getattr(model, "centre_", 0.0)


def _parts(model: Any, blocks: Mapping[str, Block]) -> Any:
    if model.fusion == "late":
        return model.fusion_.contributions(blocks)
    if model.solver == "deep":
        raise ValueError(
            '`contributions` must be asked of another `solver` than "deep", or of networks with '
            '`fusion="late"`: one network is no sum over modalities; `integrated_gradients` '
            "approximates it."
        )
    if model.fusion == "kernel":
        return _kernel_parts(model, blocks)
    if model.solver not in LINEAR and len(blocks) > 1:
        raise ValueError(
            f'`contributions` of "{model.solver}" need `fusion` "kernel" or "late": an RBF kernel '
            "of stacked features is no sum over modalities; `integrated_gradients` approximates it."
        )
    intercept = np.asarray(model.solver_.intercept_)
    if model.solver not in LINEAR:
        name = next(iter(blocks))
        score = model.score_rows(blocks)
        intercept = intercept if score.ndim == 2 else intercept.reshape(-1)[0]
        return {name: score - intercept, "intercept": intercept}
    fused = np.asarray(model.fusion_.transform(blocks), np.float64)
    coef = model.solver_.coef_
    parts = {n: fused[:, at] @ coef[..., at].T for n, at in model.fusion_.slices_.items()}
    return {**parts, "intercept": model.solver_.intercept_}


def _kernel_parts(model: Any, blocks: Mapping[str, Block]) -> dict[str, Any]:
    """Split the kernel; what it holds beyond the sum over modalities are interactions."""
    fusion, solver = model.fusion_, model.solver_
    rows, present = fusion.standardised(blocks)
    dual, parts = np.asarray(solver.dual_coef_), fusion.parts(rows)
    support = getattr(solver, "support_", slice(None))
    whole = combine(parts, present, fusion.present_, fusion.weights_, fusion.interactions)
    # Of a fused kernel, the part of one modality: the others set to 0, the shares kept.
    given = (fusion.weights_, fusion.interactions)
    roots = np.sqrt(shares(present, *given)[:, None] * shares(fusion.present_, *given))
    found, left = {}, whole
    for name, part in parts.items():
        both = present[name][:, None] & fusion.present_[name][None]
        own = fusion.weights_[name] * both * part / roots
        found[name], left = own[:, support] @ dual, left - own
    if fusion.interactions:
        found["interactions"] = left[:, support] @ dual
    intercept = np.asarray(solver.intercept_)
    found["intercept"] = intercept if dual.ndim == 2 else float(intercept.reshape(-1)[0])
    return found
