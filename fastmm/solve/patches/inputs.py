"""What comes to a model of patches: images of one or several modalities, and targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import dtype_of_result, finite, real, sizes
from fastmm._space import Space, enter
from fastmm.image.grid import PatchGrid, patch_grid
from fastmm.solve._inputs import _check_weight
from fastmm.solve.patches.correlation import Correlation
from fastmm.solve.patches.room import Demand, Room, room_within
from fastmm.streams.lazy_rows import LazyRows, lazy_rows, read_ahead, refuse_nonfinite

__all__ = ["Images", "Kind", "Targets", "take_images", "take_targets", "take_weight"]

_WORK = 1 << 28  # bytes of images brought to float64 at once


class Images(NamedTuple):
    r"""Checked images: an array (n, \*spatial) for each modality, and their patches."""

    space: Space
    names: tuple[str, ...] | None
    arrays: tuple[Any, ...]
    grid: PatchGrid
    leave: Callable[[Any], Any]
    limit: int | None = None
    room: Room | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The spatial shape."""
        return tuple(self.arrays[0].shape[1:])

    def __len__(self) -> int:
        return int(self.arrays[0].shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of results."""
        return np.result_type(*(dtype_of_result(array.dtype) for array in self.arrays))

    def centres(self) -> Any:
        """Return a value near the mean of each modality (m,), where the images live."""
        return self.space.xp.stack([self._centre(array) for array in self.arrays])

    def centred(self, rows: Any, centres: Any) -> Any:
        r"""Return some images (\*rows, m, \*spatial) less the centres, in float64."""
        rows = rows if isinstance(rows, slice) else self.space.xp.asarray(rows)
        return self._centred((array[rows] for array in self.arrays), centres)

    def in_turn(
        self, centres: Any, pieces: list[slice] | None = None
    ) -> Iterator[tuple[slice, Any]]:
        """Yield piece after piece and its pixels, as `centred`; from a disk read ahead."""
        lazy = any(isinstance(array, LazyRows) for array in self.arrays)

        def read(rows: slice) -> list[Any]:
            return [array[rows] for array in self.arrays]

        for rows, parts in read_ahead(read, pieces or self.pieces(), lazy):
            yield rows, self._centred(parts, centres)

    def within(self, targets: Targets, matrices: int, held_out: int = 0) -> Images:
        """Share the limit, if any; then refuse NaN and infinity in what is read in parts.

        `matrices` of d x d are held at once, and `held_out` predictions of all targets.
        """
        if self.limit is None:
            return self
        lazy = [array for array in self.arrays if isinstance(array, LazyRows)]
        fixed = 24 * held_out * int(np.prod(targets.values.shape, dtype=np.int64))
        fixed += sum(array.held(0) for array in lazy)
        own = (array.dtype.itemsize * array.copies for array in lazy)
        demand = Demand(
            len(self), len(self.arrays), targets.number, matrices, fixed, targets.by_position,
            held_out > 0, sum(own) / len(self.arrays),
        )  # fmt: skip
        room = room_within(self.limit, demand, self.shape, self.grid)
        for name, array in zip(self.names or ("",), self.arrays, strict=True):
            if isinstance(array, LazyRows):
                refuse_nonfinite(array, _label(name), self.limit)
        if isinstance(targets.values, LazyRows):
            refuse_nonfinite(targets.values.plain(), "y", self.limit)
        # Not `_replace`, which takes the number of images for that of the fields.
        return Images(self.space, self.names, self.arrays, self.grid, self.leave, self.limit, room)

    def _centred(self, parts: Iterable[Any], centres: Any) -> Any:
        xp, spatial, out = self.space.xp, self.shape, None
        for a, part in enumerate(parts):
            lead = tuple(part.shape[: part.ndim - len(spatial)])
            if out is None:
                out = xp.empty((*lead, len(self.arrays), *spatial))
            xp.subtract(part, centres[a], out=out[(*(slice(None),) * len(lead), a)])
        return out

    def pieces(self) -> list[slice]:
        """Cut the rows into pieces for a work space of 256 MB, or what a limit leaves of it."""
        one = 8 * len(self.arrays) * int(np.prod(self.shape, dtype=np.int64))
        step = max(1, (_WORK if self.room is None else self.room.pieces) // one)
        return [slice(i, min(i + step, len(self))) for i in range(0, len(self), step)]

    def correlation(self) -> Correlation:
        """Return correlations with images of this shape, in a share of the limit, if any."""
        work = () if self.room is None else (self.room.spectra,)
        return Correlation(self.shape, self.grid, self.space, *work)

    def _centre(self, array: Any) -> Any:
        # About one of the pixels: a constant image becomes exactly 0.
        first = array[0:1][(slice(0, 1),) * array.ndim].reshape(-1).astype(np.float64)[0]
        total = 0.0
        for _, part in read_ahead(array.__getitem__, self.pieces(), isinstance(array, LazyRows)):
            total = total + (part - first.astype(self.dtype)).sum(dtype=np.float64)
        return first + total / array.size


class Targets(NamedTuple):
    r"""Targets in float64: (n, targets) of images, or (n, targets, \*grid) of positions."""

    values: Any
    flat: bool

    @property
    def by_position(self) -> bool:
        """Whether each position of a patch has its own."""
        return bool(self.values.ndim > 2)

    @property
    def number(self) -> int:
        """The number of targets."""
        return int(self.values.shape[1])


class Kind(NamedTuple):
    """What a model of patches is of: their size, modalities, and targets."""

    size: tuple[int, ...]
    names: tuple[str, ...] | None
    flat: bool
    number: int
    by_position: bool

    @classmethod
    def of(cls, images: Images, targets: Targets) -> Kind:
        """Describe training data."""
        size, names = images.grid.size, images.names
        return cls(size, names, targets.flat, targets.number, targets.by_position)


def take_images(
    images: Any, patch_size: Any, step: Any, limit: int | None = None, **others: Any
) -> tuple[Images, list[Any]]:
    """Check images, and bring in what must live where they do; return both.

    With a `limit` what lies on a disk stays there, `y` among the others too.
    """
    known = isinstance(images, Mapping)
    given = dict(images) if known else {"": images}
    if not given:
        raise ValueError("`images` must hold at least one modality, got none.")
    for name, array in given.items():
        if not isinstance(name, str):
            raise TypeError(f"`images` must have texts as names of modalities, got {name!r}.")
        if array is None:
            raise TypeError(f"`{_label(name)}` must be an array, got None.")
    labels = [_label(name) for name in given]
    taken = dict(zip(labels, given.values(), strict=True))
    lazy = {name: lazy_rows(array, limit) for name, array in (taken | others).items()}
    here = {n: a if lazy[n] is None else np.empty(0) for n, a in (taken | others).items()}
    space, native, leave = enter(**here)
    every: list[Any] = list(native)
    for i, name in enumerate(here):
        every[i] = native[i] if lazy[name] is None else lazy[name]
    arrays = tuple(every[: len(given)])
    spatial = len(sizes(patch_size, "patch_size"))
    for label, array in zip(labels, arrays, strict=True):
        _check(array, label, spatial, arrays[0].shape)
    grid = patch_grid(tuple(arrays[0].shape), patch_size, step, 0, "`images`")
    for label, array in zip(labels, arrays, strict=True):
        if not isinstance(array, LazyRows):  # those are looked at when it is known that they fit
            finite(array, label, space.xp)
    names = tuple(given) if known else None
    return Images(space, names, arrays, grid, leave, limit), every[len(given) :]


def take_targets(y: Any, images: Images) -> Targets:
    r"""Check targets of images (n,) or (n, targets), or of positions (n, \*grid[, targets])."""
    real(y, "y")
    xp, n, counts = images.space.xp, len(images), images.grid.counts
    if y.ndim == 0 or y.shape[0] != n:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {[n, *y.shape[:1]]}"
        )
    if not isinstance(y, LazyRows):
        finite(y, "y", xp)
    rank, shape = len(counts), tuple(y.shape[1:])
    if isinstance(y, LazyRows):
        if shape == counts:
            return Targets(y.turned((n, 1, *counts), _one_map), True)
        if shape[:-1] == counts and shape[-1] > 0:
            return Targets(y.turned((n, shape[-1], *counts), _maps), False)
        y = y[:]  # of images: about as many values as rows
        finite(y, "y", xp)
    values = y.astype(np.float64)
    if shape == counts:
        return Targets(values.reshape((n, 1, *counts)), True)
    if shape[:-1] == counts and shape[-1] > 0:
        return Targets(xp.ascontiguousarray(xp.moveaxis(values, -1, 1)), False)
    if shape == ():
        return Targets(values[:, None], True)
    if len(shape) == 1 and rank > 1 and shape[0] > 0:
        return Targets(values, False)
    several = "" if rank == 1 else f", ({n}, targets)"
    grid = ", ".join(map(str, counts))
    raise ValueError(
        f"`y` must have the shape ({n},){several} for targets of images, or ({n}, {grid}) or "
        f"({n}, {grid}, targets) for targets of the positions of a patch, got {tuple(y.shape)}."
    )


def take_weight(weight: Any, images: Images) -> Any:
    """Return the checked weights of images (n,) in float64, or None."""
    return _check_weight(weight, len(images), images.space.xp)


def _label(name: str) -> str:
    return f"images[{name!r}]" if name else "images"


def _one_map(part: Any) -> Any:
    return part[:, None].astype(np.float64)


def _maps(part: Any) -> Any:
    return np.ascontiguousarray(np.moveaxis(part, -1, 1), np.float64)


def _check(array: Any, label: str, spatial: int, shape: tuple[int, ...]) -> None:
    real(array, label)
    if array.ndim != 1 + spatial or 0 in array.shape[1:]:
        raise ValueError(
            f"`{label}` must have {1 + spatial} axes, of images and of the {spatial} of a patch, "
            f"got shape {tuple(array.shape)}."
        )
    if array.shape[0] == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={tuple(array.shape)}) while a minimum of 1 is "
            "required."
        )
    if array.shape != shape:
        raise ValueError(
            f"`{label}` must have the shape of the first modality, {tuple(shape)}, got "
            f"{tuple(array.shape)}."
        )
