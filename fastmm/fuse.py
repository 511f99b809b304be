"""Fuse modalities by putting their features side by side, on a common scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastmm._check import finite, number
from fastmm._device_memory import tells_of_memory
from fastmm._space import enter
from fastmm.stacking import empty_stack, enter_blocks, stack_columns, stack_dtype
from fastmm.stacking_in_parts import Parts, in_parts, stack, write

__all__ = ["StackedFeatures", "stack_features"]


@dataclass(frozen=True)
class StackedFeatures:
    """Features of several modalities side by side, and how to do the same to new data.

    Attributes
    ----------
    X : array of shape (n, d)
        The stacked matrix, where the blocks live.
    slices : dict of str to slice
        The columns of each block in `X`.
    origin, shift, factor : arrays of shape (d,)
        Column j became ``((x - origin[j]) - shift[j]) * factor[j]``; origin + shift is the
        mean. Two numbers keep float32 exact for large means.

    Examples
    --------
    >>> from fastmm import stack_features
    >>> stacked = stack_features({"ct": [[1.0], [3.0]], "age": [[50.0], [70.0]]})
    >>> stacked.slices
    {'ct': slice(0, 1, None), 'age': slice(1, 2, None)}
    >>> stacked.apply({"ct": [[4.0]], "age": [[60.0]]})
    array([[2., 0.]])
    """

    X: Any
    slices: dict[str, slice]
    origin: Any
    shift: Any
    factor: Any

    def apply(
        self,
        blocks: Mapping[str, Any],
        *,
        memory_limit: int | str | None = None,
        out: Any = None,
    ) -> Any:
        """Stack new rows with the means, scales and weights of the first ones.

        Parameters
        ----------
        blocks : dict of str to array of shape (m, ...)
            The same blocks by name, with the same numbers of features, in any order.
        memory_limit : int or str, optional
            Bytes that the call may take beside what is in memory already, such as "2GB": rows
            of blocks on disk (memory-mapped, zarr) are read some at a time. The result counts,
            unless `out` is given.
        out : array of shape (m, d), optional
            Where the result goes: a NumPy, memory-mapped or zarr array of its dtype.

        Returns
        -------
        array of shape (m, d)
            The stacked matrix, where `blocks` live; float64 where they or `X` are.

        Raises
        ------
        ValueError
            If names or numbers of features differ, or a block holds NaN or infinity.
        TypeError
            If `blocks` live elsewhere than `X`.
        """
        if not isinstance(blocks, Mapping):
            raise TypeError(f"`blocks` must be a dict of arrays, got {type(blocks).__name__}.")
        if set(blocks) != set(self.slices):
            raise ValueError(f"`blocks` must be {sorted(self.slices)}, got {sorted(blocks)}.")
        blocks = {name: blocks[name] for name in self.slices}
        home, statistics, _ = enter(origin=self.origin, shift=self.shift, factor=self.factor)
        # In float32 the origin of a float64 fit would be rounded.
        least = statistics[0].dtype
        if in_parts(blocks, memory_limit, out):
            parts = Parts(blocks, memory_limit, out, least)
            self._check_place(home, parts.space, parts.blocks)
            return write(parts, statistics)
        space, rows, leave = enter_blocks(blocks)
        self._check_place(home, space, rows)
        out = empty_stack(space, rows, stack_dtype(rows, least))
        statistics = [a.astype(out.dtype, copy=False) for a in statistics]
        for name, block in rows.items():
            finite(block, f"blocks[{name!r}]", space.xp)
            stack_columns(space, block, out, self.slices[name], 1.0, False, statistics)
        return leave(out)

    def _check_place(self, home: Any, space: Any, blocks: Mapping[str, Any]) -> None:
        for name, block in blocks.items():
            width = self.slices[name].stop - self.slices[name].start
            if (given := block.size // len(block)) != width:
                raise ValueError(f"`blocks[{name!r}]` must have {width} features, got {given}.")
        if home != space:
            raise TypeError(
                f"`X` was stacked on {home} but `blocks` live on {space}; move them there first."
            )


@tells_of_memory
def stack_features(
    blocks: Mapping[str, Any],
    *,
    standardize: bool = True,
    weights: Mapping[str, float] | None = None,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> StackedFeatures:
    r"""Put the features of several modalities side by side, standardised by column.

    .. math:: X_{ij} = w_b\,\frac{x_{ij} - \mu_j}{\sigma_j}

    for the columns j of block b, with the mean and the standard deviation (of the
    population) of each column.

    Parameters
    ----------
    blocks : dict of str to array of shape (n, ...)
        One array for each modality, in the order of their columns; axes after the first
        are flattened. All on one device. NumPy, CuPy, or any DLPack arrays.
    standardize : bool, default True
        Whether to bring columns to mean 0 and standard deviation 1. A constant column
        becomes 0.
    weights : dict of str to float, optional
        Factor for each block, positive; 1 where not named.
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": rows
        of blocks on disk (memory-mapped, zarr) are read some at a time. The result counts,
        unless `out` is given.
    out : array of shape (n, d), optional
        Where the result goes: a NumPy, memory-mapped or zarr array of its dtype.

    Returns
    -------
    StackedFeatures
        With ``X`` of shape (n, d), float32, or float64 where a block is float64 or has
        integers over 16 bits; where the blocks live.

    Raises
    ------
    ValueError
        If blocks differ in their number of rows, are empty, hold NaN or infinity, or
        spread wider than their dtype can square.
    TypeError
        If blocks live on different devices.

    Notes
    -----
    On the CPU statistics are summed in float64 while a tile of columns is in the cache:
    each block is read from memory once and the result written once. Equals scikit-learn's
    ``StandardScaler`` followed by ``np.hstack``. Blocks on disk that do not fit at once
    are looked at twice, for means and spreads first (chunks are decoded once where the result
    is in memory: after an error it holds anything); the result is that of the call in memory
    but for rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import stack_features
    >>> ct, age = np.array([[1.0], [3.0]]), np.array([[50.0], [70.0]])
    >>> stack_features({"ct": ct, "age": age}, weights={"age": 0.5}).X
    array([[-1. , -0.5],
           [ 1. ,  0.5]])
    """
    if not isinstance(blocks, Mapping) or not blocks:
        raise TypeError("`blocks` must be a dict with at least one name and array.")
    scale = dict.fromkeys(blocks, 1.0)
    if weights is not None and not isinstance(weights, Mapping):
        raise TypeError(f"`weights` must be a dict of numbers, got {type(weights).__name__}.")
    for name, weight in (weights or {}).items():
        if name not in scale:
            raise ValueError(f"`weights` must name blocks ({sorted(scale)}), got {name!r}.")
        scale[name] = number(weight, f"weights[{name!r}]", above=0)
    if in_parts(blocks, memory_limit, out):
        parts = Parts(blocks, memory_limit, out)
        made, statistics = stack(parts, scale, standardize)
        return StackedFeatures(made, parts.slices, *map(parts.leave, statistics))
    space, rows, leave = enter_blocks(blocks)
    out = empty_stack(space, rows, stack_dtype(rows))
    statistics = [space.xp.zeros(out.shape[1], out.dtype) for _ in range(3)]
    slices, start = {}, 0
    for name, block in rows.items():
        slices[name] = slice(start, start := start + block.shape[1])
        if not standardize:
            statistics[2][slices[name]] = scale[name]
        stack_columns(space, block, out, slices[name], scale[name], standardize, statistics)
        # Where columns are standardised, a factor that is not finite tells of bad input.
        if not standardize or not bool(space.xp.isfinite(statistics[2][slices[name]]).all()):
            finite(block, f"blocks[{name!r}]", space.xp)
            if standardize:
                raise ValueError(
                    f"`blocks[{name!r}]` has a column whose variance {out.dtype} cannot hold; "
                    "rescale it first."
                )
    return StackedFeatures(leave(out), slices, *(leave(a) for a in statistics))
