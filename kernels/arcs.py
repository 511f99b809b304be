"""Turn inner products into kernels of wide networks, layer by layer, in place.

A layer maps k to |x| |y| J(angle) / pi, where the angle between the features of x and y is
that of k and of the norms before the layer, rows of `left` and `right`. `plan` is the number
of layers and the activation: 0, 1 or 2 for a power of the positive part, 3 for the tangent
kernel of the first; `constant` is what each layer adds to k.

All of it is float64: the angle of two vectors that are nearly the same has half the digits of
its cosine.
"""

import math

import numpy as np

from ._angles import cosine, ramp, step, supplement
from ._jit import Kernel, cuda, prange, scalar

__all__ = ["arcs"]

_TILE = 1024  # columns that stay in the cache from layer to layer


@scalar
def _square(k, size):
    c = cosine(k, size)
    s, angle = math.sqrt((1.0 - c) * (1.0 + c)), supplement(c)
    return size * size * ((3.0 * s * c + angle * (1.0 + 2.0 * c * c)) * (1 / math.pi))


@scalar
def _step_row(row, a, right):
    for j in range(row.size):
        row[j] = step(row[j], math.sqrt(a * right[j]))


@scalar
def _ramp_row(row, a, right):
    for j in range(row.size):
        row[j] = ramp(row[j], math.sqrt(a * right[j]))


@scalar
def _square_row(row, a, right):
    for j in range(row.size):
        row[j] = _square(row[j], math.sqrt(a * right[j]))


@scalar
def _tangent_row(row, tangent, a, right, constant):
    for j in range(row.size):
        size = math.sqrt(a * right[j])
        tangent[j] *= step(row[j], size)
        row[j] = ramp(row[j], size) + constant
        tangent[j] += row[j]


def _rows(gram, left, right, plan, constant):
    depth, kind = plan
    n, m = gram.shape
    for i in prange(n):
        tangents = np.empty(_TILE)
        for start in range(0, m, _TILE):
            row = gram[i, start : start + _TILE]
            if kind == 3:
                tangent = tangents[: row.size]
                tangent[:] = row
            for layer in range(depth):
                a, others = left[layer, i], right[layer, start : start + _TILE]
                if kind == 0:
                    _step_row(row, a, others)
                elif kind == 1:
                    _ramp_row(row, a, others)
                elif kind == 2:
                    _square_row(row, a, others)
                else:
                    _tangent_row(row, tangent, a, others, constant[0])
            if kind == 3:
                row[:] = tangent


def _threads(work, gram, left, right, plan, constant):
    depth, kind = plan[0], plan[1]
    columns = gram.shape[1]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        i, j = element // columns, element % columns
        k = gram[i, j]
        tangent = k
        for layer in range(depth):
            size = math.sqrt(left[layer, i] * right[layer, j])
            if kind == 0:
                k = step(k, size)
            elif kind == 1:
                k = ramp(k, size)
            elif kind == 2:
                k = _square(k, size)
            else:
                tangent *= step(k, size)
                k = ramp(k, size) + constant[0]
                tangent += k
        gram[i, j] = tangent if kind == 3 else k


arcs = Kernel("arcs", _rows, _threads)
