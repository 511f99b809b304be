"""From the options of a training to what the planner counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastmm._check import integer, one_of, sizes
from fastmm.modalities import ImageModality, TableModality
from fastmm.planning.counting import Counted, count_cohort, sized_image
from fastmm.planning.sizes import StudySize, TableSize
from fastmm.training_options import image_defaults, name_tables

__all__ = ["count_file", "count_numbers"]

_STORED = 2  # bytes of a stored pixel


def count_file(
    cohort: Path,
    *,
    label: str | None,
    group: str | None,
    images: Sequence[str],
    tables: Sequence[str],
    masks: Mapping[str, str],
    features: Mapping[str, str],
    pool: str,
    solver: str,
    by: Sequence[str] = (),
    task: str = "auto",
) -> Counted:
    """Count a cohort file as `fastmm train` would read it; its mistakes are found here, too."""
    from fastmm.cohort import read_cohort

    if not images and not tables:
        raise ValueError("Name at least one `images` column or one of `tables`.")
    unknown = sorted({*masks, *features} - set(images))
    if unknown:
        raise ValueError(f"`images` must name {', '.join(unknown)}, which an option speaks of.")
    sources = name_tables(tables, taken=images)
    found = read_cohort(
        cohort, label=label, group=group, images=images, tables=sources, masks=masks, by=by,
        kind=task,
    )  # fmt: skip
    modalities: dict[str, Any] = {
        name: ImageModality(
            pool=pool,
            **image_defaults(deep=solver == "deep", masked=name in masks)
            | ({"features": features[name]} if name in features else {}),
        )
        for name in images
    }
    counted = count_cohort(found, modalities | {name: TableModality() for name in sources})
    if task != "regression":
        return counted
    return counted._replace(size=replace(counted.size, classes=0))


def count_numbers(
    patients: int,
    *,
    rows: int | None,
    slices: int,
    shape: Sequence[int],
    modalities: int | Mapping[str, Any],
    columns: int,
    classes: int,
    pool: str,
    solver: str,
    task: str = "auto",
) -> Counted:
    """Count a study of uncompressed DICOM slices of 16 bits, a file each, from numbers."""
    patients = integer(patients, "patients", minimum=4)
    count = patients if rows is None else integer(rows, "rows", minimum=patients)
    slices, (height, width) = integer(slices, "slices"), sizes(shape, "shape", lengths=(2,))
    one_of(pool, "pool", ("mean", "max", "stack", "rows"))
    if isinstance(modalities, Mapping):
        given = dict(modalities)
    else:
        named = range(1, integer(modalities, "modalities", minimum=0) + 1)
        own = image_defaults(deep=solver == "deep", masked=False)
        given = {f"image {i}": ImageModality(pool=pool, **own) for i in named}
    columns = integer(columns, "columns", minimum=0)
    if not given and not columns:
        raise ValueError("`modalities` or `columns` must be at least 1, got 0 of both.")
    pixels = _STORED * height * width
    images = tuple(
        sized_image(
            name,
            modality,
            examinations=count,
            slices=count * slices,
            files=count * slices,
            file_bytes=count * slices * (pixels + 1000),
            pixel_bytes=count * slices * pixels,
            largest=slices,
        )
        for name, modality in given.items()
        if isinstance(modality, ImageModality)
    )
    if len(images) < len(given):
        raise TypeError("`modalities` must hold ImageModality alone; say `columns` for a table.")
    tables = (TableSize("table", columns, columns),) if columns else ()
    classes = 0 if task == "regression" else integer(classes, "classes", minimum=2)
    size = StudySize(count, patients, classes, images, tables)
    return Counted(size, [])
