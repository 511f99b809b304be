"""From files to one array of small images: read, rescale, window and resize in one pass."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm import _check
from fastmm._interp import Rescale, resize_linear
from fastmm._space import Space, space_for
from fastmm.read.dicom import Slice
from fastmm.read.rows import READERS, Plan, Report, plan_rows, read_ahead, read_filled

__all__ = ["ImageRows", "load_images", "load_rows"]

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

# Raw pixels that wait for one kernel call, which takes one copy of them.
_CHUNK_BYTES = 128 << 20
# What the kernel reads as it is; other integers are rare and rescaled on the host.
_NATIVE = {"uint8", "int16", "uint16"}


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


def load_images(
    paths: Paths,
    shape: Sequence[int],
    *,
    window: tuple[float, float] | None = None,
    interpolation: str = "linear",
    antialias: bool = False,
    normalize: str | None = None,
    channel: int | None = None,
    device: str = "auto",
    on_error: str = "raise",
    report: Report | None = None,
    progress: bool | Callable[[int, int], object] = False,
) -> Any:
    """Load images from files and folders into one array of one shape.

    Each image is rescaled (to HU, SUV, ...), windowed, resized and normalised, in this
    order::

        v = stored * slope + intercept
        v = clip((v - (center - width / 2)) / width, 0, 1)      (with `window`)

    Parameters
    ----------
    paths : str, PathLike or iterable of these
        DICOM files, and folders that hold one series each. A file gives one row per
        frame, a folder one row per slice, ordered by position along the normal.
    shape : (height, width)
        Of the result, in pixels. Not OpenCV's (width, height).
    window : (center, width), optional
        In the units of the rescaled values; the width is at least 1.
    interpolation : "linear"
        Pixel centres aligned, borders replicated.
    antialias : False
        No other value is supported.
    normalize : str, optional
        Method of `fastmm.normalize`, applied to each image by itself.
    channel : int, optional
        0, 1 or 2: the channel of colour images. Without it, colour is an error unless red,
        green and blue are equal.
    device : "auto", "cpu" or "cuda", default "auto"
        Where the images are made and stay.
    on_error : "raise" or "skip", default "raise"
        With "skip", what cannot be read becomes rows of NaN: the row of a slice whose
        pixels are damaged stays in place; a file whose header is damaged takes the last
        rows of its folder, since its position is not known; a folder that holds no single
        series becomes NaN as a whole, one row for each of its images (one if it has none).
    report : list, optional
        With "skip", receives (path, slice, error) for each row of NaN; `slice` counts the
        rows of the path it was given by.
    progress : bool or callable, default False
        True shows a bar (needs rich); a callable is called as ``progress(done, total)``,
        counting rows.

    Returns
    -------
    array of shape (N, height, width), float32
        NumPy on the CPU, CuPy on the GPU.

    Raises
    ------
    DicomError, GeometryError, LimitError
        About the content of a file, with ``on_error="raise"``.
    FileNotFoundError, PermissionError
        If a path cannot be read, with ``on_error="raise"``.
    ImportError
        If ``progress=True`` and rich is not installed.

    Notes
    -----
    The pixels are passed over once, from the stored integers to the resized image; no
    float image of full size exists. At most about 256 MB of raw pixels are held. Equal to
    ``cv2.resize(..., INTER_LINEAR)`` of the windowed float32 image to 2e-6 of its range.

    Padding (PixelPaddingValue) holds the lowest valid value of its image before the resize.
    Gaps and a tilted gantry do not matter to single slices and are accepted, other than by
    `read_volume`; copies of a slice are dropped with a warning.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> path = get_testdata_file("CT_small.dcm")
    >>> load_images([path, path], (32, 32), window=(40, 400), device="cpu").shape
    (2, 32, 32)
    """
    return _load(
        paths,
        shape,
        window=window,
        interpolation=interpolation,
        antialias=antialias,
        normalize=normalize,
        channel=channel,
        device=device,
        on_error=on_error,
        report=report,
        progress=progress,
    ).array


def load_rows(
    paths: Paths,
    shape: Sequence[int],
    *,
    window: tuple[float, float] | None = None,
    interpolation: str = "linear",
    antialias: bool = False,
    normalize: str | None = None,
    channel: int | None = None,
    device: str = "auto",
    on_error: str = "raise",
    report: Report | None = None,
    progress: bool | Callable[[int, int], object] = False,
) -> ImageRows:
    """Load images as `load_images` does, and tell which rows belong to which path.

    Parameters
    ----------
    paths, shape, window, interpolation, antialias, normalize, channel, device, on_error, \
report, progress
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
    return _load(
        paths,
        shape,
        window=window,
        interpolation=interpolation,
        antialias=antialias,
        normalize=normalize,
        channel=channel,
        device=device,
        on_error=on_error,
        report=report,
        progress=progress,
    )


