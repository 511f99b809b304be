"""Which arrays are fitted in chunks, and what is too large to be taken at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.solve.chunked.base import FLOAT, Rows
from fastmm.solve.chunked.local import LocalRows
from fastmm.solve.chunked.sums import refuse_values
from fastmm.streams.limits import check_limit, say_bytes

__all__ = ["gathered", "in_memory", "is_dask", "read_whole", "rows_of"]

_PART = 1 << 22  # bytes of a file that are read at a time
_COPIES = 4  # of an n x n kernel matrix, that an exact kernel machine holds


def rows_of(X: Any, limit: int | str | None) -> Rows | None:
    """Return the rows of `X` if they come in chunks: of dask arrays, or under a limit."""
    if is_dask(X):
        from fastmm.solve.chunked.dask_rows import DaskRows

        return DaskRows(X, check_limit(limit))
    if isinstance(X, Rows):
        return X
    size = check_limit(limit)
    if size is None:
        return None
    sliced = all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__"))
    home = type(X).__module__.partition(".")[0]
    if not sliced or home in ("cupy", "torch", "jax", "jaxlib", "pandas", "scipy"):
        return None
    if len(X.shape) != 2 or np.dtype(X.dtype).kind not in "biuf":
        return None  # refused, or read, as what is in memory
    return LocalRows(X, size)


def is_dask(array: Any) -> bool:
    """Say whether something is a collection of dask's."""
    return type(array).__module__.partition(".")[0] in ("dask", "dask_expr")


def in_memory(array: Any) -> Any:
    """Compute a dask collection of labels, targets, weights or groups."""
    return array.compute() if is_dask(array) else array


def gathered(rows: Rows, estimator: Any) -> Any:
    """Return all rows, where an exact kernel machine of them fits into the memory."""
    name = type(estimator).__name__
    raise_it = "Raise `memory_limit`, take" if hasattr(estimator, "memory_limit") else "Take"
    n, d = rows.shape
    needed = FLOAT * (2 * n * d + _COPIES * n * n)
    if needed > rows.limit:
        raise ValueError(
            f"{name} of {n} rows needs their whole kernel matrix, {say_bytes(needed)} with the "
            f"rows, and may take {say_bytes(rows.limit)}. {raise_it} "
            '`KernelRidge(solver="nystrom")`, or `NystromFeatures` and a ridge model on them.'
        )
    return read_whole(rows)


def read_whole(rows: Rows) -> Any:
    """Return all rows in memory; of files part by part, whose pages do not stay mapped."""
    if not isinstance(rows, LocalRows):
        whole = rows.take(slice(0, rows.shape[0]))
        refuse_values(whole, 0)
        return whole
    found = np.empty(rows.shape, rows.dtype)
    step = max(1, _PART // (rows.shape[1] * rows.dtype.itemsize))
    for start in range(0, rows.shape[0], step):
        part = slice(start, min(start + step, rows.shape[0]))
        found[part] = rows.take(part)
        refuse_values(found[part], start)
    return found
