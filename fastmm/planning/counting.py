"""Count a study from its cohort, reading headers of a sample and no pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastmm.cohort import Cohort
from fastmm.planning.decoding import decode_seconds
from fastmm.planning.sizes import ImageSize, StudySize, TableSize
from fastmm.read.ahead import READERS
from fastmm.read.rows import Job, plan_rows

__all__ = ["Counted", "count_cohort", "patches_of", "sized_image"]

_SAMPLE = 48  # examinations of each modality whose headers are read


class Counted(NamedTuple):
    """A counted study, and files of the sample, by which storage can be tried."""

    size: StudySize
    files: list[Path]


def count_cohort(cohort: Cohort, modalities: Mapping[str, Any]) -> Counted:
    """Count a cohort that was read.

    Parameters
    ----------
    cohort : Cohort
        Its paths and tables.
    modalities : dict of str to ImageModality or TableModality
        What becomes of each.

    Returns
    -------
    Counted
        Sizes and files.

    Raises
    ------
    FastmmError
        If the header of a file in the sample cannot be read.
    """
    images, files, sampled = [], [], 0
    for name, paths in cohort.images.items():
        present = [path for path in paths if path is not None]
        chosen = _spread(present)
        found = _count_images(chosen)
        times = len(present) / max(len(chosen), 1)
        if name in cohort.masks:
            masks = _count_images(_spread([p for p in cohort.masks[name] if p is not None]))
            found = found.with_masks(masks)
        images.append(
            sized_image(
                name,
                modalities[name],
                examinations=len(present),
                slices=round(found.slices * times),
                files=round(found.n_files * times),
                file_bytes=round(found.file_bytes * times),
                pixel_bytes=round(found.pixel_bytes * times),
                decode=found.decode,
                masked=name in cohort.masks,
                largest=found.largest,
            )
        )
        files += found.files
        sampled += len(chosen)
    tables = tuple(
        TableSize(name, len(columns), _encoded_width(columns))
        for name, columns in cohort.tables.items()
    )
    classes = 2 if cohort.y is None else len(np.unique(cohort.y))
    size = StudySize(cohort.count, cohort.patients, classes, tuple(images), tables, sampled=sampled)
    return Counted(size, files)


def sized_image(name: str, modality: Any, **counts: Any) -> ImageSize:
    """Return the sizes of a modality whose files were counted."""
    return ImageSize(
        name,
        shape=modality.shape,
        features=modality.features,
        patches=patches_of(modality.shape, modality.patch_size, modality.step),
        patch=modality.patch_size[0] * modality.patch_size[1],
        pool=modality.pool,
        **counts,
    )


def patches_of(shape: Sequence[int], patch: Sequence[int], step: int) -> int:
    """Return how many patches an image has."""
    found = 1
    for length, size in zip(shape, patch, strict=True):
        found *= max((length - size) // step + 1, 0)
    return found


class _Found(NamedTuple):
    slices: int
    n_files: int
    file_bytes: int
    pixel_bytes: int
    decode: float
    largest: int
    files: list[Path]

    def with_masks(self, masks: _Found) -> _Found:
        """Return what is read of scans and masks together; slices are those of the scans."""
        total = max(self.pixel_bytes + masks.pixel_bytes, 1)
        own = self.decode * self.pixel_bytes + masks.decode * masks.pixel_bytes
        return self._replace(
            n_files=self.n_files + masks.n_files,
            file_bytes=self.file_bytes + masks.file_bytes,
            pixel_bytes=self.pixel_bytes + masks.pixel_bytes,
            decode=own / total,
            files=[*self.files, *masks.files],
        )


def _count_images(paths: Sequence[Path]) -> _Found:
    if not paths:
        return _Found(0, 0, 0, 0, 0.0, 1, [])
    with ThreadPoolExecutor(READERS) as pool:
        plan = plan_rows(paths, pool, None)
    files = list(dict.fromkeys(job.header.path for job in plan.jobs))
    pixels = {id(job): _pixel_bytes(job) for job in plan.jobs}
    total = max(sum(pixels.values()), 1)
    decoded = sum(decode_seconds(job.header) * pixels[id(job)] for job in plan.jobs)
    return _Found(
        plan.n_rows,
        len(plan.jobs),
        sum(job.header.path.stat().st_size for job in plan.jobs),
        total,
        decoded / total,
        max(plan.counts),
        files,
    )


def _pixel_bytes(job: Job) -> int:
    header: Any = job.header
    if hasattr(header, "layout"):
        layout = header.layout
        values = layout.rows * layout.columns * layout.samples
        bits: int = layout.allocated if hasattr(layout, "allocated") else layout.bits
        return int(header.frames * values * max(bits // 8, 1))
    _, rows, columns = header.shape
    return int(header.frames * rows * columns * header.dtype.itemsize)


def _spread(paths: Sequence[Path]) -> list[Path]:
    """Choose paths from the whole list, the same ones each time."""
    if len(paths) <= _SAMPLE:
        return list(paths)
    return [paths[i] for i in np.linspace(0, len(paths) - 1, _SAMPLE).astype(int)]


def _encoded_width(columns: Mapping[str, Sequence[str]]) -> int:
    """Return how many features the columns become, learned from all rows."""
    from fastmm.features.table import TableEncoder

    try:
        return len(TableEncoder().fit(columns).feature_names_)
    except ValueError:  # of a column the run will refuse, too: its error tells more there
        return len(columns)
