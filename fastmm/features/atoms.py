"""Learn a dictionary from patches: whitening, and atoms that are patches or their means."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm._check import number
from fastmm._space import Space

__all__ = ["cluster_atoms", "draw_atoms", "learn_atoms", "whitening_of"]

_ROWS = 4096  # at a time, so that their products with all atoms stay in a cache


def learn_atoms(
    space: Space,
    rows: Any,
    count: int,
    rng: np.random.Generator,
    whitening: float | None,
    most: int | None,
    rounds: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return atoms, and the axes that patches are turned to first, on the host.

    Atoms are drawn, then moved in `rounds` of clustering.
    """
    axes = None
    if whitening is not None:
        floor = number(whitening, "whitening", above=0)
        axes = whitening_of(rows, floor, most, space).astype(np.float32)
        rows = rows @ space.asarray(axes).T
    elif most is not None:
        raise ValueError(f"`n_components` must be None without `whitening`, got {most}.")
    found = cluster_atoms(rows, count, rng, space, rounds)
    return np.asarray(space.to_host(found), np.float32), axes


def whitening_of(rows: Any, floor: float, most: int | None, space: Any) -> NDArray[np.float64]:
    """Return (L + floor)^-1/2 V', (axes, pixels), for the second moments V L V' of rows.

    Axes are in order of their variance, `most` of them at most; those without any, such as
    the mean of a patch, are left out.
    """
    size = rows.shape[1]
    total = space.xp.zeros((size, size), np.float64)
    for first in range(0, len(rows), _ROWS):
        part = rows[first : first + _ROWS].astype(np.float64)
        total += part.T @ part
    values, vectors = np.linalg.eigh(space.to_host(total) / len(rows))
    values, vectors = values[::-1], vectors[:, ::-1]
    known = max(1, int((values > 1e-6 * values[0]).sum()))
    known = known if most is None else min(known, most)
    scale = np.sqrt(np.maximum(values[:known], 0) + floor)
    return np.ascontiguousarray((vectors[:, :known] / scale).T)


def draw_atoms(rows: Any, count: int, rng: np.random.Generator, space: Any) -> Any:
    """Return rows, drawn among those that are not 0, of length 1."""
    lengths = space.to_host((rows * rows).sum(1))
    free = np.flatnonzero(lengths > 0)
    chosen = rng.permutation(free)[:count] if free.size >= count else rng.choice(len(rows), count)
    return _unit(space.xp, rows[space.asarray(np.sort(chosen))])


def cluster_atoms(rows: Any, count: int, rng: np.random.Generator, space: Any, rounds: int) -> Any:
    """Return `count` directions of length 1 that explain the rows best, one for each row.

    Gain-shape vector quantisation (spherical k-means for both signs): a row goes to the
    atom of the largest absolute product, an atom becomes the direction of the sum of its
    rows, times these products. An atom without rows becomes a row drawn again.
    """
    xp = space.xp
    atoms = draw_atoms(rows, count, rng, space)
    for _ in range(rounds):
        sums = xp.zeros(atoms.shape, np.float32)
        for first in range(0, len(rows), _ROWS):
            part = rows[first : first + _ROWS]
            products = part @ atoms.T
            best = xp.abs(products).argmax(1)
            each = xp.arange(len(part))
            chosen = xp.zeros(products.shape, np.float32)
            chosen[each, best] = products[each, best]
            sums += chosen.T @ part
        empty = np.flatnonzero(space.to_host((sums * sums).sum(1)) == 0)
        atoms = _unit(xp, sums)
        if empty.size:
            atoms[space.asarray(empty)] = draw_atoms(rows, empty.size, rng, space)
    return atoms


def _unit(xp: Any, rows: Any) -> Any:
    lengths = xp.sqrt((rows * rows).sum(1, keepdims=True))
    return xp.where(lengths > 0, rows / xp.where(lengths > 0, lengths, 1), 0).astype(np.float32)
