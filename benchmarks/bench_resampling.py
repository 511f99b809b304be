"""Resample a volume on another grid in the patient: turned, coarser, finer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastmm import Volume
from fastmm.image.resampling import resample

FULL, SMALL = (128, 256, 256), (6, 12, 10)
SPACING = (2.0, 1.0, 1.0)
# The shape and spacing of the grid over those of the volume, and the angle in degrees.
GRIDS = {"turned by 20 degrees": (1.0, 20.0), "to half": (0.5, 0.0), "to double": (2.0, 0.0)}
TASK = pytest.mark.parametrize("task", GRIDS)


@TASK
def bench_resample(timed: Any, arrays: Any, pick: Any, task: str) -> None:
    volume, like = volumes(pick(FULL, SMALL), task)
    timed(
        lambda x: resample(volume_with(volume, x), like=like, fill=0.0).array,
        arrays.xp.asarray(volume.array),
        group=group_of(volume, task),
        bytes=4 * (volume.array.size + like.array.size),
        check=lambda out: error_of(arrays.asnumpy(out), volume, like),
        tolerance=2e-6,
    )


@TASK
def bench_resample_simpleitk(timed: Any, pick: Any, task: str) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    volume, like = volumes(pick(FULL, SMALL), task)
    run = sitk.ResampleImageFilter()
    run.SetReferenceImage(itk_image(sitk, like))
    run.SetInterpolator(sitk.sitkLinear)
    image = itk_image(sitk, volume)
    # Images stand outside the timed part: only the filter is compared.
    timed(
        lambda _: run.Execute(image),
        volume.array,
        group=group_of(volume, task),
        peer="SimpleITK",
        bytes=4 * (volume.array.size + like.array.size),
        check=lambda out: error_of(sitk.GetArrayFromImage(out), volume, like),
        tolerance=2e-6,
    )


@TASK
def bench_resample_scipy(timed: Any, pick: Any, task: str) -> None:
    from scipy import ndimage

    volume, like = volumes(pick(FULL, SMALL), task)
    matrix = (np.linalg.inv(volume.affine) @ like.affine)[:3]
    matrix = np.column_stack([matrix[::-1, 2::-1], matrix[::-1, 3]])
    timed(
        lambda x: ndimage.affine_transform(
            x, matrix[:, :3], matrix[:, 3], like.array.shape, order=1, mode="nearest"
        ),
        volume.array,
        group=group_of(volume, task),
        peer="SciPy",
        bytes=4 * (volume.array.size + like.array.size),
        check=lambda out: error_of(out, volume, like),
        tolerance=2e-6,
    )


def volumes(shape: tuple[int, ...], task: str) -> tuple[Volume, Volume]:
    scale, angle = GRIDS[task]
    array = np.random.default_rng(0).standard_normal(shape, np.float32)
    after = tuple(round(n * scale) for n in shape)
    spacing = tuple(s / scale for s in SPACING)
    empty = np.zeros(after, np.float32)
    return centred(array, SPACING, 0.0), centred(empty, spacing, angle)


def centred(array: np.ndarray, spacing: tuple[float, ...], angle: float) -> Volume:
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ [[1, 0, 0], [0, c, -s], [0, s, c]]
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing[::-1]
    affine[:3, 3] = -affine[:3, :3] @ (np.array(array.shape[::-1]) - 1) / 2
    return Volume(array, "HU", spacing, affine)


def volume_with(volume: Volume, array: Any) -> Volume:
    return Volume(array, volume.units, volume.spacing, volume.affine)


def itk_image(sitk: Any, volume: Volume) -> Any:
    image = sitk.GetImageFromArray(volume.array)
    image.SetSpacing(volume.spacing[::-1])
    image.SetOrigin(volume.affine[:3, 3].tolist())
    image.SetDirection((volume.affine[:3, :3] / volume.spacing[::-1]).ravel().tolist())
    return image


def group_of(volume: Volume, task: str) -> str:
    size = " x ".join(map(str, volume.array.shape))
    return f"resample float32 {size}, {task}"


def error_of(result: np.ndarray, volume: Volume, like: Volume) -> float:
    """Compare random voxels between the outermost centres with float64 interpolation."""
    assert result.shape == like.array.shape
    assert result.dtype == np.float32
    depth, height, width = result.shape
    rng = np.random.default_rng(1)
    at = np.stack([rng.integers(0, n, 20_000) for n in (depth, height, width)], -1)
    matrix = np.linalg.inv(volume.affine) @ like.affine
    places = (at[:, ::-1] @ matrix[:3, :3].T + matrix[:3, 3])[:, ::-1]
    last = np.array(volume.array.shape) - 1
    places, at = (a[((places >= 0) & (places <= last)).all(-1)] for a in (places, at))
    first = np.minimum(places.astype(np.int64), last - 1)
    expected = np.zeros(len(at))
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(corner, places - first, 1 - (places - first)).prod(-1)
        expected += weight * volume.array[tuple((first + corner).T)]
    return float(np.abs(result[tuple(at.T)] - expected).max() / np.abs(volume.array).max())
