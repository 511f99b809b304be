"""The stages of a study with what each takes: seconds, flops, bytes, memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fastmm.planning import rates
from fastmm.planning.cluster_costs import cluster_seconds
from fastmm.planning.deep_costs import network_work
from fastmm.planning.finding_costs import (
    curve_work,
    interval_work,
    permutation_work,
    report_work,
)
from fastmm.planning.fit_costs import fit_parts, fit_work, predict_work
from fastmm.planning.image_costs import (
    feature_work,
    features_on_device,
    reading_work,
    resizing_on_device,
    table_work,
)
from fastmm.planning.job import FeatureSet, Job, feature_sets, final_fit, fit_of, fold_count
from fastmm.planning.machines import Machine
from fastmm.planning.work import Work

__all__ = ["Stage", "study_stages"]


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
    size, sets = job.size, feature_sets(job)
    start = rates.START + (rates.START_IMAGES if size.images else 0.0)
    start += 0.0 if job.threads is None else rates.START_DASK
    found = [Stage("start", start)]
    if size.images and job.threads is not None:
        found.append(_on_cluster(job, host, job.threads))
    elif size.images:
        found += [_reading(job, host, gpu), _features(job, host, gpu)]
    if size.tables:
        cells = sum(table.columns for table in size.tables) * size.rows
        work = sum((table_work(table, size.rows) for table in size.tables), Work())
        found.append(Stage("tables", work.seconds(host), detail=f"{cells:,} cells"))
    found += [_validation(job, sets, host), *_findings(job, sets, host), *_final(job, host)]
    report = report_work(job, len(sets))
    found.append(Stage("report", report.seconds(host), detail=_said(sets)))
    return found


def _reading(job: Job, host: Machine, gpu: Machine | None) -> Stage:
    images = job.size.images
    device = "cpu" if gpu is None else "cuda"
    seconds = 0.0
    for image in images:
        seconds += reading_work(image, device=device).seconds(_with_upload(host, gpu))
        if gpu is not None:
            seconds += resizing_on_device(image).seconds(gpu)
    files, total = sum(i.files for i in images), sum(i.file_bytes for i in images)
    return Stage("read, window, resize", seconds, 0.0, total, f"{files:,} files")


def _with_upload(host: Machine, gpu: Machine | None) -> Machine:
    return host if gpu is None else replace(host, upload=gpu.upload)


def _features(job: Job, host: Machine, gpu: Machine | None) -> Stage:
    seconds = 0.0
    for image in job.size.images:
        work = feature_work(image) if gpu is None else features_on_device(image)
        seconds += work.seconds(host if gpu is None else gpu)
    kinds = ", ".join(dict.fromkeys(i.features for i in job.size.images))
    return Stage("features", seconds, detail=kinds)


def _on_cluster(job: Job, host: Machine, threads: int) -> Stage:
    """Return reading and features together, as the report of a study on a cluster does."""
    images = job.size.images
    return Stage(
        "read and features (cluster)",
        sum(cluster_seconds(image, host, threads) for image in images),
        bytes=sum(i.file_bytes for i in images),
        detail=f"{sum(i.files for i in images):,} files, {threads:,} threads",
    )


def _validation(job: Job, sets: list[FeatureSet], host: Machine) -> Stage:
    """Return the nested validation: each fold repeats the search on the other patients."""
    size, total, fits, seconds = job.size, Work(), 0, 0.0
    for own in sets:
        folds, repeats = fold_count(job, size.patients * own.share)
        rows = size.fit_rows * own.share
        if job.solver == "deep":
            trained = len(own.names) == 1 or job.fusion != "late"  # else the singles are at hand
            work = network_work(size, rows, own.names) if trained else Work()
            seconds += work.seconds(host)
            total, fits = total + work, fits + (folds + 1 if trained else 0)
            continue
        fit = fit_of(job, own.names, rows * (1 - 1 / folds))
        work = folds * repeats * (fit_work(fit) + predict_work(fit, rows / folds))
        seconds += work.seconds(host)
        total, fits = total + work, fits + folds * repeats
    name = f"validate {job.solver}"
    return Stage(name, seconds, total.all_flops, detail=f"{fits:,} fits, {_said(sets)}")


def _findings(job: Job, sets: list[FeatureSet], host: Machine) -> list[Stage]:
    """Return what is asked of the validated scores; of numbers there are intervals alone."""
    size = job.size
    drawn = [interval_work(job, size.rows * own.share).seconds(host) for own in sets]
    found = [Stage("intervals over patients", sum(drawn), detail="2,000 resamples")]
    if job.size.numbers:
        return found
    fits = [fit_of(job, own.names, size.fit_rows * own.share) for own in sets]
    tests = [
        permutation_work(fit, size.rows * own.share, size.patients * own.share)
        for fit, own in zip(fits, sets, strict=True)
    ]
    found.append(_summed("permutation tests", tests, host, "1,000 permutations"))
    if job.solver == "deep":
        return found
    # All modalities, and the best one, which is not known: the widest takes most.
    alone = [at for at, own in enumerate(sets) if len(own.names) == 1]
    widest = max(alone, key=lambda at: (fits[at].rows, fits[at].width))
    drawn_of = sorted({len(sets) - 1, widest})
    curves = [curve_work(fits[at], size.patients * sets[at].share) for at in drawn_of]
    found.append(
        _summed(
            "learning curve",
            curves,
            host,
            f"{len(curves)} curves" if len(curves) > 1 else "1 curve",
        )
    )
    return found


def _said(sets: list[FeatureSet]) -> str:
    return f"{len(sets)} sets" if len(sets) > 1 else "1 modality"


def _summed(name: str, parts: list[Work], host: Machine, detail: str) -> Stage:
    total = sum(parts, Work())
    return Stage(name, total.seconds(host), total.all_flops, detail=detail)


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
