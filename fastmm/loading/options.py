"""What `load_images` is asked for: checked before any file is opened; and its progress bar."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm import _check
from fastmm._interp import Rescale, check_method, resize_into, resize_linear
from fastmm._space import Space, space_for
from fastmm.read.dicom.values import as_asked
from fastmm.read.finiteness import check_nonfinite
from fastmm.read.rows import Report
from fastmm.read.source import Source

__all__ = ["BatchOptions", "Paths", "Progress", "check_options", "check_paths", "show_progress"]

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class BatchOptions:
    """How each image becomes a row, and where; `faults` is None where errors are raised."""

    shape: tuple[int, ...]
    window: tuple[float, float] | None
    interpolation: str
    antialias: bool
    normalize: Callable[[Any, Any], Any] | None  # of images and the mask of what counts
    channel: int | None
    nonfinite: str | float
    suv: bool
    invert: bool
    space: Space
    faults: Report | None

    def adapt(self, source: Source) -> Source:
        """Return the source of the values that are asked for."""
        return as_asked(source, suv=self.suv, invert=self.invert)

    def resize(self, images: Any, rows: Any, rescale: Rescale) -> None:
        """Resize images (n, h, w), C-contiguous, into rows of the same space."""
        if self.interpolation == "linear" and not self.antialias:
            # As the compiled way does, so that no bit depends on which way a file takes.
            resize_linear(self.space, images[:, None], rows[:, None], rescale)
        else:
            method = (rescale, self.interpolation, self.antialias)
            resize_into(self.space, images[:, None], rows[:, None], *method)

    def rescale(self, slope: NDArray[np.float64], intercept: NDArray[np.float64]) -> Rescale:
        """Return the map from stored values to values, or to [0, 1] with a window."""
        if self.window is None:
            return Rescale(slope, intercept)
        center, width = self.window
        return Rescale(slope / width, (intercept - (center - width / 2)) / width, 0.0, 1.0)


def check_options(
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
) -> BatchOptions:
    """Check the arguments of `load_images`; none of them touches a file."""
    sizes = _check.sizes(shape, "shape", lengths=(2,))
    center_width, normalizer = _window(window), _normalizer(normalize)
    method = check_method(interpolation, antialias)
    if channel is not None and _check.integer(channel, "channel", minimum=0) > 2:
        raise ValueError(f"`channel` must be 0, 1 or 2, got {channel}.")
    _check.one_of(on_error, "on_error", ("raise", "skip"))
    if report is not None and not isinstance(report, list):
        raise TypeError(f"`report` must be a list to append to, got {report!r}.")
    if report is not None and on_error == "raise":
        raise ValueError('`report` is filled with `on_error="skip"` only, got "raise".')
    faults = None if on_error == "raise" else [] if report is None else report
    for name, value in (("suv", suv), ("invert", invert)):
        if not isinstance(value, bool):
            raise TypeError(f"`{name}` must be True or False, got {value!r}.")
    return BatchOptions(
        shape=sizes,
        window=center_width,
        interpolation=method.interpolation,
        antialias=method.antialias,
        normalize=normalizer,
        channel=channel,
        nonfinite=check_nonfinite(nonfinite),
        suv=suv,
        invert=invert,
        space=space_for(device),
        faults=faults,
    )


def check_paths(paths: Paths) -> list[Path]:
    """Return one path or many as a list."""
    if isinstance(paths, (str, os.PathLike)):
        return [Path(paths)]
    if isinstance(paths, bytes) or not isinstance(paths, Iterable):  # type: ignore[unreachable]
        raise TypeError(f"`paths` must be a path or a list of paths, got {paths!r}.")
    found = list(paths)
    for path in found:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"`paths` must hold paths, got {path!r}.")
    return [Path(path) for path in found]


@contextmanager
def show_progress(progress: bool | Progress) -> Iterator[Progress]:
    """Give the function to call with (done, total): the caller's, a bar's or an idle one."""
    if callable(progress):
        yield progress
        return
    if not progress:
        yield lambda done, total: None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress as Bar
    except ImportError:
        raise ImportError(
            '`progress=True` needs rich: pip install "fastmm[app]", or give a function '
            "progress(done, total)."
        ) from None
    # The error stream, so that what a program prints can be piped.
    with Bar(transient=True, console=Console(stderr=True)) as bar:
        task = bar.add_task("Loading images", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


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


def _normalizer(method: str | None) -> Callable[[Any, Any], Any] | None:
    if method is None:
        return None
    _check.one_of(method, "normalize", ("zscore", "minmax", "percentile"))
    from fastmm.image.intensity import normalize

    return lambda images, mask: normalize(images, method, mask=mask)
