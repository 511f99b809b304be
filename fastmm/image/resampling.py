"""Resample volumes on another grid in the patient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastmm._check import dtype_of_result, number, one_of, real
from fastmm._device_memory import tells_of_memory
from fastmm._interp import canonical
from fastmm._space import enter
from fastmm.errors import LimitError
from fastmm.image.interpolating import interpolate, supported
from fastmm.image.places import Places, no_overlap
from fastmm.image.resampling_slabs import resample_slabs
from fastmm.image.voxel_grids import Grid, grid_of, index_map, respaced
from fastmm.read import limits
from fastmm.read.volume import Volume
from fastmm.streams.limits import check_limit
from fastmm.streams.sources import is_source, open_source

__all__ = ["resample"]


@tells_of_memory
def resample(
    volume: Volume,
    *,
    spacing: float | Sequence[float] | None = None,
    like: Volume | None = None,
    interpolation: str = "linear",
    fill: float | None = None,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Volume:
    r"""Resample a volume in patient space, on a new spacing or on another volume's grid.

    The voxel with index :math:`i = (x, y, z, 1)` of the new grid lies at the index
    :math:`A^{-1} B\, i` of `volume`, where :math:`A` is its affine and :math:`B` that of
    the new grid; its value is interpolated there. Turned, sheared and flipped grids, and
    grids that overlap in part, are all the same to it.

    Parameters
    ----------
    volume : Volume
        What is resampled; of several time points each. Its array, of shape (z, y, x) or
        (t, z, y, x), is NumPy, CuPy or any DLPack array; `valid` is used where it is given.
    spacing : float or sequence of 3 floats, optional
        New spacing in mm, of all axes or (z, y, x), on the axes that `volume` has. Axis by
        axis the new grid has the fewest voxels that cover it,
        :math:`n' = \lceil n s / s' \rceil`, and the same centre. So where
        :math:`n s / s'` is whole, the corners stay where they are. The values of
        `volume.affine` need not be known for this.
    like : Volume, optional
        Takes the grid of this volume: size, affine, spacing and positions. Its values are
        not looked at, nor is it known whether both share a frame of reference: that is the
        caller's to see to. Exactly one of `spacing` and `like` must be given.
    interpolation : {"linear", "nearest", "cubic"}, default "linear"
        Between voxel centres: "linear" along each axis in turn; "nearest" voxel centre,
        for masks and labels; "cubic" is Keys' convolution with a = -0.75 along each axis,
        which may overshoot. Beyond the outermost centres the nearest ones are repeated.
    fill : float, optional
        Value of voxels that are not valid. The lowest valid value of `volume` if None.
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": slices
        are made some at a time, each from where its voxels lie in an array on disk
        (memory-mapped, zarr). On the host. The result counts, unless `out` is given, and a
        byte for each voxel where some are not valid.
    out : array, optional
        Where the array of the result goes: a NumPy, memory-mapped or zarr array of its shape
        and dtype.

    Returns
    -------
    Volume
        Of the new grid; `units`, `modality`, `source` and `time_axis` are those of `volume`.
        The array is float32, or float64 where that of `volume` is float64 or has integers
        over 16 bits; on the device, and of the library, that it came from. `valid` is False,
        and the value `fill`, where a voxel has its centre in no voxel of `volume`, or one of
        the voxels that it is interpolated from is not valid; None if all voxels are valid.

    Raises
    ------
    ValueError
        If an argument has no allowed value, or not exactly one of `spacing` and `like` is
        given, or `fill` is None but no valid voxel has a finite value.
    TypeError
        If `volume` or `like` is no Volume, or the array and `valid` are on two devices, or
        on a GPU with `memory_limit` or `out`.
    GeometryError
        If a spacing or affine that is needed is not known or singular, spacing and affine
        contradict each other, or no valid voxel of `volume` lies on the new grid.
    LimitError
        If the result would take more than ``fastmm.read.limits.MAX_BYTES``.

    Notes
    -----
    As in ITK, a voxel owns the places up to half a step around its centre, the lower end
    included; linear interpolation agrees with SimpleITK's ``ResampleImageFilter`` to 1e-6 of
    the largest value, and with float64 arithmetic as well. ITK centres no grid: give its
    origin. SimpleITK's B-splines are another cubic.

    There is no smoothing: a spacing much coarser than that of `volume` aliases, so blur, or
    use ``fastmm.resize(..., antialias=True)``, before. Weights below 1e-4 do not make a
    voxel invalid, and grids that agree to 1e-5 voxel count as equal, since the numbers in
    files are rounded. Grids along the same axes, flipped or in another order too, cost a
    fraction of turned ones. Arrays that are not C-contiguous are copied.

    References
    ----------
    .. [1] A. Zwanenburg et al., "The Image Biomarker Standardization Initiative", Radiology
       295(2), 2020, whose reference manual aligns the centres of grids,
       doi:10.1148/radiol.2020191145.
    .. [2] R. Keys, "Cubic convolution interpolation for digital image processing", IEEE
       Trans. ASSP 29(6), 1981, doi:10.1109/TASSP.1981.1163711.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import Volume
    >>> from fastmm import resample
    >>> ct = Volume(np.arange(8, dtype="f4").reshape(2, 2, 2), "HU", (2.0, 1.0, 1.0), np.diag(
    ...     [1.0, 1.0, 2.0, 1.0]))
    >>> fine = resample(ct, spacing=1)
    >>> fine.array.shape, fine.affine[:3, 3].tolist()
    ((4, 2, 2), [0.0, 0.0, -0.5])
    >>> fine.array[:, 0, 0]
    array([0., 1., 3., 4.], dtype=float32)
    """
    _check_volume(volume, "volume")
    one_of(interpolation, "interpolation", ("nearest", "linear", "cubic"))
    value = None if fill is None else number(fill, "fill")
    if spacing is not None and like is None:
        grid, matrix = respaced(volume, spacing)
    elif like is not None and spacing is None:
        _check_volume(like, "like")
        grid = grid_of(like)
        matrix = index_map(volume, grid)
    else:
        given = "neither" if like is None else "both"
        raise ValueError(f"Exactly one of `spacing` and `like` must be given, got {given}.")
    if memory_limit is not None or out is not None or is_source(volume.array):
        return _in_slabs(volume, grid, matrix, interpolation, value, memory_limit, out)
    arrays = {"volume.array": volume.array, "volume.valid": volume.valid}
    space, (array, mask), leave = enter(**arrays)
    real(array, "volume.array")
    dtype = dtype_of_result(array.dtype)
    _check_size(grid, math.prod(array.shape[:-3]), dtype)
    places = Places(matrix, array.shape[-3:], grid.shape)
    if places.apart():
        raise no_overlap()
    if array.dtype in (np.float16, np.bool_):  # no arithmetic in kernels on these
        array = array.astype(dtype)
    partial = mask is not None or not places.all_inside()
    if partial and value is None:
        value = _lowest(space.xp, array, mask)
    src = canonical(array, 3)
    out = space.empty((src.shape[0], *grid.shape), dtype)
    valid = interpolate(space, src, out, places, interpolation, value or 0.0, marked=partial)
    if mask is not None:
        valid = supported(space, canonical(mask, 3), out, places, interpolation)
        out[~valid] = value
    if partial:
        if not bool(valid.any()):
            raise no_overlap()
        if bool(valid.all()):
            valid = None
    shape = (*array.shape[:-3], *grid.shape)
    return _on_grid(
        volume,
        grid,
        leave(out.reshape(shape)),
        None if valid is None else leave(_for_each(space.xp, valid, shape)),
    )


def _on_grid(volume: Volume, grid: Grid, array: Any, valid: Any) -> Volume:
    return replace(
        volume,
        array=array,
        valid=valid,
        spacing=grid.spacing,
        affine=grid.affine,
        positions=grid.positions(),
    )


def _in_slabs(
    volume: Volume, grid: Grid, matrix: Any, method: str, fill: float | None, limit: Any, out: Any
) -> Volume:
    """Do the same some slices at a time."""
    source = open_source(volume.array)
    if source.space.kind != "cpu":
        raise TypeError(
            "`memory_limit` and `out` of `resample` are for arrays on the host or on disk, got one "
            f"on {source.space}."
        )
    real(volume.array, "volume.array")
    dtype = dtype_of_result(source.dtype)
    if out is None:
        _check_size(grid, math.prod(source.shape[:-3]), dtype)
    places = Places(matrix, source.shape[-3:], grid.shape)
    if places.apart():
        raise no_overlap()
    room = check_limit(limit)
    given = (volume.array, volume.valid, places, method, fill, dtype, room, out)
    return _on_grid(volume, grid, *resample_slabs(*given))


def _lowest(xp: Any, array: Any, mask: Any) -> float:
    if mask is None:
        lowest = float(array.min())
        if math.isfinite(lowest):
            return lowest
    chosen = xp.isfinite(array) if mask is None else xp.isfinite(array) & mask
    values = array[chosen]
    if not values.size:
        raise ValueError(
            "`volume` has no valid voxel of finite value to take `fill` from; give `fill`."
        )
    return float(values.min())


def _for_each(xp: Any, valid: Any, shape: tuple[int, ...]) -> Any:
    """Give every time point a mask of its own."""
    if valid.size == math.prod(shape):
        return valid.reshape(shape)
    return xp.array(xp.broadcast_to(valid, shape), order="C")


def _check_volume(volume: Any, name: str) -> None:
    if not isinstance(volume, Volume):
        raise TypeError(f"`{name}` must be a fastmm.Volume, got {type(volume).__name__}.")
    shape = tuple(getattr(volume.array, "shape", ()))
    if len(shape) not in (3, 4) or 0 in shape:
        raise ValueError(
            f"`{name}.array` must have shape (z, y, x) or (t, z, y, x), not empty, got {shape}."
        )
    if volume.valid is not None and tuple(volume.valid.shape) != shape:
        raise ValueError(
            f"`{name}.valid` must have the shape of the array, {shape}, got "
            f"{tuple(volume.valid.shape)}."
        )


def _check_size(grid: Grid, count: int, dtype: np.dtype[Any]) -> None:
    needed = count * math.prod(grid.shape) * dtype.itemsize
    if needed > limits.MAX_BYTES:
        raise LimitError(
            f"The result, of shape {grid.shape}, would take {needed} bytes, more than the "
            f"{limits.MAX_BYTES} of fastmm.read.limits.MAX_BYTES; choose a coarser spacing or "
            "raise the limit."
        )
