"""The stages of images: read, preprocess, resize, cut patches."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.bench.cases import HUGE, Case, Stage, error

__all__ = ["IMAGE_STAGES", "interpolated", "windowed"]

BEFORE, AFTER, PATCH, STEP = 512, 128, 64, 8
CENTER, WIDTH, INTERCEPT = -600.0, 1500.0, -1024.0  # the window of a lung, in HU
_RESIZE_FLOPS = 6  # three products and three sums for each value


def load_case(space: Space, n: int) -> Case:
    """Read `n` CT slices from files, rescaled, windowed and resized."""
    from fastmm.loading.batch import load_images

    rng = np.random.default_rng(0)
    stored = rng.integers(0, 4096, (8, BEFORE, BEFORE), np.int16)
    folder = Path(tempfile.mkdtemp(prefix="fastmm-bench-"))
    try:
        paths = [_write_slice(folder / f"{i}.dcm", stored[i % 8], i) for i in range(n)]
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    device = "cuda" if space.kind == "cuda" else "cpu"
    expected = interpolated(windowed(stored[[0, (n - 1) % 8]]), AFTER)
    return Case(
        task=f"{n} DICOM slices {BEFORE} x {BEFORE} to {AFTER} x {AFTER}, from files",
        call=lambda: load_images(paths, (AFTER, AFTER), window=(CENTER, WIDTH), device=device),
        arguments=(),
        n_bytes=n * (BEFORE * BEFORE * 2 + AFTER * AFTER * 4),
        flops=n * AFTER * AFTER * _RESIZE_FLOPS,
        dtype="float32",
        check=lambda out: error(out[[0, -1]], expected, space),
        tolerance=2e-6,
        items=n,
        close=lambda: shutil.rmtree(folder, ignore_errors=True),
    )


def preprocess_case(space: Space, n: int) -> Case:
    """Rescale, window and resize stored pixels that are on the device."""
    from fastmm.image.preprocessing import preprocess

    stored = _stored(space, n)
    expected = interpolated(windowed(space.to_host(stored[[0, -1]])), AFTER)
    return Case(
        task=f"rescale, window, resize int16 {n} x {BEFORE} x {BEFORE} to {AFTER} x {AFTER}",
        call=lambda x: preprocess(x, (AFTER, AFTER), intercept=INTERCEPT, window=(CENTER, WIDTH)),
        arguments=(stored,),
        n_bytes=_resize_bytes(n, 2),
        flops=n * AFTER * AFTER * (_RESIZE_FLOPS + 4 * 4),
        dtype="float32",
        check=lambda out: error(out[[0, -1]], expected, space),
        tolerance=2e-6,
        items=n,
    )


def resize_case(space: Space, n: int) -> Case:
    """Resize float32 slices."""
    from fastmm.image.resizing import resize

    images = _uniform(space, (n, BEFORE, BEFORE))
    expected = interpolated(space.to_host(images[[0, -1]]).astype(np.float64), AFTER)
    return Case(
        task=f"resize float32 {n} x {BEFORE} x {BEFORE} to {AFTER} x {AFTER}",
        call=lambda x: resize(x, (AFTER, AFTER)),
        arguments=(images,),
        n_bytes=_resize_bytes(n, 4),
        flops=n * AFTER * AFTER * _RESIZE_FLOPS,
        dtype="float32",
        check=lambda out: error(out[[0, -1]], expected, space),
        tolerance=2e-6,
        items=n,
    )


def patches_case(space: Space, n: int) -> Case:
    """Cut images into overlapping patches."""
    from fastmm.image.patches import extract_patches

    images = _uniform(space, (n, AFTER, AFTER))
    last = space.to_host(images[-1]).astype(np.float64)
    views = np.lib.stride_tricks.sliding_window_view(last, (PATCH, PATCH))[::STEP, ::STEP]
    return Case(
        task=f"patches {PATCH} x {PATCH}, step {STEP}, of float32 {n} x {AFTER} x {AFTER}",
        call=lambda x: extract_patches(x, (PATCH, PATCH), step=STEP),
        arguments=(images,),
        n_bytes=images.nbytes + n * views.size * 4,
        flops=0,
        dtype="float32",
        check=lambda out: error(out[-1], views, space),
        tolerance=0.0,
    )


IMAGE_STAGES = (
    Stage(
        "load",
        load_case,
        {"small": (32,), "medium": (128,), "large": (512,)},
        lambda n: 1.5 * n * BEFORE * BEFORE * 2,
    ),
    Stage(
        "preprocess",
        preprocess_case,
        {"small": (32,), "medium": (256,), "large": (2048,), HUGE: (16384,)},
        lambda n: 1.5 * n * BEFORE * BEFORE * 2,
    ),
    Stage(
        "resize",
        resize_case,
        {"small": (32,), "medium": (256,), "large": (1024,), HUGE: (8192,)},
        lambda n: 1.5 * n * BEFORE * BEFORE * 4,
    ),
    Stage(
        "patches",
        patches_case,
        {"small": (8,), "medium": (64,), "large": (512,), HUGE: (4096,)},
        lambda n: 1.1 * n * ((AFTER - PATCH) // STEP + 1) ** 2 * PATCH * PATCH * 4,
    ),
)


def windowed(stored: Any) -> Any:
    """Return what rescale and window make of stored pixels, in float64."""
    return np.clip((stored + INTERCEPT - (CENTER - WIDTH / 2)) / WIDTH, 0, 1)


def interpolated(x: Any, side: int) -> Any:
    """Resize the last two axes by linear interpolation, in float64 and plain words."""
    first, second, weight = _neighbours(x.shape[-1], side)
    x = x[:, first] * (1 - weight)[:, None] + x[:, second] * weight[:, None]
    return x[..., first] * (1 - weight) + x[..., second] * weight


def _neighbours(before: int, after: int) -> tuple[Any, Any, Any]:
    centre = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    first = centre.astype(np.int64)
    return first, np.minimum(first + 1, before - 1), centre - first


def _resize_bytes(n: int, itemsize: int) -> int:
    # Rows that no result touches need not be read; within a row, cache lines are whole.
    first, second, _ = _neighbours(BEFORE, AFTER)
    rows = np.union1d(first, second).size
    return int(n * (rows * BEFORE * itemsize + AFTER * AFTER * 4))


def _stored(space: Space, n: int) -> Any:
    # A few slices of noise, each further one another mixture of two of them.
    rng = np.random.default_rng(0)
    few = space.asarray(rng.integers(0, 4096, (16, BEFORE, BEFORE), np.int16))
    stored = space.xp.empty((n, BEFORE, BEFORE), np.int16)
    for i in range(n):
        stored[i] = few[i % 16] ^ few[i // 16 % 16] if i >= 16 else few[i]
        stored[i, 0, 0] = i % 4096
    return stored


def _uniform(space: Space, shape: tuple[int, ...]) -> Any:
    if space.kind == "cuda":
        return space.xp.random.default_rng(0).random(shape, np.float32)
    return np.random.default_rng(0).random(shape, np.float32)


def _write_slice(path: Path, stored: Any, number: int) -> str:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_ = Dataset()
    slice_.SOPClassUID, slice_.SOPInstanceUID = CTImageStorage, f"1.2.3.1.{number + 1}"
    slice_.Modality, slice_.SeriesInstanceUID = "CT", "1.2.3.2"
    slice_.Rows, slice_.Columns = stored.shape
    slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit = 16, 16, 15
    slice_.PixelRepresentation, slice_.SamplesPerPixel = 1, 1
    slice_.PhotometricInterpretation = "MONOCHROME2"
    slice_.PixelSpacing = [0.7, 0.7]
    slice_.ImagePositionPatient = [0, 0, number]
    slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    slice_.RescaleSlope, slice_.RescaleIntercept = 1, INTERCEPT
    slice_.PixelData = stored.tobytes()
    slice_.file_meta = meta
    slice_.save_as(path, enforce_file_format=True)
    return str(path)
