"""The stages of a study with what each takes: seconds, flops, bytes, memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fastmm.deep_fusion import FOLDS
from fastmm.planning import rates
from fastmm.planning.deep_costs import network_work
from fastmm.planning.fit_costs import Fit, fit_parts, fit_work, predict_work
from fastmm.planning.image_costs import (
    feature_work,
    features_on_device,
    reading_work,
    resizing_on_device,
    table_work,
)
from fastmm.planning.machines import Machine
from fastmm.planning.sizes import StudySize
from fastmm.planning.work import Work

__all__ = ["Job", "Stage", "final_fit", "fold_count", "study_stages"]

_FOLDS, _DEALT = 100, 10  # patients left out one by one up to; else dealt into
_RESAMPLES = 2000


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes
    ----------
    name : str
        As a report's table of stages calls it; parts of a stage begin with two spaces.
    seconds, flops, bytes : float
        Expected time; floating-point operations; bytes read from files.
    detail : str
        What is done how often.
    """

    name: str
    seconds: float
    flops: float = 0.0
    bytes: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class Job:
    """What is to be done: a counted study, a solver, a fusion."""

    size: StudySize
    solver: str = "ridge"
    fusion: str = "stack"


def study_stages(job: Job, host: Machine, gpu: Machine | None = None) -> list[Stage]:
    """Return the stages of `fastmm train`; images are worked on by the GPU if there is one.

    Parameters
    ----------
    job : Job
        What is to be done.
    host : Machine
        Reads the files and fits the models.
    gpu : Machine, optional
        Resizes images and computes features.

    Returns
    -------
    list of Stage
        In the order they run.
    """
    size = job.size
    found = [Stage("start", rates.START + (rates.START_IMAGES if size.images else 0.0))]
    if size.images:
        found += [_reading(job, host, gpu), _features(job, host, gpu)]
    if size.tables:
        cells = sum(table.columns for table in size.tables) * size.rows
        work = sum((table_work(table, size.rows) for table in size.tables), Work())
        found.append(Stage("tables", work.seconds(host), detail=f"{cells:,} cells"))
    found.append(_validation(job, host))
    found += _final(job, host)
    sets = len(list(feature_sets(size)))
    resampled = sets * rates.RESAMPLED_ROW * _RESAMPLES * size.rows
    found.append(Stage("report", rates.REPORT + resampled, detail=f"{_RESAMPLES:,} resamples"))
    return found


def fold_count(patients: float, solver: str) -> int:
    """Return how many models validation fits for one set of features."""
    if solver == "deep":
        return min(FOLDS, max(2, round(patients)))
    return max(2, round(patients)) if patients <= _FOLDS else _DEALT


def feature_sets(size: StudySize) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield each set of modalities that is validated, and the share of rows that have it."""
    shares = {i.name: i.examinations / max(size.rows, 1) for i in size.images}
    shares |= {t.name: 1.0 for t in size.tables}
    for name, share in shares.items():
        yield (name,), share
    if len(shares) > 1:
        yield tuple(shares), 1.0


def final_fit(job: Job) -> Fit:
    """Return the fit of all rows and modalities."""
    return _fit(job, tuple(job.size.widths), float(job.size.fit_rows))


def _fit(job: Job, names: tuple[str, ...], rows: float) -> Fit:
    size = job.size
    fusion = "stack" if job.fusion == "late" and len(names) == 1 else job.fusion
    widths = {name: width for name, width in size.widths.items() if name in names}
    columns = sum(table.columns for table in size.tables if table.name in names)
    targets = 1 if size.classes <= 2 else size.classes
    return Fit(rows, widths, job.solver, fusion, targets, columns)


def _reading(job: Job, host: Machine, gpu: Machine | None) -> Stage:
    images = job.size.images
    device = "cpu" if gpu is None else "cuda"
    seconds = 0.0
    for image in images:
        seconds += reading_work(image, device=device).seconds(_with_upload(host, gpu))
        if gpu is not None:
            seconds += resizing_on_device(image).seconds(gpu)
    slices, files = sum(i.slices for i in images), sum(i.files for i in images)
    total = sum(i.file_bytes for i in images)
    return Stage(
        "read, window, resize", seconds, 0.0, total, f"{slices:,} slices of {files:,} files"
    )


def _with_upload(host: Machine, gpu: Machine | None) -> Machine:
    return host if gpu is None else replace(host, upload=gpu.upload)


def _features(job: Job, host: Machine, gpu: Machine | None) -> Stage:
    seconds = 0.0
    for image in job.size.images:
        work = feature_work(image) if gpu is None else features_on_device(image)
        seconds += work.seconds(host if gpu is None else gpu)
    kinds = ", ".join(dict.fromkeys(i.features for i in job.size.images))
    widths = ", ".join(f"{i.width:,}" for i in job.size.images)
    return Stage("features", seconds, detail=f"{kinds}: {widths} a row")


def _validation(job: Job, host: Machine) -> Stage:
    """Return the nested validation: each fold repeats the search on the other patients."""
    size, total, fits, seconds = job.size, Work(), 0, 0.0
    for names, share in feature_sets(size):
        folds = fold_count(size.patients * share, job.solver)
        rows = size.fit_rows * share
        if job.solver == "deep":
            trained = len(names) == 1 or job.fusion != "late"  # else the singles are at hand
            work = network_work(size, rows, names) if trained else Work()
            seconds += work.seconds(host)
            total, fits = total + work, fits + (folds + 1 if trained else 0)
            continue
        fit = _fit(job, names, rows * (1 - 1 / folds))
        work = folds * (fit_work(fit) + predict_work(fit, rows / folds))
        seconds += work.seconds(host)
        total, fits = total + work, fits + folds
    name = f"validate {job.solver}"
    return Stage(name, seconds, total.all_flops, detail=f"{fits:,} fits")


def _final(job: Job, host: Machine) -> list[Stage]:
    if job.solver == "deep":
        return []  # it is trained with the networks of the folds
    fit = final_fit(job)
    work = fit_work(fit)
    found = [Stage("fit the final model", work.seconds(host), work.all_flops, detail="1 fit")]
    return found + [
        Stage(f"  {name}", part.seconds(host), part.all_flops)
        for name, part in fit_parts(fit).items()
    ]
