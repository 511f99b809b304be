"""The memory of a study at its stages, in chunks where a limit asks for them."""

from __future__ import annotations

from dataclasses import dataclass

from fastmm.planning import rates
from fastmm.planning.cluster_costs import tasks_of
from fastmm.planning.job import Job, feature_sets, final_fit, fit_of
from fastmm.planning.memory import (
    base_bytes,
    bounded_fit_bytes,
    feature_bytes,
    fit_bytes,
    images_bytes,
    table_bytes,
)
from fastmm.planning.sizes import ImageSize
from fastmm.read.ahead import READERS
from fastmm.streams.held import COPIES, FILES, FOLDERS

__all__ = ["Needs", "study_needs"]


@dataclass(frozen=True)
class Needs:
    """Bytes of memory beyond the start of Python.

    Attributes
    ----------
    base : float
        Of imports and compiled kernels.
    stages : dict of str to float
        Arrays and tables at the peak of each stage, beside `base`.
    chunks : dict of str to int
        Examinations of each image modality that are in memory at a time.
    device : float
        Of a GPU that images are worked on.
    worker : float
        Of images for each thread of a cluster's worker, beside its programs.
    """

    base: float
    stages: dict[str, float]
    chunks: dict[str, int]
    device: float = 0.0
    worker: float = 0.0

    @property
    def arrays(self) -> float:
        """Bytes of arrays and tables at most."""
        return max(self.stages.values())

    @property
    def peak(self) -> float:
        """Bytes at most, imports counted in."""
        return self.base + self.arrays


def study_needs(job: Job, limit: float | None = None, *, on_device: bool = False) -> Needs:
    """Return what a study needs; images are read in chunks where a limit is given.

    Parameters
    ----------
    job : Job
        What is to be done.
    limit : float, optional
        Bytes that arrays may take: images are read in turn, features go to a file, and fits
        that have no room are parted.
    on_device : bool, default False
        Whether images and their patches are on a GPU.

    Returns
    -------
    Needs
    """
    size = job.size
    tables, kept, reading, device, worker = table_bytes(size), 0.0, 0.0, 0.0, 0.0
    stages, chunks = {"tables": tables}, {}
    for image in size.images:
        if job.threads is not None:
            own = feature_bytes(image)
            chunks[image.name] = count = tasks_of(image.examinations, job.threads).size
            worker = max(worker, images_bytes(image, count * image.largest, 1))
            kept += own
            reading = max(reading, kept + own)  # as they come from the workers, and together
            continue
        count = image.examinations if limit is None else _at_a_time(image, limit)
        chunks[image.name] = count
        resident = image.slices if count >= image.examinations else count * image.largest
        arrays = images_bytes(image, resident, READERS)
        if on_device:
            device = max(device, arrays)
            arrays = 0.0
        kept += feature_bytes(image) if limit is None else 0.0  # else they go to a file
        reading = max(reading, kept + arrays)
    if size.images:
        here = "read, window, resize" if job.threads is None else "read and features (cluster)"
        stages[here] = tables + reading
    stages["validate"] = max(
        tables + kept + _validation_bytes(job, own.names, own.share, limit)
        for own in feature_sets(job)
    )
    final = final_fit(job)
    fitted = fit_bytes(final, size) if limit is None else bounded_fit_bytes(final, size, limit)
    stages["fit the final model"] = tables + kept + fitted
    stages["report"] = tables + rates.PAGE
    base = base_bytes(size, job.solver) + (rates.CUDA if on_device else 0.0)
    base += 0.0 if job.threads is None else rates.DASK
    return Needs(base, stages, chunks, device, worker)


def _at_a_time(image: ImageSize, limit: float) -> int:
    """Return how many examinations are read at a time: those whose headers are in memory."""
    if image.masked:
        return 1
    held = COPIES * READERS * image.pixel_bytes / max(image.files, 1)
    block = FOLDERS if image.files > image.examinations else FILES
    within = (limit - held) // (image.largest * image.slice_bytes)
    return int(min(max(within, 1), block, image.examinations))


def _validation_bytes(job: Job, names: tuple[str, ...], share: float, limit: float | None) -> float:
    """Return what validation adds: the rows of a set, those of a fold, and the fit of them."""
    fit = fit_of(job, names, job.size.fit_rows * share)
    if limit is not None:
        return bounded_fit_bytes(fit, job.size, limit)
    return 2 * 4.0 * fit.rows * fit.width + fit_bytes(fit, job.size)
