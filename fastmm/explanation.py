"""Why a score is what it is: what modalities, columns and patches add to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastmm.blocks import Block, spread_slices
from fastmm.fused_kernels import combine
from fastmm.multimodal_base import mean_by

__all__ = ["Similar", "contributions", "feature_contributions", "leverage", "similar_cases"]


class Similar(NamedTuple):
    """The training rows most like each row.

    Parameters
    ----------
    rows : int array of shape (n, k)
        Their numbers, the most similar first.
    similarity : array of shape (n, k)
        Their kernel values, 1 for a twin.
    """

    rows: np.ndarray[Any, Any]
    similarity: np.ndarray[Any, Any]


def contributions(model: Any, X: Mapping[str, Any]) -> dict[str, Any]:
    """Split scores into what each modality adds, and the intercept; see `contributions`.

    Parameters
    ----------
    model : MultimodalClassifier or MultimodalRegressor
        Fitted.
    X : dict of str to raw data or Block
        Rows.

    Returns
    -------
    dict of str to array
        Parts that sum to the score.
    """
    check_is_fitted(model, "fusion_")
    blocks, owner = spread_slices(model.extract(X))
    return {
        name: part if name == "intercept" else mean_by(owner, part)
        for name, part in _parts(model, blocks).items()
    }


def feature_contributions(model: Any, X: Mapping[str, Any]) -> dict[str, Any]:
    """Split the scores of a linear model into what each feature adds.

    Parameters
    ----------
    model : MultimodalClassifier or MultimodalRegressor
        Fitted, with solver "ridge" or "linear".
    X : dict of str to raw data or Block
        Rows.

    Returns
    -------
    dict of str to array of shape (rows, [classes,] features)
        For each modality; with the "intercept" of `contributions` they sum to the score.
    """
    check_is_fitted(model, "fusion_")
    if model.solver not in ("ridge", "linear"):
        raise ValueError(f'Features add up for "ridge" and "linear", got "{model.solver}".')
    blocks, owner = spread_slices(model.extract(X))
    scale = getattr(model, "scale_", 1.0)  # regressors predict in their own unit
    return {name: scale * mean_by(owner, p) for name, p in _features(model, blocks).items()}


def similar_cases(model: Any, X: Mapping[str, Any], count: int = 3) -> Similar:
    """Find the training rows that the kernel of a model takes for most similar.

    Parameters
    ----------
    model : MultimodalClassifier or MultimodalRegressor
        Fitted, with a kernel: solver "lssvm" or "svm", and not fused late.
    X : dict of str to raw data or Block
        Rows, whose slices are not rows of their own.
    count : int, default 3
        How many for each.

    Returns
    -------
    Similar
        Numbers of training rows, in the order of `fit`, and kernel values.
    """
    check_is_fitted(model, "fusion_")
    if model.fusion == "late" or model.solver not in ("lssvm", "svm"):
        raise ValueError('Similar cases need `solver` "lssvm" or "svm", and no late fusion.')
    fused = model.fusion_.transform(spread_slices(model.extract(X))[0])
    if model.fusion == "stack":
        if model.solver == "svm":
            raise ValueError('Similar cases of "svm" need `fusion="kernel"`.')
        from fastmm.pairwise import rbf_kernel

        fused = rbf_kernel(fused, model.solver_.X_fit_, gamma=model.solver_.gamma_)
    order = np.argsort(-fused, axis=1, kind="stable")[:, :count]
    return Similar(order, np.take_along_axis(fused, order, axis=1))


def leverage(model: Any, X: Mapping[str, Any]) -> Any:
    """Return how far rows lie from the training data: above 1, further than any of it was.

    Parameters
    ----------
    model : MultimodalClassifier or MultimodalRegressor
        Fitted.
    X : dict of str to raw data or Block
        Rows.

    Returns
    -------
    array of shape (rows,)
        See `fastmm.novelty.Novelty`; of models fused late the largest of its modalities,
        of slices that are rows the largest. NaN for "deep", which knows no leverage.
    """
    check_is_fitted(model, "fusion_")
    blocks, owner = spread_slices(model.extract(X))
    found = _leverage(model, blocks)
    if owner is None:
        return found
    largest = np.zeros(int(owner.max()) + 1)
    np.maximum.at(largest, owner, found)
    return largest


def _leverage(model: Any, blocks: Mapping[str, Block]) -> Any:
    if model.solver == "deep":
        return np.full(len(next(iter(blocks.values())).present), np.nan)
    if model.fusion != "late":
        return model.novelty_.ratio(model.fusion_.transform(blocks))
    found = np.zeros(len(next(iter(blocks.values())).present))
    for name, member in model.fusion_.members_.items():
        here = blocks[name].present
        if here.any():
            own = _leverage(member, {name: blocks[name].take(here)})
            found[here] = np.maximum(found[here], own)
    return found


def _parts(model: Any, blocks: Mapping[str, Block]) -> Any:
    if model.solver == "deep":
        raise ValueError('`contributions` must be asked of another `solver` than "deep".')
    if model.fusion == "late":
        return model.fusion_.contributions(blocks)
    if model.fusion == "kernel":
        return _kernel_parts(model, blocks)
    if model.solver not in ("ridge", "linear") and len(blocks) > 1:
        raise ValueError(
            f'`contributions` of "{model.solver}" need `fusion` "kernel" or "late": an RBF kernel '
            "of stacked features is no sum over modalities."
        )
    intercept = np.asarray(model.solver_.intercept_)
    if model.solver not in ("ridge", "linear"):
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
    found, left = {}, whole
    for name, part in parts.items():
        both = present[name][:, None] & fusion.present_[name][None]
        own = fusion.weights_[name] * both * part / _roots(fusion, present)
        found[name], left = own[:, support] @ dual, left - own
    if fusion.interactions:
        found["interactions"] = left[:, support] @ dual
    intercept = np.asarray(solver.intercept_)
    found["intercept"] = intercept if dual.ndim == 2 else float(intercept.reshape(-1)[0])
    return found


def _roots(fusion: Any, present: Mapping[str, Any]) -> Any:
    from fastmm.fused_kernels import shares

    given = (fusion.weights_, fusion.interactions)
    return np.sqrt(shares(present, *given)[:, None] * shares(fusion.present_, *given))


def _features(model: Any, blocks: Mapping[str, Block]) -> dict[str, Any]:
    if model.fusion == "late":
        factors = model.fusion_.factors({n: b.present for n, b in blocks.items()})
        found = {}
        for name, member in model.fusion_.members_.items():
            here = blocks[name].present
            own = _features(member, {name: blocks[name].take(here)})[name]
            out = np.zeros((len(here), *own.shape[1:]))
            factor = factors[name][here]
            out[here] = own * (factor[..., None] if own.ndim == 3 else factor)
            found[name] = out
        return found
    fused = np.asarray(model.fusion_.transform(blocks), np.float64)
    coef = np.asarray(model.solver_.coef_)
    if coef.ndim == 1:
        return {n: fused[:, at] * coef[at] for n, at in model.fusion_.slices_.items()}
    return {n: fused[:, None, at] * coef[:, at] for n, at in model.fusion_.slices_.items()}
