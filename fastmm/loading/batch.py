"""Load images from files and folders into one array."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from fastmm.loading.options import (
    Paths,
    Progress,
    check_options,
)
from fastmm.loading.rows import fill_batch
from fastmm.loading.streams import fill_out
from fastmm.read.rows import Report
from fastmm.streams.limits import check_limit, refuse_for_dask

__all__ = ["load_images"]


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
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    """Load images from files and folders into one array of one shape.

    Each image is rescaled (to HU, SUV, ...), windowed, resized and normalised, in this
    order::

        v = stored * slope + intercept
        v = clip((v - (center - width / 2)) / width, 0, 1)      (with `window`)

    Parameters
    ----------
    paths : str, PathLike or iterable of these; or dask series, bag or data frame
        DICOM, NIfTI, PNG, JPEG and TIFF files, told apart by their content, and folders
        that hold one DICOM series each, or one NIfTI file, or pictures. A file gives one
        row per frame, slice or page, in the order of their places; a folder one row per
        slice, DICOM by position along the normal, pictures in the natural order of names.
    shape : (height, width)
        Of the result, in pixels. Not OpenCV's (width, height).
    window : (center, width), optional
        In the units of the rescaled values; the width is at least 1.
    interpolation : {"linear", "nearest", "cubic", "area"}, default "linear"
        As in `resize`: pixel centres aligned, borders replicated.
    antialias : bool, default False
        As in `resize`, for "linear" and "cubic".
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
    memory_limit : int or str, optional
        Bytes that the call may take, such as "2GB", the result included unless `out` is
        given. With `out`, headers, too, are read for some paths at a time.
    out : array of shape (N, height, width), float32, optional
        Where the images go: a NumPy, memory-mapped or zarr array, or CuPy's on the GPU.

    Returns
    -------
    array of shape (N, height, width), float32
        `out` if it is given; else NumPy on the CPU, CuPy on the GPU; a dask array, not
        computed, for a dask collection of paths, whose N is not known before
        ``compute_chunk_sizes()``.

    Raises
    ------
    DicomError, NiftiError, PictureError, GeometryError, LimitError
        About the content of a file, with ``on_error="raise"``.
    FileNotFoundError, PermissionError
        If a path cannot be read, with ``on_error="raise"``.
    ValueError
        If `memory_limit` is too small (the message says what is not), or `out` has another
        shape or dtype; rows that came before the fault have been written then.
    ImportError
        If ``progress=True`` and rich is not installed.

    Notes
    -----
    The pixels are passed over once, from the stored integers to the resized image; no
    float image of full size exists. Raw pixels are held for one file a thread (for two, and
    128 MB, on the way to a GPU), and threads are as many as cores, or 4. Equal to
    ``cv2.resize(..., INTER_LINEAR)`` of the windowed float32 image to 2e-6 of its range.

    Padding (PixelPaddingValue) holds the lowest valid value of its image before the resize.
    Gaps and a tilted gantry do not matter to single slices and are accepted, other than by
    `read_volume`; copies of a slice are dropped with a warning. A `window` that is
    applied to images of several units, such as HU and a.u., gives a warning, since it means
    something else in each.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> path = get_testdata_file("CT_small.dcm")
    >>> load_images([path, path], (32, 32), window=(40, 400), device="cpu").shape
    (2, 32, 32)
    """
    if type(paths).__module__.startswith("dask."):
        from fastmm.streams.dask_files import map_paths

        refuse_for_dask(memory_limit, out)
        return map_paths(load_images, paths, shape, {
            "window": window, "interpolation": interpolation, "antialias": antialias,
            "normalize": normalize, "channel": channel, "nonfinite": nonfinite, "suv": suv,
            "invert": invert, "device": device, "on_error": on_error, "report": report,
            "progress": progress,
        })  # fmt: skip
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
    limit = check_limit(memory_limit)
    if out is None:
        rows = fill_batch(paths, options, progress, limit)
    else:
        rows = fill_out(paths, options, progress, limit, out)
    units = sorted(set(rows.units) - {""})
    if window is not None and len(units) > 1:
        warnings.warn(
            f"`window` {window} was applied to images in {', '.join(units)}; load "
            "images of one unit at a time if that is not meant.",
            UserWarning,
            stacklevel=2,
        )
    return rows.array
