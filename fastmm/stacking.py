"""Blocks of features as columns of one matrix: what they must be, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastmm._check import dtype_of_result, real
from fastmm._space import Space, enter

__all__ = ["check_blocks", "empty_stack", "enter_blocks", "flat", "stack_columns", "stack_dtype"]


def enter_blocks(blocks: Mapping[str, Any]) -> tuple[Space, dict[str, Any], Any]:
    """Return blocks as matrices (n, columns) where they live, and the way back."""
    space, arrays, leave = enter(**{f"blocks[{name!r}]": a for name, a in blocks.items()})
    given = dict(zip(blocks, arrays, strict=True))
    check_blocks(given)
    return space, {name: flat(array, space.xp) for name, array in given.items()}, leave


def check_blocks(blocks: Mapping[str, Any]) -> None:
    """Refuse what is no block, and blocks of different numbers of rows."""
    for name, array in blocks.items():
        real(array, f"blocks[{name!r}]")
        if array.ndim < 1 or array.size == 0:
            raise ValueError(
                f"`blocks[{name!r}]` must have shape (rows, ...), none of them 0, "
                f"got {tuple(array.shape)}."
            )
    counts = {name: array.shape[0] for name, array in blocks.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"`blocks` must have one number of rows, got {counts}.")


def flat(array: Any, xp: Any) -> Any:
    """Return rows as a matrix of a dtype that kernels compute with."""
    if array.dtype in (np.float16, np.bool_):
        array = array.astype(np.float32)
    return xp.ascontiguousarray(array.reshape(array.shape[0], -1))


def stack_dtype(blocks: Mapping[str, Any], least: Any = np.float32) -> np.dtype[Any]:
    """Return the dtype of the blocks side by side, `least` or wider."""
    dtypes = [np.dtype(least), *(dtype_of_result(a.dtype) for a in blocks.values())]
    return max(dtypes, key=lambda d: d.itemsize)


def empty_stack(space: Space, rows: Mapping[str, Any], dtype: Any) -> Any:
    """Return room for matrices side by side."""
    count = len(next(iter(rows.values())))
    return space.xp.empty((count, sum(a.shape[1] for a in rows.values())), dtype)


def stack_columns(
    space: Space, block: Any, out: Any, columns: slice, weight: float, fit: bool, statistics: Any
) -> None:
    """Write a block into its columns; with `fit`, fill their statistics first."""
    from fastmm.kernels.stacking import stack

    factor = space.asarray(np.array([weight], out.dtype))
    # A CUDA thread takes a column; on the CPU the work is what one pass touches.
    work = block.shape[1] if space.kind != "cpu" else block.size
    own = [a[columns] for a in statistics]
    space.launch(stack, work, block, out, columns.start, factor, fit, *own)
