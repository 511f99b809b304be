"""The two sets of rows of a Gram matrix, by modality, and where they are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from fastmm._check import dtype_of_result
from fastmm._space import Space, enter
from fastmm.grams.tile_grid import Place
from fastmm.grams.tile_sources import TileRows

__all__ = ["Pair", "modalities", "pair_up"]


class Pair:
    """Rows `left` and `right` of a modality; None on the right stands for the left ones."""

    def __init__(self, name: str | None, X: Any, Y: Any, images: bool) -> None:
        label = "" if name is None else f"[{name!r}]"
        self.name, self.left = name, TileRows(X, f"X{label}")
        self.same = Y is None
        self.right = self.left if self.same else TileRows(Y, f"Y{label}")
        self.sides = [self.left] if self.same else [self.left, self.right]
        self._images = images
        # Of each side, the last part that was read: neighbouring tiles share one.
        self._last: list[tuple[Any, Any]] = [(None, None), (None, None)]

    def settle(self, check: Callable[[Any, Any], Any]) -> None:
        """Look at the shapes, once they were checked."""
        check(self.left, None if self.same else self.right)
        lead = [0 if self._images else side.ndim - 2 for side in (self.left, self.right)]
        self._lead = lead
        self.shape = self.left.shape[lead[0] + 1 :]
        broadcast = np.broadcast_shapes(self.left.shape[: lead[0]], self.right.shape[: lead[1]])
        self.result = (*broadcast, self.left.shape[lead[0]], self.right.shape[lead[1]])
        self.size = max(dtype_of_result(side.dtype).itemsize for side in self.sides)
        self.on_disk = any(side.on_disk for side in self.sides)
        self.extra = sum(side.extra for side in self.sides)
        self.grains = [(side.grain[0],) for side in self.sides if side.grain and lead == [0, 0]]

    def bytes_read(self, rows: int, columns: int, space: Space) -> float:
        """Return what parts of so many rows take while they are read."""
        values, up = int(prod(self.shape)), space.kind == "cuda"
        sides = zip((rows, columns), (self.left, self.right), strict=True)
        each = (n * values * s.dtype.itemsize * (s.copies + up) for n, s in sides if s.on_disk)
        return float(sum(each))

    @property
    def least(self) -> int:
        """Bytes to look at a single entry of the first axis, as numbers and for their spread."""
        return max(3 * side.row * side.on_disk + 9 * prod(side.shape[1:]) for side in self.sides)

    def probe(self, space: Space) -> tuple[Any, Any]:
        """Return single rows of zeros."""
        found = [space.xp.zeros((1, *self.shape), side.dtype.newbyteorder("=")) for side in
                 self.sides]  # fmt: skip
        return found[0], None if self.same else found[1]

    def everything(self) -> tuple[Any, Any]:
        """Return all rows."""
        found = [side.read((slice(0, side.shape[0]),)) for side in self.sides]
        return found[0], None if self.same else found[1]

    def read(self, place: Place) -> tuple[Any, Any]:
        """Return the rows of a tile, on the right None where it lies on the diagonal."""
        left = self._part(0, place.leading, place.rows)
        if self.same and place.rows == place.columns:
            return left, None
        return left, self._part(1, place.leading, place.columns)

    def drop(self, place: Place) -> None:
        """Give back what no following tile needs at once."""
        self.right.drop(self._region(1, place.leading, place.columns))
        if place.columns.stop == self.result[-1]:
            self.left.drop(self._region(0, place.leading, place.rows))

    def _part(self, turn: int, leading: tuple[int, ...], some: slice) -> Any:
        region = self._region(turn, leading, some)
        if self._last[turn][0] != region:
            self._last[turn] = (None, None)  # let go of the one before this is taken
            side = (self.left, self.right)[turn]
            self._last[turn] = (region, side.read(region)[(0,) * self._lead[turn]])
        return self._last[turn][1]

    def _region(self, turn: int, leading: tuple[int, ...], some: slice) -> tuple[slice, ...]:
        sizes = (self.left, self.right)[turn].shape[: self._lead[turn]]
        own = leading[len(leading) - len(sizes) :]
        places = [0 if size == 1 else i for i, size in zip(own, sizes, strict=True)]
        return (*(slice(i, i + 1) for i in places), some)


def pair_up(
    X: Any, Y: Any, out: Any, images: bool, check: Callable[[Any, Any], Any]
) -> tuple[list[Pair], Space, Callable[[Any], Any]]:
    """Return the rows by modality, the space that they are compared in, and the way out."""
    named = images and (isinstance(X, Mapping) or isinstance(Y, Mapping))
    taken: list[tuple[str | None, Any, Any]] = [(None, X, Y)]
    pairs = [Pair(name, x, y, images) for name, x, y in (modalities(X, Y) if named else taken)]
    for pair in pairs:
        pair.settle(check)
        if pair.result != pairs[0].result:
            raise ValueError(
                f"All modalities must have as many images, got {pair.result} for "
                f"{pair.name!r} after {pairs[0].result}."
            )
    return pairs, *_home([side for pair in pairs for side in pair.sides], out)


def modalities(X: Any, Y: Any) -> list[tuple[str, Any, Any]]:
    """Return the images of dicts by name; `Y` may be None."""
    if not isinstance(X, Mapping) or not (Y is None or isinstance(Y, Mapping)):
        raise TypeError("`X` and `Y` must both be dicts of images by modality, or neither.")
    if not X:
        raise ValueError("`X` must hold at least one modality, got none.")
    if Y is not None and set(X) != set(Y):
        raise ValueError(
            f"`X` and `Y` must hold the same modalities, got {sorted(X)} and {sorted(Y)}."
        )
    return [(name, X[name], None if Y is None else Y[name]) for name in X]


def _home(sides: list[TileRows], out: Any) -> tuple[Space, Callable[[Any], Any]]:
    """Find where rows are compared: what lies on a disk goes where an `out` lives."""
    here = [side for side in sides if not side.on_disk]
    space, leave, native = (here or sides)[0].space, (here or sides)[0].leave, None
    for side in here:
        if side.space != space:
            raise _elsewhere(here[0].name, space, side.name, side.space)
    if out is not None:
        place = Space("cpu")
        if hasattr(out, "__dlpack__"):
            place, (native,), way = enter(out=out)
            space, leave = (space, leave) if here else (place, way)
        if place != space:
            raise _elsewhere(sides[0].name, space, "out", place)
    elif len(here) < len(sides) and space.kind == "cuda":
        name = next(side.name for side in sides if side.on_disk)
        raise _elsewhere(here[0].name, space, name, "a disk")
    if native is not None and any(
        s.overlaps(native) for s in sides if not s.on_disk or space.kind == "cpu"
    ):
        raise ValueError("`out` must not share memory with `X` or `Y`; give another array.")
    return space, leave


def _elsewhere(one: str, here: Any, other: str, there: Any) -> TypeError:
    return TypeError(
        f"`{one}` lives on {here} but `{other}` lives on {there}; move one of them first, fastmm "
        "does not move data silently."
    )
