"""What comes to a network: modalities by name, each with the rows that have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from fastmm._check import dtype_of_result, real
from fastmm._space import Space, enter
from fastmm.blocks import Block
from fastmm.streams.lazy_rows import LazyRows, lazy_rows, read_ahead

__all__ = ["SINGLE", "Inputs", "is_dict", "take_inputs"]

SINGLE = "X"  # name of the modality where an array came instead of a dict of them
_PIECE = 1 << 24  # values looked at at once: what a mask of them takes stays small
_READ = 1 << 20  # of them, where they are read from a disk


@dataclass(frozen=True)
class Inputs:
    """Checked modalities of n rows, where they live.

    Attributes
    ----------
    space : Space
        Where the arrays live.
    arrays : dict of str to array of shape (n, p), (n, c, h, w) or (n, c, d, h, w)
        One for each modality that came.
    present : dict of str to bool array of shape (n,), on the host
        Which rows have it.
    leave : callable
        Turns a result into what the first array came as.
    dtype : dtype
        That of results: float32, or float64 where some array has over 16 bits an integer
        or is float64.
    """

    space: Space
    arrays: dict[str, Any]
    present: dict[str, np.ndarray[Any, Any]]
    leave: Any
    dtype: Any

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(next(iter(self.present.values())))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of a row of each modality."""
        return {name: tuple(array.shape[1:]) for name, array in self.arrays.items()}


def take_inputs(
    X: Mapping[str, Any],
    channels: Any = False,
    limit: int | None = None,
    check: Callable[[dict[str, Any]], None] | None = None,
) -> Inputs:
    """Check the modalities of X; rows of NaN alone lack one.

    Parameters
    ----------
    X : dict of str to array, list of arrays and None, or Block
        Tables (n, p), images (n, h, w), volumes (n, d, h, w), with or without channels.
    channels : bool or sequence of str
        Whether arrays of four axes are images with channels, or which are.
    limit : int, optional
        Bytes: what lies on a disk then stays there, as `LazyRows`.
    check : callable, optional
        Called with the arrays by name before any value is looked at.

    Returns
    -------
    Inputs
    """
    if not X:
        raise ValueError("`X` must name at least one modality, got none.")
    given: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for name, value in X.items():
        if not isinstance(name, str):
            raise TypeError(f"`X` must name its modalities by strings, got {name!r}.")
        given[name], told[name] = _values(name, value)
    lazy = {name: lazy_rows(array, limit) for name, array in given.items()}
    here = {_label(n): a if lazy[n] is None else np.empty(0) for n, a in given.items()}
    space, natives, leave = enter(**here)
    natives = [
        n if (own := lazy[name]) is None else own for name, n in zip(lazy, natives, strict=True)
    ]
    arrays = {
        name: _with_channels(name, native, _has_channels(name, channels))
        for name, native in zip(given, natives, strict=True)
    }
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"`X` must have one number of rows, got {counts}.")
    if check is not None:
        check(arrays)
    present = {name: _present(name, array, told[name], space.xp) for name, array in arrays.items()}
    _refuse_empty_rows(present)
    dtype = max((dtype_of_result(a.dtype) for a in arrays.values()), key=lambda d: d.itemsize)
    return Inputs(space, arrays, present, leave, dtype)


def is_dict(X: Any) -> bool:
    """Say whether X is a dict of modalities; some sparse matrices are dicts, too."""
    return isinstance(X, Mapping) and not hasattr(X, "shape")


def _label(name: str) -> str:
    return name if name == SINGLE else f"X[{name!r}]"


def _values(name: str, value: Any) -> tuple[Any, Any]:
    """Return the array of a modality and, where the caller says, which rows have it."""
    if isinstance(value, Block):
        if not hasattr(value.values, "dtype"):
            raise TypeError(f"`X[{name!r}]` is a table that is not encoded; encode it first.")
        return value.values, np.asarray(value.present, bool)
    if isinstance(value, (list, tuple)) and any(row is None for row in value):
        return _fill_rows(name, value)
    return value, None


def _fill_rows(name: str, rows: Sequence[Any]) -> tuple[Any, Any]:
    """Stack rows of which some are None."""
    present = np.array([row is not None for row in rows])
    there = [np.asarray(row) for row in rows if row is not None]
    shapes = {row.shape for row in there}
    if len(shapes) != 1:
        found = f"{len(shapes)} different shapes" if shapes else "none that is there"
        raise ValueError(f"`X[{name!r}]` must hold rows of one shape, got {found}.")
    filled = np.zeros((len(rows), *shapes.pop()), np.result_type(*there))
    filled[present] = there
    return filled, present


def _has_channels(name: str, channels: Any) -> bool:
    return channels if isinstance(channels, bool) else name in channels


def _with_channels(name: str, array: Any, channels: bool) -> Any:
    """Give images an axis of channels where they have none."""
    label = _label(name)
    real(array, label)
    if array.ndim not in (2, 3, 4, 5):
        raise ValueError(
            f"`{label}` must have shape (n, p) for a table, (n, h, w) or (n, d, h, w) for images, "
            f"or (n, c, d, h, w), got {tuple(array.shape)}."
        )
    if array.size == 0:
        raise ValueError(f"`{label}` must have no axis of size 0, got {tuple(array.shape)}.")
    if channels and array.ndim < 4:
        raise ValueError(
            f"`channels` says that `{label}` has channels, but its shape is {tuple(array.shape)}."
        )
    plain = array.ndim == 3 or (array.ndim == 4 and not channels)
    if plain and isinstance(array, LazyRows):
        return array.turned((array.shape[0], 1, *array.shape[1:]), _one_channel)
    return array[:, None] if plain else array


def _one_channel(rows: Any) -> Any:
    return rows[:, None]


def _present(name: str, array: Any, told: Any, xp: Any) -> np.ndarray[Any, Any]:
    """Find the rows that are not NaN throughout; refuse NaN and infinity in the others."""
    n = len(array)
    if told is not None and told.shape != (n,):
        raise ValueError(f"`{_label(name)}` has {n} rows, but says of {told.size} what they have.")
    present = np.ones(n, bool) if told is None else told.copy()
    if np.dtype(array.dtype).kind != "f":
        return present
    width, lazy = prod(array.shape[1:]), isinstance(array, LazyRows)
    step = max(1, (_READ if lazy else _PIECE) // width)
    pieces = [slice(start, start + step) for start in range(0, n, step)]
    for rows, values in read_ahead(array.__getitem__, pieces, lazy):
        start = rows.start
        bad = ~xp.isfinite(values).reshape(-1, width)
        some = bad.any(axis=1) & xp.asarray(present[rows])
        if not bool(some.any()):
            continue
        void = xp.isnan(values).reshape(-1, width).all(axis=1)
        if bool((some & ~void).any()):
            row = int((some & ~void).argmax())
            count, first = int(bad[row].sum()), int(bad[row].argmax())
            at = tuple(int(i) for i in np.unravel_index(first, array.shape[1:]))
            raise ValueError(
                f"`{_label(name)}` contains NaN or infinity: {count} of {width} values of row "
                f"{start + row}, the first at index {(start + row, *at)}. Fill or drop them first; "
                "a row that lacks the modality is NaN throughout."
            )
        host = void.get() if hasattr(void, "get") else void
        present[rows] &= ~host
    return present


def _refuse_empty_rows(present: Mapping[str, np.ndarray[Any, Any]]) -> None:
    none = ~np.any(list(present.values()), axis=0)
    if none.any():
        raise ValueError(
            f"Each row must have at least one of {', '.join(present)}; row "
            f"{int(none.argmax())} has none ({int(none.sum())} such rows)."
        )