def _load(
    paths: Paths,
    shape: Sequence[int],
    *,
    window: tuple[float, float] | None,
    interpolation: str,
    antialias: bool,
    normalize: str | None,
    channel: int | None,
    device: str,
    on_error: str,
    report: Report | None,
    progress: bool | Callable[[int, int], object],
) -> ImageRows:
    height, width = _check.sizes(shape, "shape", lengths=(2,))
    finish = _Finish(_window(window), _normalizer(normalize))
    if interpolation != "linear" or antialias:
        raise ValueError(
            '`interpolation` must be "linear" with `antialias=False`, got '
            f"{interpolation!r} with {antialias!r}."
        )
    if channel is not None and _check.integer(channel, "channel", minimum=0) > 2:
        raise ValueError(f"`channel` must be 0, 1 or 2, got {channel}.")
    _check.one_of(on_error, "on_error", ("raise", "skip"))
    space = space_for(device)
    faults: Report | None = None if on_error == "raise" else [] if report is None else report
    with _progress(progress) as tick, ThreadPoolExecutor(READERS) as pool:
        plan = plan_rows(_paths(paths), pool, faults)
        out = space.xp.full((plan.n_rows, height, width), np.nan, np.float32)
        tick(0, plan.n_rows)
        n_bytes = _fill(space, out, plan, finish, pool, channel, faults, tick)
    for note, count in plan.notes.items():
        files = f" ({count} files)" if count > 1 else ""
        warnings.warn(f"{note}{files}.", UserWarning, stacklevel=3)
    return ImageRows(out, tuple(plan.counts), tuple(plan.units), n_bytes)


@dataclass(frozen=True)
class _Finish:
    window: tuple[float, float] | None
    normalize: Callable[[Any], Any] | None


def _fill(
    space: Space,
    out: Any,
    plan: Plan,
    finish: _Finish,
    pool: ThreadPoolExecutor,
    channel: int | None,
    faults: Report | None,
    tick: Callable[[int, int], object],
) -> int:
    waiting: dict[tuple[Any, ...], list[tuple[int, Slice]]] = {}
    held = n_bytes = done = 0
    results = read_ahead(pool, read_filled, [(job.header, channel) for job in plan.jobs])
    for job, (error, part) in zip(plan.jobs, results, strict=True):
        done += job.header.layout.frames
        if part is None:
            if faults is None:
                raise error
            for frame in range(job.header.layout.frames):
                faults.append((job.header.path, job.first + frame, error))
        else:
            stored = part.stored
            n_bytes += part.n_bytes
            waiting.setdefault((stored.shape[1:], stored.dtype.str), []).append((job.row, part))
            held += stored.nbytes
        if held >= _CHUNK_BYTES or job is plan.jobs[-1]:
            for batch in waiting.values():
                _resize_batch(space, out, batch, finish)
            waiting, held = {}, 0
        tick(done, plan.n_rows)
    return n_bytes


def _resize_batch(
    space: Space, out: Any, batch: Sequence[tuple[int, Slice]], finish: _Finish
) -> None:
    """Resize images of one shape and dtype with one kernel call."""
    rows = np.concatenate([np.arange(row, row + len(part.stored)) for row, part in batch])
    slope = np.concatenate([part.header.slope for _, part in batch])
    intercept = np.concatenate([part.header.intercept for _, part in batch])
    if batch[0][1].stored.dtype.name in _NATIVE:
        images = _joined([part.stored for _, part in batch])
    else:
        images = _joined([part.values() for _, part in batch])
        slope, intercept = np.ones_like(slope), np.zeros_like(intercept)
    low, high = -np.inf, np.inf
    if finish.window is not None:
        center, width = finish.window
        slope, intercept = slope / width, (intercept - (center - width / 2)) / width
        low, high = 0.0, 1.0
    # Rows mostly follow each other, and are then written in place.
    together = bool((np.diff(rows) == 1).all())
    target = (
        out[int(rows[0]) : int(rows[-1]) + 1]
        if together
        else space.xp.empty((len(rows), *out.shape[1:]), np.float32)
    )
    resize_linear(
        space,
        space.asarray(images)[:, None],
        target[:, None],
        Rescale(slope, intercept, low, high),  # type: ignore[arg-type]
    )
    if finish.normalize is not None:
        target[...] = finish.normalize(target)
    if not together:
        out[space.asarray(rows)] = target


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _paths(paths: Paths) -> list[Path]:
    if isinstance(paths, (str, os.PathLike)):
        return [Path(paths)]
    if not isinstance(paths, Iterable):
        raise TypeError(f"`paths` must be a path or a list of paths, got {paths!r}.")
    found = list(paths)
    for path in found:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"`paths` must hold paths, got {path!r}.")
    return [Path(path) for path in found]


def _window(window: tuple[float, float] | None) -> tuple[float, float] | None:
    if window is None:
        return None
    try:
        center, width = window
    except (TypeError, ValueError):
        raise TypeError(f"`window` must be (center, width), got {window!r}.") from None
    return (
        _check.number(center, "window center"),
        _check.number(width, "window width", minimum=1),
    )


def _normalizer(method: str | None) -> Callable[[Any], Any] | None:
    if method is None:
        return None
    if not isinstance(method, str):
        raise TypeError(f"`normalize` must be the name of a method or None, got {method!r}.")
    from fastmm.image.intensity import normalize

    return lambda images: normalize(images, method)


@contextmanager
def _progress(
    progress: bool | Callable[[int, int], object],
) -> Iterator[Callable[[int, int], object]]:
    if callable(progress):
        yield progress
        return
    if not progress:
        yield lambda done, total: None
        return
    try:
        from rich.progress import Progress
    except ImportError:
        raise ImportError(
            '`progress=True` needs rich: pip install "fastmm[app]", or give a function '
            "progress(done, total)."
        ) from None
    bar: AbstractContextManager[Any] = Progress(transient=True)
    with bar as shown:
        task = shown.add_task("Loading images", total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
