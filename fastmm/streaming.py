"""Features on disk, made chunk by chunk: what was interrupted goes on where it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastmm import __version__
from fastmm.errors import FastmmError
from fastmm.streams.fingerprints import describe_operator, digest_of_values
from fastmm.streams.ledger import Ledger, first_difference
from fastmm.streams.pipeline import flow
from fastmm.streams.rows import RowSource, open_rows, rows_of

__all__ = ["FeatureStore"]

_CHUNK_BYTES = 16 << 20  # of images, where a chunk's rows are not given


class FeatureStore:
    """Features of many images in a zarr array, with a checksum and an origin for each chunk.

    Parameters
    ----------
    path : str or PathLike
        Folder of the store; it is made by `fill`.

    Raises
    ------
    ImportError
        If zarr is missing (extra ``dask``).

    Notes
    -----
    The folder holds the zarr array ``features``, ``made.json`` with what made it, and one
    small file for each finished chunk, written after it: a run that is killed leaves
    finished chunks, and at most one that is not. Files are told apart by size and time of
    change, arrays in memory by their values; no name of a file is kept. One process at a
    time may fill a store.

    Examples
    --------
    >>> import numpy as np, fastmm
    >>> from fastmm.streaming import FeatureStore
    >>> images = np.random.default_rng(0).normal(size=(10, 16, 16)).astype("float32")
    >>> store = FeatureStore("features").fill(
    ...     fastmm.patch_statistics, images, rows=4, patch_size=(8, 8), step=8)
    >>> store.shape, store.computed
    ((10, 2, 2, 9), 3)
    >>> store.fill(fastmm.patch_statistics, images, rows=4, patch_size=(8, 8), step=8).computed
    0
    >>> np.array_equal(store.read()[7], fastmm.patch_statistics(images[7], (8, 8), step=8))
    True
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._folder = Path(path)
        self._ledger = Ledger(self._folder)
        self._zarr = _zarr()
        self.computed = 0

    def fill(
        self,
        operator: Any,
        images: Any,
        *,
        rows: int | None = None,
        progress: Callable[[int, int], object] | None = None,
        **options: Any,
    ) -> FeatureStore:
        """Compute what the store lacks: all, the rest, or what has been damaged.

        Parameters
        ----------
        operator : callable or ImageModality
            What makes features of some images, such as `fastmm.patch_statistics` or the
            `transform` of a fitted `fastmm.PatchDictionary`: ``operator(images[a:b],
            **options)`` has a row for each image, made of that image alone. An
            `ImageModality` takes paths.
        images : array, memory-mapped array, chunked store, or sequence of paths
            Rows first. Paths may be pairs (scan, mask), or None, which gives a row of NaN.
        rows : int, optional
            Images of a chunk: what is in memory at a time, and lost by an interruption. By
            default 16 paths, or 16 MB of images.
        progress : callable, optional
            Called as ``progress(done, total)``, counting rows.
        **options
            Arguments of the operator; a `memory_limit` may differ from that of the run before.

        Returns
        -------
        FeatureStore
            This store; `computed` tells how many chunks were made.

        Raises
        ------
        ValueError
            If the store was made by something else, or of other images.
        TypeError
            If a parameter cannot be compared with that of another run.
        """
        source = open_rows(images)
        if rows is None:
            rows = source.several(_CHUNK_BYTES)
        unlimited = {name: own for name, own in options.items() if name != "memory_limit"}
        made: dict[str, Any] = {
            "fastmm": __version__,
            "rows": source.count,
            "chunk": max(1, int(rows)),
            "source": source.kind,
            "parameters": describe_operator(operator, unlimited),
        }
        self._agree(made)
        compute = rows_of(operator, options)
        self.computed = 0
        total, size, done = source.count, made["chunk"], 0

        def missing() -> Iterator[int]:
            nonlocal done
            for chunk in source.order(size):
                if self._is_finished(chunk, source):
                    done += _length(chunk, size, total)
                    if progress is not None:
                        progress(done, total)
                else:
                    yield chunk

        def read(chunk: int) -> Any:
            return source.read(slice(chunk * size, min((chunk + 1) * size, total)))

        def make(chunk: int, part: Any) -> Any:
            # Before the work: a file that changes meanwhile must not pass for this one.
            origin = source.digest(chunk, size)
            return origin, self._checked(compute(part), _length(chunk, size, total))

        def write(chunk: int, result: Any) -> None:
            nonlocal done
            origin, values = result
            first = chunk * size
            self._array(values)[first : first + len(values)] = values
            self._ledger.finish(chunk, checksum=digest_of_values(values), source=origin)
            self.computed += 1
            done += len(values)
            if progress is not None:
                progress(done, total)

        flow(missing(), read, make, write, reads=True, writes=True)
        return self

    @property
    def array(self) -> Any:
        """The zarr array; its chunks are not checked."""
        try:
            return self._zarr.open_array(self._folder / "features", mode="r+")
        except (FileNotFoundError, ValueError, KeyError) as error:
            raise FileNotFoundError(f"There are no features in {self._folder}.") from error

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the features, rows first."""
        return tuple(int(size) for size in self.array.shape)

    def damaged(self) -> list[int]:
        """Return the numbers of chunks that are missing or not as they were written.

        Returns
        -------
        list of int
            Empty for a whole store. `fill` makes these chunks again.
        """
        size = self._chunk()
        return [c for c in range(-(-self.shape[0] // size)) if self._verified(c) is None]

    def read(self, rows: slice = slice(None)) -> np.ndarray[Any, Any]:
        """Return features, after their checksums were found right.

        Parameters
        ----------
        rows : slice, default all
            Which, with step 1.

        Returns
        -------
        array of shape (rows, ...)
            On the host.

        Raises
        ------
        FastmmError
            If a chunk is missing or damaged.
        """
        size, shape = self._chunk(), self.shape
        first, stop, step = rows.indices(shape[0])
        if step != 1:
            raise ValueError(f"`rows` must have step 1, got {step}.")
        out = np.empty((max(0, stop - first), *shape[1:]), self.array.dtype)
        for chunk in range(first // size, -(-stop // size) if len(out) else 0):
            values = self._verified(chunk)
            if values is None:
                raise FastmmError(
                    f"Rows {chunk * size} to {min((chunk + 1) * size, shape[0])} of the store are "
                    "missing or damaged; `fill` with the same arguments makes them again."
                )
            start = chunk * size
            low, high = max(first, start), min(stop, start + len(values))
            out[low - first : high - first] = values[low - start : high - start]
        return out

    def _agree(self, made: dict[str, Any]) -> None:
        """Refuse to mix features, or begin."""
        before = self._ledger.made
        if before is None:
            if (self._folder / "features").exists():
                raise ValueError(
                    f"{self._folder} holds features whose origin is not known (made.json is "
                    "missing or damaged); give another folder."
                )
            self._ledger.begin(made)
            return
        if (unlike := first_difference(before, made)) is not None:
            name, was, now = unlike
            raise ValueError(
                f"The store was made with another {name}: {was!r}, now {now!r}; give another "
                "folder, or the same arguments."
            )

    def _is_finished(self, chunk: int, source: RowSource) -> bool:
        record = self._ledger.record(chunk)
        if record is None:
            return False
        if record.get("source") != source.digest(chunk, size := self._chunk()):
            raise ValueError(
                f"The store was made of other images: rows {chunk * size} to "
                f"{min((chunk + 1) * size, source.count)} have changed since; give another folder."
            )
        return self._verified(chunk) is not None

    def _verified(self, chunk: int) -> np.ndarray[Any, Any] | None:
        """Return a chunk that is as it was written."""
        record = self._ledger.record(chunk)
        size = self._chunk()
        if record is None:
            return None
        try:
            values = np.asarray(self.array[chunk * size : (chunk + 1) * size])
        except Exception:  # whatever a decoder says to damaged bytes
            return None
        return values if digest_of_values(values) == record.get("checksum") else None

    def _chunk(self) -> int:
        made = self._ledger.made
        if made is None:
            raise FileNotFoundError(f"There is no store in {self._folder}; `fill` makes it.")
        return int(made["chunk"])

    def _checked(self, values: np.ndarray[Any, Any] | None, count: int) -> np.ndarray[Any, Any]:
        if values is None:
            like = self._array(np.empty((count, 0), np.float32))
            return np.full((count, *like.shape[1:]), np.nan, like.dtype)
        if values.ndim < 1 or len(values) != count:
            raise ValueError(
                f"`operator` must give a row for each image, got shape {values.shape} for {count}."
            )
        made = self._array(values)
        if values.shape[1:] != tuple(made.shape[1:]) or values.dtype != made.dtype:
            raise ValueError(
                f"`operator` must give rows of one shape and dtype, got {values.shape[1:]} "
                f"{values.dtype} after {tuple(made.shape[1:])} {made.dtype}."
            )
        return values

    def _array(self, values: np.ndarray[Any, Any]) -> Any:
        """Return the zarr array, made when its rows are known."""
        try:
            return self.array
        except FileNotFoundError:
            made: Any = self._ledger.made
            rest = values.shape[1:]
            return self._zarr.create_array(
                self._folder / "features",
                shape=(made["rows"], *rest),
                chunks=(min(made["chunk"], max(1, made["rows"])), *(max(1, n) for n in rest)),
                dtype=values.dtype,
            )


def _length(chunk: int, size: int, total: int) -> int:
    return min(size, total - chunk * size)


def _zarr() -> Any:
    try:
        import zarr
    except ImportError:
        raise ImportError('A feature store needs zarr: pip install "fastmm[dask]".') from None
    return zarr
