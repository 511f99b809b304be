"""Kernel functions on dask arrays: the Gram matrix as a dask array of tiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fastmm._space import enter

__all__ = ["tiled_gram"]


def tiled_gram(function: Callable[..., Any], X: Any, Y: Any, options: Mapping[str, Any]) -> Any:
    """Return a Gram matrix in tiles, a task for each pair of chunks of rows.

    Parameters
    ----------
    function : callable
        Kernel function of the rows of two arrays, as `fastmm.rbf_kernel`.
    X : array of shape (n, ...), a dask array or not
        Rows, in chunks along the first axis only.
    Y : array of shape (m, ...), or None
        Rows to compare with, a dask array or not. None stands for `X`: tiles below the
        diagonal are then those above it, transposed.
    options : mapping
        Other arguments. A `gamma` of "scale" is that of the whole of `X`, found on the way.

    Returns
    -------
    dask array of shape (n, m)
        Not computed; its chunks are NumPy or CuPy arrays as those of `X`.

    Raises
    ------
    ValueError, TypeError
        What `function` says of its arguments, at once.

    Examples
    --------
    >>> import dask.array as da
    >>> from fastmm import rbf_kernel
    >>> K = rbf_kernel(da.eye(4, chunks=2), gamma=0.5)
    >>> K.chunks, float(K[0, 0].compute())
    (((2, 2), (2, 2)), 1.0)
    """
    import dask.array as da
    from dask import delayed

    X = _rows(X, None)
    Y = None if Y is None else _rows(Y, X)
    options = dict(options)
    meta = _meta(function, X, Y, options)
    if isinstance(options.get("gamma"), str):
        options["gamma"] = delayed(_scale, pure=False)(
            X.var(dtype=float).to_delayed().item(), X.shape[-1], function.__name__
        )
    call = delayed(partial(_tile, function), pure=False)
    own = [block.item() for block in X.to_delayed().reshape(-1, 1)]
    other = own if Y is None else [block.item() for block in Y.to_delayed().reshape(-1, 1)]
    widths = X.chunks[0] if Y is None else Y.chunks[0]
    tiles: list[list[Any]] = [[None] * len(other) for _ in own]
    for i, (x, n) in enumerate(zip(own, X.chunks[0], strict=True)):
        for j, (y, m) in enumerate(zip(other, widths, strict=True)):
            if Y is None and j < i:
                tiles[i][j] = tiles[j][i].T
                continue
            tile = call(x, None if Y is None and i == j else y, options)
            tiles[i][j] = da.from_delayed(tile, (n, m), meta=meta)
    return da.block(tiles)


def _rows(array: Any, like: Any) -> Any:
    """Return a dask array whose chunks hold whole rows."""
    import dask.array as da

    if not hasattr(array, "dask"):
        array = da.from_array(array, chunks=-1 if like is None else "auto")
    if array.ndim < 2:
        raise ValueError(f"`X` and `Y` must have shape (rows, features), got {tuple(array.shape)}.")
    if any(size != size for size in array.chunks[0]):  # NaN: not known
        array = array.compute_chunk_sizes()
    return array.rechunk(dict.fromkeys(range(1, array.ndim), -1))


def _meta(function: Callable[..., Any], X: Any, Y: Any, options: dict[str, Any]) -> Any:
    """Return what the kernel makes of single rows of zeros, of no length."""
    space, _, _ = enter(X=X._meta)
    rows = [space.xp.zeros((1, *A.shape[1:]), A.dtype) for A in (X, Y) if A is not None]
    return function(*rows, **options)[:0, :0]


def _scale(variance: Any, features: int, name: str) -> float:
    from fastmm.grams.matrices import scaled

    return scaled(features, float(variance), name.removesuffix("_kernel"))


def _tile(function: Callable[..., Any], X: Any, Y: Any, options: dict[str, Any]) -> Any:
    return function(X, Y, **options)
