"""From paths to rows of one array: planned from headers, then filled."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmm._space import telling_of_memory
from fastmm.errors import LimitError
from fastmm.loading.device import fill_device_rows
from fastmm.loading.filling import fill_rows
from fastmm.loading.options import (
    BatchOptions,
    Paths,
    Progress,
    check_options,
    check_paths,
    show_progress,
)
from fastmm.loading.parts import held_bytes
from fastmm.read.ahead import READERS
from fastmm.read.rows import Plan, plan_rows
from fastmm.streams.limits import say_bytes

__all__ = ["ImageRows", "allocate", "fill_batch", "fill_plan", "load_rows", "warn_of"]


@dataclass(frozen=True, eq=False)
class ImageRows:
    """Images of several paths in one array, and which rows are whose.

    Attributes
    ----------
    array : array of shape (N, h, w), float32
        On the device asked for.
    counts : tuple of int
        Number of rows of each path; their sum is N.
    units : tuple of str
        Unit of the rescaled values of each path, before any window; "" where no header
        could be read.
    n_bytes : int
        Bytes of pixel data read from files.

    Examples
    --------
    >>> import numpy as np
    >>> rows = ImageRows(np.zeros((3, 2, 2), np.float32), (2, 1), ("HU", "HU"), 24)
    >>> [part.shape for part in rows.split()]
    [(2, 2, 2), (1, 2, 2)]
    """

    array: Any
    counts: tuple[int, ...]
    units: tuple[str, ...]
    n_bytes: int

    def split(self) -> list[Any]:
        """Return one view (slices, h, w) for each path."""
        ends = np.cumsum(self.counts).tolist()
        return [self.array[e - n : e] for e, n in zip(ends, self.counts, strict=True)]


def load_rows(
    paths: Paths, shape: Sequence[int], *, progress: bool | Progress = False, **options: Any
) -> ImageRows:
    """Load images as `load_images` does, and tell which rows belong to which path.

    Parameters
    ----------
    paths, shape, progress, **options
        As in `load_images`.

    Returns
    -------
    ImageRows
        The array, the number of rows of each path, and the bytes read.

    Raises
    ------
    DicomError, GeometryError, LimitError, FileNotFoundError, PermissionError, ImportError
        As `load_images`.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> rows = load_rows(get_testdata_file("MR_small.dcm"), (16, 16), device="cpu")
    >>> rows.counts, rows.n_bytes
    ((1,), 8192)
    """
    return fill_batch(paths, check_options(shape, **options), progress)


def fill_batch(
    paths: Paths, options: BatchOptions, progress: bool | Progress, limit: int | None = None
) -> ImageRows:
    """Plan the rows of all paths and fill them; warn of what the files are to be warned of.

    With `limit`, the rows and what is read on the way must fit into as many bytes.
    """
    with show_progress(progress) as tick, ThreadPoolExecutor(READERS) as pool:
        plan = plan_rows(check_paths(paths), pool, options.faults, options.adapt)
        if limit is not None:
            _refuse_over(limit, plan, options)
        out = allocate((plan.n_rows, *options.shape), options)
        tick(0, plan.n_rows)
        n_bytes = fill_plan(out, plan, options, pool, tick)
    warn_of(plan.notes)
    return ImageRows(out, tuple(plan.counts), tuple(plan.units), n_bytes)


def fill_plan(
    out: Any, plan: Plan, options: BatchOptions, pool: ThreadPoolExecutor, tick: Progress
) -> int:
    """Fill all rows of a plan, NaN where a file has none; return the bytes that were read."""
    fill = fill_device_rows if options.space.kind == "cuda" else fill_rows
    if plan.lost:
        out[options.space.asarray(np.array(plan.lost))] = np.nan
    return fill(out, plan, options, pool, tick)


def warn_of(notes: Mapping[str, int]) -> None:
    """Warn the caller of the caller, once of each kind."""
    for note, count in notes.items():
        files = f" ({count} files)" if count > 1 else ""
        warnings.warn(f"{note}{files}.", UserWarning, stacklevel=4)


def _refuse_over(limit: int, plan: Plan, options: BatchOptions) -> None:
    result = 4 * plan.n_rows * math.prod(options.shape)
    least = result + held_bytes(plan, options)
    if least > limit:
        raise ValueError(
            f"`memory_limit` must be at least {say_bytes(least)} here, got {say_bytes(limit)}: "
            f"the result takes {say_bytes(result)}; give `out` on disk to spare that."
        )


def allocate(shape: tuple[int, ...], options: BatchOptions) -> Any:
    """Return rows to be filled, where the images are made."""
    with telling_of_memory(options.space):
        try:
            return options.space.xp.empty(shape, np.float32)
        except (MemoryError, ValueError) as error:
            if options.space.kind == "cuda":
                raise
            raise LimitError(
                f"{shape[0]} images of {shape[1]} x {shape[2]} pixels do not fit into memory: "
                f"{error}."
            ) from None
