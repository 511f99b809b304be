"""The rows that a fusion is fitted to: all in memory, or made from features on disk, in parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastmm.blocks import Block
from fastmm.features.table import Columns
from fastmm.fuse import StackedFeatures
from fastmm.fusion.block_fusion import BlockFusion
from fastmm.fusion.room import kernel_bytes, novelty_bytes, tuning_bytes
from fastmm.fusion.row_parts import row_parts, take_rows
from fastmm.grams.matrices import scaled
from fastmm.solve.chunked.moments import variance_of_parts
from fastmm.stacking_in_parts import Parts, measure
from fastmm.streams.limits import refuse_below
from fastmm.streams.picked_rows import RowFile

__all__ = ["RowsInMemory", "RowsOnDisk"]

_COPIES = 10  # of the values of a row, float32, while it is standardised and fused


class RowsInMemory:
    """Standardised rows, all in memory; `limit` is None, for they are there already."""

    limit: int | None = None

    def __init__(
        self, fusion: BlockFusion, blocks: Mapping[str, Block], modalities: Mapping[str, Any]
    ) -> None:
        self.fusion = fusion
        self.rows, self.present = fusion.learn(
            {name: block.read() for name, block in blocks.items()}, modalities
        )

    def pick(self, chosen: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the standardised rows of each modality, some of them, and which are there."""
        return (
            {name: own[chosen] for name, own in self.rows.items()},
            {name: here[chosen] for name, here in self.present.items()},
        )

    def design(self) -> tuple[Any, Any]:
        """Return the fused matrix: for a solver, and to be looked at here and there."""
        made = self.fusion.fuse(self.rows, self.present)
        return made, made


class RowsOnDisk:
    """Rows that are standardised in parts; what is fused goes to a file, and kernels to memory.

    Parameters
    ----------
    fusion : BlockFusion
        Learns means, scales and categories here.
    blocks : dict of str to Block
        Features, on disk or in memory.
    modalities : dict of str to ImageModality or TableModality
        What they are of.
    form : {"linear", "joint", "rbf"}
        See `fastmm.fusion.fused_solvers.form_of`.
    tuned : bool
        Whether weights or widths are searched.
    limit : int
        Bytes.

    Raises
    ------
    ValueError
        If what cannot be parted does not fit: kernels of the rows that are searched on, and
        with ``fusion="kernel"`` those of all rows.
    """

    def __init__(
        self,
        fusion: BlockFusion,
        blocks: Mapping[str, Block],
        modalities: Mapping[str, Any],
        form: str,
        tuned: bool,
        limit: int,
    ) -> None:
        self.fusion, self.blocks, self.limit = fusion, blocks, limit
        fusion.begin(blocks)
        sources = {}
        for name, block in blocks.items():
            own = block if block.present.all() else block.take(block.present)
            if isinstance(own.values, Columns):
                fusion.encode(name, own.values, modalities)
            sources[name] = _Encoded(fusion, name, own.values)
        self.width = sum(source.shape[1] for source in sources.values())
        self._refuse(form, tuned)
        for name, source in sources.items():
            fusion.keep(name, _scaling({name: source}, source.shape[1] ** -0.5, limit))
        n, self.each = self.count, 4 * _COPIES * self.width
        if form == "rbf":
            everything = np.arange(n)
            fusion.train_, fusion.present_ = self.pick(everything)
            fusion.gamma_ = {
                name: _width(_there(own, fusion.present_[name], self._parts()), own.shape[1])
                for name, own in fusion.train_.items()
            }
        else:
            fused = (fusion.transform(part) for part in self._taken())
            fusion.gamma_ = {"": _width(fused, self.width)}

    def _refuse(self, form: str, tuned: bool) -> None:
        """Refuse a limit without room for what is never parted."""
        n, limit = self.count, self.limit
        if form == "rbf":
            least = kernel_bytes(n, self.width)
            what = "all rows and the whole kernel matrices of them, which a fused kernel needs"
            refuse_below(least, limit, f'{what}; with `fusion="stack"` rows go through in parts')
        if tuned:
            least = tuning_bytes(n, len(self.blocks), self.width, form)
            what = "the search of weights and widths, on at most 1,500 rows"
            refuse_below(least, limit, f'{what}; `weights="equal"` and a linear model need none')
        least = novelty_bytes(n, self.width, form)
        refuse_below(least, limit, "at most 1,000 rows that new ones are compared with")

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(next(iter(self.blocks.values())).present)

    def pick(self, chosen: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the standardised rows of each modality, some of them, and which are there."""
        parts = [self.fusion.standardised(take_rows(self.blocks, chosen[part]))
                 for part in row_parts(len(chosen), self.each, self.limit)]  # fmt: skip
        return (
            {name: np.concatenate([rows[name] for rows, _ in parts]) for name in self.blocks},
            {name: block.present[chosen] for name, block in self.blocks.items()},
        )

    def design(self) -> tuple[Any, Any]:
        """Return the fused matrix: for a solver, and to be looked at here and there."""
        fusion = self.fusion
        if fusion.kind == "kernel":
            n = self.count
            kernel = np.empty((n, n))
            for part in row_parts(n, 8 * n * (4 + len(self.blocks)), self.limit):
                rows = {name: own[part] for name, own in fusion.train_.items()}
                present = {name: own[part] for name, own in fusion.present_.items()}
                kernel[part] = fusion.fuse(rows, present)
            return kernel, kernel
        file = RowFile(self.width)
        file.extend(fusion.transform(part) for part in self._taken())
        return file.mapped(), file.rows()

    def _parts(self) -> list[slice]:
        return row_parts(self.count, self.each, self.limit)

    def _taken(self) -> Iterator[dict[str, Block]]:
        for part in self._parts():
            yield take_rows(self.blocks, np.arange(part.start, part.stop))


class _Encoded:
    """Numbers of one modality, of which some rows are in memory when they are sliced."""

    def __init__(self, fusion: BlockFusion, name: str, values: Any) -> None:
        self.fusion, self.name, self.values = fusion, name, values
        width = len(fusion.feature_names(name) or ()) if name in fusion.table_ else None
        self.shape = (len(values), values.shape[1] if width is None else width)
        self.dtype = np.dtype(np.float64 if width is not None else values.dtype)

    def __getitem__(self, part: Any) -> Any:
        rows = part[0] if isinstance(part, tuple) else part
        if isinstance(self.values, Columns):
            return self.fusion.numbers(self.name, self.values.take(rows))
        return self.fusion.numbers(self.name, self.values[rows])


def _scaling(blocks: dict[str, Any], weight: float, limit: int) -> StackedFeatures:
    parts = Parts(blocks, limit, None, stacked=False)
    return StackedFeatures(None, parts.slices, *measure(parts, dict.fromkeys(blocks, weight)))


def _there(rows: Any, present: Any, parts: list[slice]) -> Iterator[Any]:
    return (rows[part][present[part]] for part in parts)


def _width(parts: Iterator[Any], features: int) -> float:
    """Return the width "scale" of an RBF kernel of rows that come in parts."""
    return scaled(features, variance_of_parts(parts), "rbf")
