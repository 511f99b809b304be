"""Blocks of features side by side, some rows at a time: from arrays on disk, within a limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastmm._check import finite
from fastmm._space import Space, enter
from fastmm.stacking import check_blocks, flat, stack_columns, stack_dtype
from fastmm.streams.limits import check_limit, refuse_below
from fastmm.streams.sinks import open_sink
from fastmm.streams.sources import is_source, open_source

__all__ = ["Parts", "in_parts", "measure", "stack", "write"]

_STEP = 1 << 24  # bytes of a part beyond which larger ones are no faster


def in_parts(blocks: Mapping[str, Any], memory_limit: Any, out: Any) -> bool:
    """Say whether blocks are to be read, or their stack written, part by part."""
    given = memory_limit is not None or out is not None
    return given or any(map(is_source, blocks.values()))


class Parts:
    """Rows of all blocks, part by part; `least` is the dtype of their stack, or it is wider.

    Without `stacked` they are only looked at: their stack takes no room.
    """

    def __init__(
        self,
        blocks: Mapping[str, Any],
        memory_limit: Any,
        out: Any,
        least: Any = np.float32,
        *,
        stacked: bool = True,
    ) -> None:
        from fastmm.streams.lazy_rows import lazy_rows

        limit = check_limit(memory_limit)
        lazy = {name: lazy_rows(block, limit or 1) for name, block in blocks.items()}
        names = [name for name in blocks if lazy[name] is None]
        self.space, arrays, self.leave = enter(**{f"blocks[{n!r}]": blocks[n] for n in names})
        if len(names) < len(blocks) and names and self.space.kind != "cpu":
            raise TypeError(
                f"`blocks[{names[0]!r}]` lives on {self.space} but others are on disk; move it to "
                "the host first."
            )
        if not names:
            self.space = Space("cpu")
        here = dict(zip(names, arrays, strict=True))
        self.blocks: dict[str, Any] = {n: here[n] if n in here else lazy[n] for n in blocks}
        check_blocks(self.blocks)
        self.limit, self.dtype = limit, stack_dtype(self.blocks, least)
        self.slices, start = {}, 0
        for name, block in self.blocks.items():
            self.slices[name] = slice(start, start := start + block.size // len(block))
        self.count, self.width = len(block), start
        sources = [open_source(blocks[name]) for name in names or blocks]
        self.sink = open_sink(out, (self.count, self.width), self.dtype, sources[0])
        if out is not None and any(each.overlaps(out) for each in sources[1:]):
            raise ValueError("`out` must not share memory with `blocks`; give another array.")
        self._lazy = [rows for rows in lazy.values() if rows is not None]
        # Whether the stack is made where it stays.
        there = self.sink.own or self._place(slice(0, 2)) is not None
        self.in_place = there and self.space.kind == "cpu" and stacked
        # Decoding twice costs more than writing to memory twice.
        self.read_once = self.in_place and self.sink.in_memory and not self._all_views()
        self._cut(stacked)

    def _cut(self, stacked: bool) -> None:
        """Choose parts that fit, no chunk of a store cut in two."""
        grain = min(max((rows.grain for rows in self._lazy), default=1), self.count)
        own = self.width * self.dtype.itemsize
        taken = [rows.viewed if rows.as_views else rows.held for rows in self._lazy]
        fixed = sum(held(0) for held in taken) + 12 * 8 * self.width + self.sink.extra
        fixed += self.count * own if self.sink.own and stacked else 0
        buffers = int(not self.sink.in_memory) if self.in_place else 2 + int(self.sink.copies)
        buffers = buffers if stacked else 0
        each = own * (buffers + any(map(_is_copied, self.blocks.values())))
        each += sum(held(1) - held(0) for held in taken)
        least = fixed + grain * each
        refuse_below(least, self.limit, f"{grain} rows of the blocks, and what is made of them")
        room = _STEP if self.limit is None else min(self.limit - fixed, grain * each + _STEP)
        step = grain * max(1, room // (grain * max(each, 1)))
        self.parts = [slice(i, min(i + step, self.count)) for i in range(0, self.count, step)]

    def _all_views(self) -> bool:
        return all(rows.as_views for rows in self._lazy)

    def _place(self, part: slice) -> Any:
        place = self.sink.place((part,))
        return place if place is not None and place.dtype == self.dtype else None

    def room(self, part: slice) -> Any:
        """Return where the stack of a part is made: where it stays, if that can be."""
        place = self._place(part) if self.in_place else None
        shape = (part.stop - part.start, self.width)
        return self.space.xp.empty(shape, self.dtype) if place is None else place

    def read(self) -> Iterator[tuple[slice, dict[str, Any]]]:
        """Yield parts of the rows, and their blocks as matrices; the next ones are read ahead."""
        turns = {name: self._in_turn(block) for name, block in self.blocks.items()}
        for part in self.parts:
            yield part, {name: flat(next(turn), self.space.xp) for name, turn in turns.items()}
        for turn in turns.values():
            next(turn, None)  # lets go of the last part

    def _in_turn(self, block: Any) -> Iterator[Any]:
        from fastmm.streams.lazy_rows import LazyRows, rows_in_turn

        viewed = isinstance(block, LazyRows) and block.as_views
        found = block.views(self.parts) if viewed else rows_in_turn(block, self.parts)
        for _, rows in found:
            yield rows
            del rows  # before the next one is taken

    def refuse_nonfinite(self, name: str) -> None:
        """Refuse NaN and infinity in a block, if there is any."""
        from fastmm.streams.lazy_rows import LazyRows, refuse_nonfinite

        block, title = self.blocks[name], f"blocks[{name!r}]"
        if isinstance(block, LazyRows):
            refuse_nonfinite(block, title, self.limit or _STEP)
        else:
            finite(block, title, self.space.xp)


def stack(parts: Parts, weights: Mapping[str, float], standardize: bool) -> tuple[Any, list[Any]]:
    """Return the stack of all blocks, and origin, shift and factor of its columns.

    Means and spreads come first: what does not fit at once is read twice, or where it has to be
    decoded kept as it is in the place of its stack, if that is in memory.
    """
    if not standardize:
        statistics = _as_they_are(parts, weights)
        return write(parts, statistics), statistics
    if len(parts.parts) == 1:
        return _at_once(parts, weights)
    if parts.read_once:
        parts.sink.make()
    statistics = _measure(parts, weights)
    if not parts.read_once:
        return write(parts, statistics, checked=True), statistics
    for part in parts.parts:
        made = parts.room(part)
        stack_columns(parts.space, made, made, slice(0, parts.width), 1.0, False, statistics)
    return parts.sink.finish(), statistics


def measure(parts: Parts, weights: Mapping[str, float]) -> list[Any]:
    """Return origin, shift and factor of the columns, whose stack is not kept."""
    if len(parts.parts) > 1:
        return _measure(parts, weights)
    ((_, blocks),) = parts.read()
    return _fill(parts, blocks, weights, parts.space.xp.empty((0, parts.width), parts.dtype))


def _at_once(parts: Parts, weights: Mapping[str, float]) -> tuple[Any, list[Any]]:
    parts.sink.make()
    ((part, blocks),) = parts.read()
    made = parts.room(part)
    statistics = _fill(parts, blocks, weights, made)
    parts.sink.write((part,), made)
    return parts.sink.finish(), statistics


def _fill(
    parts: Parts, blocks: Mapping[str, Any], weights: Mapping[str, float], made: Any
) -> list[Any]:
    """Stack all rows into `made`, if that has rows; return origin, shift and factor."""
    statistics = _none(parts)
    for name, weight in weights.items():
        where = parts.slices[name]
        stack_columns(parts.space, blocks[name], made, where, weight, True, statistics)
        _check(parts, name, statistics[2])
    return statistics


def write(parts: Parts, statistics: list[Any], *, checked: bool = False) -> Any:
    """Write the stack of all blocks with these statistics; return it."""
    xp = parts.space.xp
    statistics = [each.astype(parts.dtype, copy=False) for each in statistics]
    parts.sink.make()
    for part, blocks in parts.read():
        made = parts.room(part)
        for name, rows in blocks.items():
            with np.errstate(over="ignore", invalid="ignore"):
                if not checked and not bool(xp.isfinite(rows.sum())):
                    parts.refuse_nonfinite(name)
            stack_columns(parts.space, rows, made, parts.slices[name], 1.0, False, statistics)
        parts.sink.write((part,), made)
        del blocks, rows, made
    return parts.sink.finish()


def _measure(parts: Parts, weights: Mapping[str, float]) -> list[Any]:
    """Return origin, shift and factor of each column: first value, mean from there, 1 / spread.

    Means and spreads of parts are joined in float64 (Chan, Golub and LeVeque, 1983).
    """
    xp, seen = parts.space.xp, 0
    origin = xp.zeros(parts.width, parts.dtype)
    mean, spread = xp.zeros(parts.width), xp.zeros(parts.width)
    nothing = xp.empty((0, parts.width), parts.dtype)
    as_they_are = _as_they_are(parts, dict.fromkeys(weights, 1.0))
    for part, blocks in parts.read():
        count = part.stop - part.start
        here = _none(parts)
        for name, rows in blocks.items():
            columns = parts.slices[name]
            stack_columns(parts.space, rows, nothing, columns, 1.0, True, here)
            if parts.read_once:
                kept = parts.room(part)
                stack_columns(parts.space, rows, kept, columns, 1.0, False, as_they_are)
        if not seen:
            origin = here[0]
        first, shift, factor = (each.astype(np.float64) for each in here)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # told of below
            inside = xp.where(factor == 0, 0.0, count / factor**2)
            inside = xp.where(xp.isfinite(factor), inside, np.nan)
            moved = (first - origin) + shift - mean
            spread += inside + moved**2 * (seen * count / (seen + count))
            mean += moved * (count / (seen + count))
        seen += count
        del blocks, rows
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        factor = xp.where(spread == 0, 0.0, 1 / xp.sqrt(spread / seen))
        factor = xp.where(xp.isfinite(spread), factor, np.nan)
    for name, weight in weights.items():
        _check(parts, name, factor)
        factor[parts.slices[name]] *= weight
    return [origin, mean.astype(parts.dtype), factor.astype(parts.dtype)]


def _as_they_are(parts: Parts, weights: Mapping[str, float]) -> list[Any]:
    """Return origin, shift and factor of columns that are weighed and no more."""
    none, factor = np.zeros(parts.width), np.ones(parts.width)
    for name, weight in weights.items():
        factor[parts.slices[name]] = weight
    return [parts.space.asarray(each.astype(parts.dtype)) for each in (none, none, factor)]


def _is_copied(block: Any) -> bool:
    """Say whether a block has to be brought into the form of a matrix that kernels take."""
    contiguous = getattr(getattr(block, "flags", None), "c_contiguous", True)
    return block.dtype in (np.float16, np.bool_) or not contiguous


def _none(parts: Parts) -> list[Any]:
    return [parts.space.xp.zeros(parts.width, parts.dtype) for _ in range(3)]


def _check(parts: Parts, name: str, factor: Any) -> None:
    """Refuse a block with a factor that is not finite, which tells of bad input."""
    if not bool(parts.space.xp.isfinite(factor[parts.slices[name]]).all()):
        parts.refuse_nonfinite(name)
        raise ValueError(
            f"`blocks[{name!r}]` has a column whose variance {parts.dtype} cannot hold; "
            "rescale it first."
        )
