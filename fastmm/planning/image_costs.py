"""What reading images and computing their features costs."""

from __future__ import annotations

from fastmm.planning import rates
from fastmm.planning.sizes import ImageSize, TableSize
from fastmm.planning.work import Work

__all__ = ["feature_work", "reading_work", "table_work"]


def reading_work(image: ImageSize, *, device: str = "cpu") -> Work:
    """Return the work of reading, decoding, windowing and resizing a modality's slices.

    On a GPU, threads of the host read and decode; stored pixels go there, and are resized
    at the speed of its memory.

    Examples
    --------
    >>> ct = ImageSize("ct", 10, 80, 80, 80 * 2**19, 80 * 2**19)
    >>> reading_work(ct).stored == 80 * 2**19
    True
    """
    pixels = image.slices * image.shape[0] * image.shape[1]
    found = Work(
        stored=image.file_bytes,
        steps=image.files * rates.FILE + image.pixel_bytes * image.decode,
        lone_steps=image.files * rates.FILE_LONE,
    )
    if device == "cuda":
        return found + Work(uploaded=image.pixel_bytes)
    return found + Work(steps=image.pixel_bytes * rates.PIXEL_BYTE + pixels * rates.NORMALISE)


def resizing_on_device(image: ImageSize) -> Work:
    """Return what a GPU moves for it: stored pixels read, resized ones written and normalised."""
    return Work(moved=image.pixel_bytes + 3 * image.resized_bytes)


def feature_work(image: ImageSize) -> Work:
    """Return the work of turning the resized slices of a modality into features, on a CPU."""
    if image.features == "statistics":
        each = rates.STATISTIC_PIXEL * image.shape[0] * image.shape[1]
    elif image.features == "pixels":
        each = 0.0
    else:
        each = rates.PATCH_PIXEL * image.patches * image.patch
    return Work(lone_steps=image.slices * (rates.SLICE_FEATURES + each))


def features_on_device(image: ImageSize) -> Work:
    """Return what a GPU moves: patches written once, read three times; features come back."""
    if image.features == "statistics":
        return feature_work(image)  # on the host
    pixels = image.patches * image.patch if image.features == "patches" else 0
    each = 4 * (4 * pixels + 2 * image.slice_features)
    return Work(moved=image.slices * each, lone_steps=image.examinations * 300e-6)


def table_work(table: TableSize, rows: int) -> Work:
    """Return the work of reading, checking and parsing the cells of a table."""
    return Work(lone_steps=rates.CELL * table.columns * rows)
