"""Mean gradients of a network between the mean of its training rows and a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from fastmm.deep.batches import Batches
from fastmm.deep.inputs import take_inputs
from fastmm.deep.passes import deterministic
from fastmm.deep.runs import fitted_network
from fastmm.deep.tensors import telling_of_memory, torch_device

__all__ = ["PathGradients", "path_gradients"]

_ROWS = 16  # at once: each keeps what a backward pass needs


class PathGradients(NamedTuple):
    """Of each modality (n, scores, values) and (n, values); of the baseline (n, scores)."""

    slopes: dict[str, Any]
    rows: dict[str, Any]
    baseline: Any


def path_gradients(model: Any, X: Mapping[str, Any], nodes: int) -> PathGradients:
    r"""Integrate the gradients of the scores of a fitted `DeepClassifier`.

    .. math:: \bar g_j = \sum_k w_k\, \partial_j f(t_k z), \qquad
              \sum_j z_j \bar g_j \approx f(z) - f(0),

    with t = s^3 at Gauss-Legendre nodes s, their weights w, and z the standardised inputs:
    at 0 each pixel and column has its training mean. What a row lacks stays lacking.

    Parameters
    ----------
    model : DeepClassifier
        Fitted.
    X : dict of str to array or Block
        As `predict` takes it.
    nodes : int
        Number of nodes; each is a pass forward and one back for each score.

    Returns
    -------
    PathGradients
        Scores are the log odds of two classes, or logits less their mean.

    References
    ----------
    .. [1] Sundararajan, M., Taly, A., & Yan, Q. (2017). Axiomatic attribution for deep
       networks. ICML. https://doi.org/10.48550/arXiv.1703.01365
    """
    inputs = take_inputs(X, model.channels)
    device = torch_device(model.device, inputs.space)
    network = fitted_network(model).to(device).eval().requires_grad_(False)
    if all(len(shape) == 1 for shape in model.shapes_.values()):
        network = network.double()
    points, weights = np.polynomial.legendre.leggauss(nodes)
    points, weights = (points + 1) / 2, weights / 2
    # t = s^3: normalised features are steep near a constant image, where they are 0.
    quadrature = list(zip(points**3, weights * 3 * points**2, strict=True))
    slopes: dict[str, list[Any]] = {name: [] for name in model.shapes_}
    rows: dict[str, list[Any]] = {name: [] for name in model.shapes_}
    baseline = []
    with telling_of_memory(device), deterministic(device):
        batches = Batches(inputs, list(model.shapes_), model.scaling_, device)
        for chosen in torch.arange(inputs.n).split(_ROWS):
            near, present = batches.take(chosen)
            near = {name: own.to(network.absent.dtype) for name, own in near.items()}
            found, start = _integrate(network, near, present, quadrature)
            baseline.append(start)
            for name, own in near.items():
                slopes[name].append(found[name].flatten(2).cpu().numpy())
                rows[name].append(own.flatten(1).double().cpu().numpy())
    return PathGradients(
        {name: np.concatenate(own) for name, own in slopes.items() if own},
        {name: np.concatenate(own) for name, own in rows.items() if own},
        np.concatenate(baseline),
    )


def _integrate(network: Any, near: Any, present: Any, quadrature: Any) -> tuple[Any, Any]:
    """Return the mean gradients (rows, scores, ...) and the scores at 0."""
    with torch.no_grad():
        zeros = {name: torch.zeros_like(own) for name, own in near.items()}
        start = _scores(network(zeros, present)).double().cpu().numpy()
    total: dict[str, Any] = {}
    for t, weight in quadrature:
        at = {name: (float(t) * own).requires_grad_(True) for name, own in near.items()}
        scores = _scores(network(at, present))
        for k in range(scores.shape[1]):
            last = k == scores.shape[1] - 1
            found = torch.autograd.grad(
                scores[:, k].sum(), list(at.values()), retain_graph=not last
            )
            for name, own in zip(at, found, strict=True):
                if name not in total:
                    shape = (own.shape[0], scores.shape[1], *own.shape[1:])
                    total[name] = torch.zeros(shape, dtype=torch.float64, device=own.device)
                total[name][:, k] += float(weight) * own.double()
    return total, start


def _scores(logits: Any) -> Any:
    if logits.shape[1] == 2:
        return logits[:, 1:] - logits[:, :1]
    return logits - logits.mean(dim=1, keepdim=True)
