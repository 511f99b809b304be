"""What the headers of one series tell before its pixels are read: its grid and its problems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import GeometryError
from fastmm.read.dicom.geometry import check_grid, normal_of, order_along_normal
from fastmm.read.dicom.header import Header
from fastmm.read.dicom.series import differences
from fastmm.read.dicom.syntaxes import missing_decoder, syntax_name

__all__ = ["Findings", "examine", "orientation_word"]

# A normal within 10 degrees of an axis is called by its plane, though it may be oblique.
_NEARLY = math.cos(math.radians(10))
_PLANES = ("sagittal", "coronal", "axial")
_TILTED = 0.05  # degrees; less is the rounding of positions


class Findings(NamedTuple):
    """Number of places, step between them in mm (NaN: unknown or uneven), and problems."""

    slices: int
    step: float
    problems: list[str]


def examine(group: Sequence[Header]) -> Findings:
    """Look for what stands in the way of a volume, and what should be known before."""
    first = group[0]
    problems = [f"slices differ in {what}" for what, _ in differences(group)]
    n_images = sum(h.frames for h in group)
    step, slices = math.nan, n_images
    if n_images == 1:
        step = first.thickness
    elif lacking := _lacking(group):
        problems.append(lacking)
    else:
        positions = np.concatenate([h.positions for h in group if h.positions is not None])
        slices, step, more = _examine_grid(group, positions)
        problems += more
    if first.layout.samples > 1:
        problems.append("in colour: needs `channel=` unless red, green and blue are equal")
    for syntax in dict.fromkeys(h.syntax for h in group):
        if package := missing_decoder(syntax):
            problems.append(f"no decoder for {syntax_name(syntax)}: pip install {package}")
    if any(map(math.isnan, first.spacing)):
        problems.append("PixelSpacing is not known")
    problems += dict.fromkeys(note for h in group for note in h.notes)
    return Findings(slices, step, problems)


def orientation_word(orientation: Sequence[float] | None) -> str:
    """Name the plane of a slice: axial, coronal, sagittal or oblique; "" where unknown."""
    if orientation is None:
        return ""
    share = np.abs(normal_of(orientation))
    axis = int(share.argmax())
    return _PLANES[axis] if share[axis] >= _NEARLY else "oblique"


def _lacking(group: Sequence[Header]) -> str:
    for name, what in (("orientation", "orientations"), ("positions", "positions")):
        count = sum(h.frames for h in group if getattr(h, name) is None)
        if count:
            return f"{what} of {count} image(s) are not known"
    return ""


def _examine_grid(
    group: Sequence[Header], positions: NDArray[np.float64]
) -> tuple[int, float, list[str]]:
    """Return the number of places, the step between them, and problems."""
    first = group[0]
    order, runs = order_along_normal(positions, first.orientation or ())
    extra = sum(len(run) - 1 for run in runs)
    slices = len(order) - extra
    problems = [_shared_places(slices, runs)] if runs else []
    if slices == 1:
        return slices, first.thickness, problems
    later = {i for run in runs for i in run[1:]}
    kept = [i for i in order.tolist() if i not in later]
    names = [h.path.name for h in group for _ in range(h.frames)]
    try:
        grid = check_grid(
            [names[i] for i in kept],
            positions[kept],
            first.orientation or (),
            min(first.spacing),
            uneven="accept",
            tilt="shear",
        )
    except GeometryError:
        return slices, math.nan, [*problems, "slices are shifted sideways irregularly"]
    if grid.tilt > _TILTED:
        problems.append(f"gantry tilt of {grid.tilt:.1f} degrees")
    if math.isnan(grid.step):
        problems.append(_uneven(positions[kept] @ normal_of(first.orientation or ())))
    return slices, grid.step, problems


def _shared_places(slices: int, runs: Sequence[Sequence[int]]) -> str:
    counts = {len(run) for run in runs}
    if len(counts) == 1 and len(runs) == slices:
        return f"{counts.pop()} images at each place: time points, echoes, b-values or copies"
    return f"{len(runs)} of {slices} places hold several images"


def _uneven(along: NDArray[np.float64]) -> str:
    steps = np.diff(along)
    usual = float(np.median(steps))
    # Where slices are missing, the step is a multiple of the usual one.
    times = np.round(steps / usual)
    gaps = int(((times > 1) & (np.abs(steps - times * usual) <= 0.05 * usual)).sum())
    told = f"uneven steps, {steps.min():.4g} to {steps.max():.4g} mm"
    return f"{told}; {gaps} gap(s)" if gaps else told
