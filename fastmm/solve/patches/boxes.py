r"""Sums over the positions of a patch, along one axis or along the diagonals of two.

Where neighbouring sums share all but two of their terms, each is got from the one before:
add the term that enters, subtract the one that leaves.
"""

from __future__ import annotations

from typing import Any

__all__ = ["slide", "slide_diagonal"]

_FEW = 3  # terms that are added as fast as one enters and one leaves


def slide(values: Any, axis: int, size: int, count: int, step: int, xp: Any) -> Any:
    r"""Sum `count` elements, `step` apart, beginning at each of the first `size`.

    .. math:: s_i = \sum_{k < \mathrm{count}} v_{i + k\,\mathrm{step}}, \quad i < \mathrm{size}

    Parameters
    ----------
    values : array, float64
        At least size + step (count - 1) elements along the axis.
    axis, size, count, step : int
        The axis, and what the formula says.
    xp : module
        Namespace of the array.

    Returns
    -------
    array
        The sums, `size` along the axis.

    Examples
    --------
    >>> import numpy as np
    >>> slide(np.array([1.0, 2.0, 3.0, 4.0]), 0, 3, 2, 1, np)
    array([3., 5., 7.])
    """
    shape = list(values.shape)
    shape[axis] = size
    full = xp.empty(shape)
    v, out = xp.moveaxis(values, axis, 0), xp.moveaxis(full, axis, 0)
    span = step * count
    head = size if count <= _FEW else min(step, size)
    out[:head] = v[:head]
    for k in range(step, span, step):
        out[:head] += v[k : k + head]
    for i in range(head, size):
        leaves, enters = i - step, i + span - step
        xp.subtract(v[enters : enters + 1], v[leaves : leaves + 1], out=out[i : i + 1])
        out[i : i + 1] += out[leaves : leaves + 1]
    return full


def slide_diagonal(
    values: Any, axes: tuple[int, int], size: int, count: int, step: int, xp: Any
) -> Any:
    r"""Sum along the diagonals of two axes, beginning at each of the first `size` of both.

    .. math:: s_{ij} = \sum_{k < \mathrm{count}} v_{i + k\,\mathrm{step},\; j + k\,\mathrm{step}}

    Parameters
    ----------
    values : array, float64
        At least size + step (count - 1) elements along both axes.
    axes : pair of int
        The axes.
    size, count, step : int
        What the formula says.
    xp : module
        Namespace of the array.

    Returns
    -------
    array
        The sums, `size` along both axes.

    Examples
    --------
    >>> import numpy as np
    >>> slide_diagonal(np.arange(9.0).reshape(3, 3), (0, 1), 2, 2, 1, np)
    array([[ 4.,  6.],
           [10., 12.]])
    """
    shape = list(values.shape)
    for axis in axes:
        shape[axis] = size
    # In the order of the axes as they are, so that the innermost loops meet neighbours.
    full = xp.empty(shape)
    v, out = xp.moveaxis(values, axes, (0, 1)), xp.moveaxis(full, axes, (0, 1))
    head = size if count <= _FEW else min(step, size)
    _add_terms(v, out, slice(0, head), slice(0, size), count, step)
    if head == size:
        return full
    _add_terms(v, out, slice(head, size), slice(0, head), count, step)
    span, rest = step * count, size - step
    for i in range(step, size):
        xp.subtract(v[i + span - step, span : span + rest], v[i - step, :rest], out=out[i, step:])
        out[i, step:] += out[i - step, :rest]
    return full


def _add_terms(v: Any, out: Any, rows: slice, columns: slice, count: int, step: int) -> None:
    out[rows, columns] = v[rows, columns]
    for k in range(step, step * count, step):
        out[rows, columns] += v[
            rows.start + k : rows.stop + k, columns.start + k : columns.stop + k
        ]
