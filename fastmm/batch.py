"""From files to one array of small images: read, rescale, window and resize in one pass."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmm._space import telling_of_memory
from fastmm.batch_device import fill_device_rows
from fastmm.batch_filling import fill_rows
from fastmm.batch_options import (
    BatchOptions,
    Paths,
    Progress,
    check_options,
    check_paths,
    show_progress,
)
from fastmm.read.ahead import READERS
from fastmm.read.rows import Report, plan_rows

__all__ = ["ImageRows", "load_images", "load_rows"]


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
    nonfinite: str | float = "raise",
    suv: bool = False,
    invert: bool = True,
    device: str = "auto",
    on_error: str = "raise",
    report: Report | None = None,
    progress: bool | Progress = False,
) -> Any:
    """Load images from files and folders into one array of one shape.

    Each image is rescaled (to HU, SUV, ...), windowed, resized and normalised, in this
    order::

        v = stored * slope + intercept
        v = clip((v - (center - width / 2)) / width, 0, 1)      (with `window`)

    Parameters
    ----------
    paths : str, PathLike or iterable of these
        DICOM, NIfTI, PNG, JPEG and TIFF files, told apart by their content, and folders
        that hold one DICOM series each, or one NIfTI file, or pictures. A file gives one
        row per frame, slice or page, in the order of their places; a folder one row per
        slice, DICOM by position along the normal, pictures in the natural order of names.
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
    nonfinite : "raise" or float, default "raise"
        What NaN and infinite pixels of floating-point files become.
    suv : bool, default False
        Convert PET in Bq/ml to standardised uptake values by body weight.
    invert : bool, default True
        Invert MONOCHROME1 of CR, DX, MG, XA, RF and OT; False leaves it as it is stored.
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
    DicomError, NiftiError, PictureError, GeometryError, LimitError
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
    options = check_options(
        shape,
        window=window,
        interpolation=interpolation,
        antialias=antialias,
        normalize=normalize,
        channel=channel,
        nonfinite=nonfinite,
        suv=suv,
        invert=invert,
        device=device,
        on_error=on_error,
        report=report,
    )
    return _load(paths, options, progress).array


def load_rows(
    paths: Paths,
    shape: Sequence[int],
    *,
    window: tuple[float, float] | None = None,
    interpolation: str = "linear",
    antialias: bool = False,
    normalize: str | None = None,
    channel: int | None = None,
    nonfinite: str | float = "raise",
    suv: bool = False,
    invert: bool = True,
    device: str = "auto",
    on_error: str = "raise",
    report: Report | None = None,
    progress: bool | Progress = False,
) -> ImageRows:
    """Load images as `load_images` does, and tell which rows belong to which path.

    Parameters
    ----------
    paths, shape, window, interpolation, antialias, normalize, channel, nonfinite, suv, \
invert, device, on_error, report, progress
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
    options = check_options(
        shape,
        window=window,
        interpolation=interpolation,
        antialias=antialias,
        normalize=normalize,
        channel=channel,
        nonfinite=nonfinite,
        suv=suv,
        invert=invert,
        device=device,
        on_error=on_error,
        report=report,
    )
    return _load(paths, options, progress)


def _load(paths: Paths, options: BatchOptions, progress: bool | Progress) -> ImageRows:
    with show_progress(progress) as tick, ThreadPoolExecutor(READERS) as pool:
        plan = plan_rows(check_paths(paths), pool, options.faults, options.adapt)
        fill = fill_device_rows if options.space.kind == "cuda" else fill_rows
        with telling_of_memory(options.space):
            out = options.space.xp.empty((plan.n_rows, *options.shape), np.float32)
        if plan.lost:
            out[options.space.asarray(np.array(plan.lost))] = np.nan
        tick(0, plan.n_rows)
        n_bytes = fill(out, plan, options, pool, tick)
    for note, count in plan.notes.items():
        files = f" ({count} files)" if count > 1 else ""
        warnings.warn(f"{note}{files}.", UserWarning, stacklevel=3)
    return ImageRows(out, tuple(plan.counts), tuple(plan.units), n_bytes)
