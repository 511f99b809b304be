"""Blocks of columns, each with a penalty of its own: banded ridge regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastmm._check import number
from fastmm.solve.ridge.design import Design

__all__ = ["BandedGrams", "Bands"]

_LEAST = 1e-5  # share of a block that a candidate all but leaves out


class Bands:
    r"""A partition of the columns into blocks, one for each modality.

    .. math:: \min_\beta |y - X \beta|^2 + \sum_b \alpha_b |\beta_b|^2

    is an ordinary ridge problem with penalty 1 in columns times :math:`\alpha_b^{-1/2}`;
    the Gram matrix of its rows is the sum of those of the blocks over
    :math:`\alpha_b`.

    Parameters
    ----------
    blocks : mapping of name to columns, or sequence of columns
        Columns of each block, as a slice or as indices; each column in one block.
    d : int
        Number of columns.

    Raises
    ------
    ValueError
        If a block is empty, or the blocks do not hold each column once.
    TypeError
        If `blocks` is something else.

    Examples
    --------
    >>> bands = Bands({"ct": slice(0, 2), "age": [2]}, 3)
    >>> bands.factors(bands.penalties({"ct": 4.0, "age": 1.0}))
    array([0.5, 0.5, 1. ])
    """

    def __init__(self, blocks: Any, d: int) -> None:
        named = isinstance(blocks, Mapping)
        if not named and (isinstance(blocks, (str, bytes)) or not isinstance(blocks, Sequence)):
            raise TypeError(
                "`blocks` must be a dict or a list of slices or arrays of column indices, "
                f"got {type(blocks).__name__}."
            )
        self.names: list[Any] | None = list(blocks) if named else None
        given = list(blocks.values()) if named else list(blocks)
        labels = [self._label("blocks", i) for i in range(len(given))]
        self.columns = [_columns(*pair, d) for pair in zip(given, labels, strict=True)]
        times = np.zeros(d, np.intp)
        for columns in self.columns:
            np.add.at(times, columns, 1)
        none, many = int((times == 0).sum()), int((times > 1).sum())
        if not self.columns or none or many:
            raise ValueError(
                f"`blocks` must hold each of the {d} columns of X once, got {none} in no block and "
                f"{many} more than once."
            )

    def penalties(self, alpha: Any) -> np.ndarray[Any, Any]:
        """Return the checked penalty of each block, (blocks,); a number is that of all."""
        if isinstance(alpha, Mapping):
            if self.names is None or set(alpha) != set(self.names):
                raise ValueError(
                    f"`alpha` must have a penalty for each block, {self.names or 'in a list'}, "
                    f"got {list(alpha)}."
                )
            values = [alpha[name] for name in self.names]
        elif isinstance(alpha, (Sequence, np.ndarray)) and not isinstance(alpha, (str, bytes)):
            values = list(alpha)
        else:
            values = [number(alpha, "alpha", above=0)] * len(self.columns)
        if len(values) != len(self.columns):
            raise ValueError(
                f"`alpha` must have a penalty for each of the {len(self.columns)} blocks, "
                f"got {len(values)}."
            )
        return np.array(
            [number(value, self._label("alpha", i), above=0) for i, value in enumerate(values)]
        )

    def factors(self, penalties: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the factor of each column that makes its penalty 1, (d,)."""
        factors = np.empty(sum(columns.size for columns in self.columns))
        for columns, penalty in zip(self.columns, penalties, strict=True):
            factors[columns] = penalty**-0.5
        return factors

    def named(self, values: np.ndarray[Any, Any]) -> Any:
        """Turn values (blocks, ...) into a dict where the blocks have names, else a list."""
        plain = [float(value) if np.ndim(value) == 0 else value for value in values]
        return plain if self.names is None else dict(zip(self.names, plain, strict=True))

    def candidates(self, count: int, seed: int) -> np.ndarray[Any, Any]:
        """Return penalties of the blocks relative to a common one, (count, blocks).

        All the same; each block with the others all but left out; then shares drawn evenly
        from the simplex, in turn with shares that favour few blocks.
        """
        blocks = len(self.columns)
        rng = np.random.default_rng(seed)
        shares = [np.full(blocks, 1 / blocks), *(np.eye(blocks) if blocks > 1 else ())]
        while len(shares) < count and blocks > 1:
            shares.append(rng.dirichlet(np.full(blocks, (1.0, 0.3)[len(shares) % 2])))
        relative: np.ndarray[Any, Any] = blocks * np.maximum(np.stack(shares[:count]), _LEAST)
        return 1.0 / relative

    def _label(self, name: str, i: int) -> str:
        return f"{name}[{i if self.names is None else self.names[i]!r}]"


class BandedGrams:
    """The Gram matrix of a design for any penalties of its blocks, from products made once.

    With more columns than rows these are the (n, n) matrices of the blocks.
    """

    def __init__(self, design: Design, bands: Bands) -> None:
        self.bands, self.xp = bands, design.xp
        self.primal = design.shape[1] <= design.shape[0]
        self._parts = (
            [design.gram(True)]
            if self.primal
            else [design.row_gram(_run(columns)) for columns in bands.columns]
        )

    def at(self, penalties: np.ndarray[Any, Any]) -> Any:
        """Return the Gram matrix of the columns over the roots of their penalties."""
        if self.primal:
            factors = self.xp.asarray(self.bands.factors(penalties))
            return factors[:, None] * self._parts[0] * factors
        total = self._parts[0] / float(penalties[0])
        for part, penalty in zip(self._parts[1:], penalties[1:], strict=True):
            total += part / float(penalty)
        return total


def _columns(block: Any, label: str, d: int) -> np.ndarray[Any, Any]:
    every = np.arange(d)
    if isinstance(block, slice):
        columns = every[block]
    else:
        index = np.asarray(block)
        if index.ndim != 1 or index.dtype.kind not in "iu":
            raise TypeError(f"`{label}` must be a slice or a 1-D array of column indices.")
        if index.size and not (-d <= int(index.min()) and int(index.max()) < d):
            raise ValueError(f"`{label}` names a column that X, with {d} columns, has not.")
        columns = every[index]
    if columns.size == 0:
        raise ValueError(f"`{label}` must hold at least one column, got none.")
    return columns


def _run(columns: np.ndarray[Any, Any]) -> Any:
    """Return a slice where the columns lie side by side, which spares a copy."""
    start, stop = int(columns[0]), int(columns[0]) + columns.size
    return slice(start, stop) if np.array_equal(columns, np.arange(start, stop)) else columns
