"""Blocks of features side by side, some rows at a time: from arrays on disk, within a limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastmm._check import finite
from fastmm._space import Space, enter
from fastmm.stacking import check_blocks, empty_stack, flat, stack_columns, stack_dtype
from fastmm.streams.limits import check_limit, refuse_below
from fastmm.streams.sinks import open_sink
from fastmm.streams.sources import is_source, open_source

__all__ = ["Parts", "in_parts", "measure", "stack", "write"]

_STEP = 1 << 25  # bytes of a part where there is no limit


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
        self._cut(stacked)

    def _cut(self, stacked: bool) -> None:
        """Choose parts that fit, no chunk of a store cut in two."""
        grain = min(max((rows.grain for rows in self._lazy), default=1), self.count)
        own = self.width * self.dtype.itemsize
        fixed = sum(rows.held(0) for rows in self._lazy) + 12 * 8 * self.width + self.sink.extra
        fixed += self.count * own if self.sink.own and stacked else 0
        each = own * (2 + int(self.sink.copies))
        each += sum(rows.held(1) - rows.held(0) for rows in self._lazy)
        least = fixed + grain * each
        refuse_below(least, self.limit, f"{grain} rows of the blocks, and what is made of them")
        room = _STEP if self.limit is None else self.limit - fixed
        step = grain * max(1, room // (grain * each))
        self.parts = [slice(i, min(i + step, self.count)) for i in range(0, self.count, step)]

    def read(self) -> Iterator[tuple[slice, dict[str, Any]]]:
        """Yield parts of the rows, and their blocks as matrices; the next ones are read ahead."""
        from fastmm.streams.lazy_rows import read_ahead

        def rows(part: slice) -> dict[str, Any]:
            return {n: flat(block[part], self.space.xp) for n, block in self.blocks.items()}

        return read_ahead(rows, self.parts, bool(self._lazy))

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

    What does not fit at once is read twice, since its means and spreads come first.
    """
    if not standardize:
        statistics = _as_they_are(parts, weights)
    elif len(parts.parts) > 1:
        statistics = _measure(parts, weights)
    else:
        return _at_once(parts, weights)
    return write(parts, statistics), statistics


def measure(parts: Parts, weights: Mapping[str, float]) -> list[Any]:
    """Return origin, shift and factor of the columns, whose stack is not kept."""
    if len(parts.parts) > 1:
        return _measure(parts, weights)
    ((_, blocks),) = parts.read()
    return _fill(parts, blocks, weights)[1]


def _at_once(parts: Parts, weights: Mapping[str, float]) -> tuple[Any, list[Any]]:
    parts.sink.make()
    ((part, blocks),) = parts.read()
    made, statistics = _fill(parts, blocks, weights)
    parts.sink.write((part,), made)
    return parts.sink.finish(), statistics


def _fill(
    parts: Parts, blocks: Mapping[str, Any], weights: Mapping[str, float]
) -> tuple[Any, list[Any]]:
    statistics, made = _none(parts), empty_stack(parts.space, blocks, parts.dtype)
    for name, weight in weights.items():
        where = parts.slices[name]
        stack_columns(parts.space, blocks[name], made, where, weight, True, statistics)
        _check(parts, name, statistics[2])
    return made, statistics


def write(parts: Parts, statistics: list[Any]) -> Any:
    """Write the stack of all blocks with these statistics; return it."""
    xp = parts.space.xp
    statistics = [each.astype(parts.dtype, copy=False) for each in statistics]
    parts.sink.make()
    for part, blocks in parts.read():
        made = empty_stack(parts.space, blocks, parts.dtype)
        for name, rows in blocks.items():
            with np.errstate(over="ignore", invalid="ignore"):
                if not bool(xp.isfinite(rows.sum())):
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
    for part, blocks in parts.read():
        count = part.stop - part.start
        here = _none(parts)
        made = empty_stack(parts.space, blocks, parts.dtype)
        for name, rows in blocks.items():
            stack_columns(parts.space, rows, made, parts.slices[name], 1.0, True, here)
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
        del blocks, rows, made
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
