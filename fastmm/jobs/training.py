"""The jobs of the command line: files in, files out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastmm.cohort import read_cohort
from fastmm.datasets import make_cohort
from fastmm.errors import CohortError
from fastmm.findings.held_out_numbers import COVERED
from fastmm.modalities import ImageModality, TableModality
from fastmm.model_file import save_model
from fastmm.prediction.files import write_numbers, write_predictions
from fastmm.read.dicom.values import as_asked
from fastmm.read.reading import read_volume
from fastmm.read.rows import series_units
from fastmm.regions.sizes import has_lengths
from fastmm.regression_report import write_regression_report
from fastmm.regression_study import RegressionStudy, run_regression
from fastmm.reporting import write_report
from fastmm.stopwatch import Stopwatch
from fastmm.study import Study, Task, run_study
from fastmm.training_options import check_columns, image_defaults, name_tables

__all__ = ["demo_cohort", "train_job"]

# Wide enough for lung to bone: a default must not clip away what a user looks for.
_CT_WINDOW = (0.0, 2000.0)


def demo_cohort(
    folder: Path, patients: int, seed: int, progress: Callable[[int, int], object]
) -> Path:
    """Make the synthetic cohort in `folder`; one that an earlier run finished is kept."""
    if not (folder / "cohort.csv").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Elsewhere first: what an interrupted run leaves must not be taken for a cohort.
        with TemporaryDirectory(dir=folder.parent, prefix=".cohort-") as draft:
            made = make_cohort(Path(draft) / "cohort", patients, seed, progress=progress)
            made.parent.rename(folder)
    progress(patients, patients)
    return folder / "cohort.csv"


def train_job(
    cohort_file: Path,
    output: Path,
    *,
    label: str,
    group: str | None,
    images: Sequence[str],
    tables: Sequence[str],
    windows: Mapping[str, tuple[float, float]] | None = None,
    channels: Mapping[str, int] | None = None,
    suv: Collection[str] = (),
    masks: Mapping[str, str] | None = None,
    outside: str = "blank",
    features: Mapping[str, str] | None = None,
    models: Sequence[str] = ("ridge",),
    fusion: str = "stack",
    interactions: bool = False,
    pool: str = "mean",
    by: Sequence[str] = (),
    kind: str = "auto",
    device: str = "auto",
    ids: bool = False,
    task: Task | None = None,
    watch: Stopwatch | None = None,
    **about: Any,
) -> Study | RegressionStudy:
    """Validate, fit and report a cohort; write four files into `output`.

    `kind` is what the label is: classes, or with "regression" numbers.
    """
    numbers = kind == "regression"
    check_columns(
        {"images": images, "tables": tables, "windows": windows, "channels": channels, "suv": suv,
         "masks": masks, "features": features, "ids": ids, "group": group, "by": by, "kind": kind}
    )  # fmt: skip
    if output.exists() and not output.is_dir():
        raise ValueError(f"`output` must be a folder, got the file {output.name}.")
    sources = name_tables(tables, taken=images)
    cohort = read_cohort(
        cohort_file, label=label, group=group, images=images, tables=sources, masks=masks, by=by,
        kind=kind,
    )  # fmt: skip
    windows, channels = windows or {}, channels or {}
    regions, features, deep = masks or {}, features or {}, "deep" in models
    modalities: dict[str, Any] = {
        name: _image_modality(
            cohort.images[name],
            windows.get(name),
            pool=pool,
            channel=channels.get(name),
            suv=name in suv,
            outside=outside,
            masks=cohort.masks.get(name, []),
            **image_defaults(deep=deep, masked=name in regions)
            | ({"features": features[name]} if name in features else {}),
        )
        for name in images
    }
    modalities |= {name: TableModality() for name in sources}
    settings = {
        "images": list(images),
        "tables": list(tables),
        "models": list(models),
        "windows": {name: list(window) for name, window in windows.items()},
        "channels": dict(channels),
        "suv": sorted(suv),
        "masks": dict(masks or {}),
        "outside": outside,
        "features": {name: modalities[name].features for name in images},
        "fusion": fusion,
        "interactions": interactions,
        "pool": pool,
        "group": group,
        "by": list(by),
        "task": "regression" if numbers else "classification",
    }
    run: Callable[..., Study | RegressionStudy] = run_regression if numbers else run_study
    with _noting_warnings() as warned:
        study = run(
            cohort,
            modalities,
            models=models,
            fusion=fusion,
            interactions=interactions,
            device=device,
            task=task,
            watch=watch,
            settings=settings,
            **about,
        )
    study.results["cohort"]["notes"] += warned
    notes = {
        "group": group,
        "images": list(images),
        "tables": {n: [list(s.columns), str(s.file or ""), s.key] for n, s in sources.items()},
        "masks": dict(masks or {}),
    }
    with _all_or_none(output) as draft:
        save_model(study.model, draft / "model.fastmm", notes=notes)
        _write_held_out(study, draft / "predictions.csv", cohort.groups, group if ids else None)
        write = write_report if isinstance(study, Study) else write_regression_report
        write(study.results, draft, pictures=study.pictures)
    return study


def _write_held_out(
    study: Study | RegressionStudy, file: Path, patients: Any, group: str | None
) -> None:
    if isinstance(study, Study):
        own = study.held_out
        columns = (own.prediction, own.score, own.probability)
        write_predictions(file, study.model.classes_, columns, patients, group)
        return
    found, name = study.held_out, f"{COVERED:.0%}"
    ends = {f"low {name}": found.low, f"high {name}": found.high}
    write_numbers(file, {"prediction": found.prediction, **ends}, patients, group)


@contextmanager
def _all_or_none(folder: Path) -> Iterator[Path]:
    """Give a folder to write files into, which go to `folder` together once all are there."""
    beside = folder if folder.is_dir() else folder.parent  # on the same disk, to be renamed
    beside.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=beside, prefix=".draft-") as draft:
        yield Path(draft)
        folder.mkdir(exist_ok=True)
        for file in sorted(Path(draft).iterdir()):
            file.replace(folder / file.name)


@contextmanager
def _noting_warnings() -> Iterator[list[str]]:
    """Collect what fastmm warns of: it belongs into the report. Other warnings pass."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield notes
    for warning in caught:
        if warning.category is not UserWarning:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        elif (note := str(warning.message).rstrip(".")) not in notes:
            notes.append(note)


def _image_modality(
    paths: Sequence[Path | None],
    window: tuple[float, float] | None,
    *,
    suv: bool,
    masks: Sequence[Path | None],
    **options: Any,
) -> ImageModality:
    """Choose the intensity rule of a column by the unit of its first examination."""
    first = next((path for path in paths if path is not None), None)
    if first is None:
        raise CohortError("An image column must name at least one file or folder.")
    units = series_units(first, partial(as_asked, suv=suv, invert=True))
    if window is None and units == "HU":
        window = _CT_WINDOW
    # Whoever asks for SUV wants to compare patients, which a scale of each slice forbids.
    normalize = None if window or suv else "zscore"
    mask = next((mask for mask in masks if mask is not None), None)
    # Pictures know no lengths; of masks that do, the size of the region is told, too.
    sized = options["features"] == "statistics" and mask is not None and _has_lengths(mask)
    return ImageModality(
        window=window, normalize=normalize, units=units, suv=suv, region_size=sized, **options
    )


def _has_lengths(mask: Path) -> bool:
    return has_lengths(read_volume(mask, nonfinite=0.0, channel=0, invert=False))
