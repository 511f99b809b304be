"""Gram matrices of infinitely wide networks, of rows that were checked."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import integer, number
from fastmm._space import Space

__all__ = ["Layers", "arccos_layers", "layered", "layered_diagonal", "ntk_layers"]

_TANGENT = 3  # the activation of the kernel that stands for the tangent kernel


class Layers(NamedTuple):
    """Layers of a wide network: the activation as the kernel counts them, and biases."""

    kind: int
    depth: int
    bias: float = 0.0

    def after(self, norms: Any, xp: Any) -> Any:
        """Return k(x, x) after a layer."""
        if self.kind == 0:
            return xp.where(norms > 0, 1.0, 0.5)
        return 3.0 * norms * norms if self.kind == 2 else norms + self.bias**2


def arccos_layers(degree: Any, depth: Any) -> Layers:
    """Check the parameters of the arc-cosine kernel."""
    degree = integer(degree, "degree", minimum=0)
    if degree > 2:
        raise ValueError(f"`degree` must be 0, 1 or 2, got {degree}.")
    return Layers(degree, integer(depth, "depth"))


def ntk_layers(depth: Any, bias: Any) -> Layers:
    """Check the parameters of the neural tangent kernel."""
    return Layers(_TANGENT, integer(depth, "depth"), number(bias, "bias", minimum=0))


def layered(X: Any, Y: Any, layers: Layers, space: Space) -> Any:
    """Return the kernel of rows (n, d), (m, d), in float64."""
    from fastmm.kernels.arcs import arcs

    xp = space.xp
    X, Y, layers, scale = _scaled(X, Y, layers, xp)
    gram = X @ (X if Y is None else Y).T
    if Y is None:
        # What the matrix product found for |x|^2, so that equal rows have an angle of 0.
        norms = [gram.diagonal().copy()] * 2
    else:
        norms = [xp.einsum("ij,ij->i", rows, rows) for rows in (X, Y)]
    gram = _first_layer(gram, X.shape[1], layers)
    first = [_first_layer(n, X.shape[1], layers) for n in norms]
    left, right = (_norms_by_layer(n, layers, xp) for n in first)
    plan = space.asarray(np.array([layers.depth, layers.kind]))
    constant = space.asarray(np.array([layers.bias**2]))
    gram = xp.ascontiguousarray(gram)
    space.launch(arcs, gram.size, gram, left, right, plan, constant)
    if Y is None:  # the last elements of a row may round otherwise than those in lanes
        gram = xp.triu(gram) + xp.triu(gram, 1).T
    return _rescaled(gram, layers, scale, xp)


def layered_diagonal(X: Any, layers: Layers, space: Space) -> Any:
    """Return k(x, x) of each row (n,), float64."""
    xp = space.xp
    X, _, layers, scale = _scaled(X, None, layers, xp)
    norms = _first_layer(xp.einsum("ij,ij->i", X, X), X.shape[1], layers)
    total = norms
    for _ in range(layers.depth):
        half = xp.where(norms > 0, 1.0, 0.5)  # the share of a step, 1 at an angle of 0
        norms = layers.after(norms, xp)
        total = total * half + norms
    return _rescaled(total if layers.kind == _TANGENT else norms, layers, scale, xp)


def _scaled(X: Any, Y: Any, layers: Layers, xp: Any) -> tuple[Any, Any, Layers, int]:
    """Return rows of at most 1, by a power of 2, of which squares do not overflow."""
    rows = [a.astype(np.float64) for a in (X, Y) if a is not None]
    largest = max(float(abs(a).max()) for a in rows)
    exponent = math.frexp(max(largest, layers.bias))[1]
    factor = math.ldexp(1.0, -exponent) if -1000 < exponent < 1000 else 0.0
    if largest > 0 and factor == 0.0:
        raise ValueError("`X` or `Y` is so large or so small that squares leave float64; rescale.")
    if exponent:
        for a in rows:
            a *= factor
    scaled = layers._replace(bias=layers.bias * factor)
    return rows[0], rows[1] if len(rows) > 1 else None, scaled, exponent


def _first_layer(inner: Any, features: int, layers: Layers) -> Any:
    return inner / features + layers.bias**2 if layers.kind == _TANGENT else inner


def _norms_by_layer(norms: Any, layers: Layers, xp: Any) -> Any:
    found = [norms]
    for _ in range(layers.depth - 1):
        found.append(layers.after(found[-1], xp))
    return xp.stack(found)


def _rescaled(gram: Any, layers: Layers, exponent: int, xp: Any) -> Any:
    """Undo `_scaled`: a layer of degree n raises norms to the power n."""
    if layers.kind == 0 or exponent == 0:
        return gram
    power = 2 * exponent * (2**layers.depth if layers.kind == 2 else 1)
    if power > 1000:
        most = float(abs(gram).max())
        if most > 0 and math.frexp(most)[1] + power > 1023:
            raise ValueError("The kernel overflows float64; rescale `X`, or lower `depth`.")
    for part in (power // 2, power - power // 2):  # either alone is a float
        gram *= math.ldexp(1.0, min(max(part, -1074), 1023))
    return gram
