"""The memory of a study at its stages, in chunks where a limit asks for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fastmm.batch_parts import _COPIES, _FILES, _FOLDERS
from fastmm.planning import rates
from fastmm.planning.memory import (
    base_bytes,
    feature_bytes,
    fit_bytes,
    images_bytes,
    table_bytes,
)
from fastmm.planning.sizes import ImageSize
from fastmm.planning.stages import Job, feature_sets, final_fit
from fastmm.read.ahead import READERS

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
    """

    base: float
    stages: dict[str, float]
    chunks: dict[str, int]
    device: float = 0.0

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
        Bytes that images may take at a time; only their features stay.
    on_device : bool, default False
        Whether images and their patches are on a GPU.

    Returns
    -------
    Needs
    """
    size = job.size
    tables, kept, reading, device = table_bytes(size), 0.0, 0.0, 0.0
    stages, chunks = {"tables": tables}, {}
    shown = 0.0  # images of modalities before, of which some are drawn in the end
    for image in size.images:
        count = image.examinations if limit is None else _at_a_time(image, limit)
        chunks[image.name] = count
        resident = image.slices if count >= image.examinations else count * image.largest
        arrays = images_bytes(image, resident, READERS)
        if on_device:
            device = max(device, shown + arrays)
            arrays = 0.0
        kept += feature_bytes(image)
        reading = max(reading, kept + arrays + (0.0 if on_device else shown))
        if limit is None:
            shown += resident * float(image.slice_bytes)
    if size.images:
        stages["read, window, resize"] = tables + reading
    stages["validate"] = max(
        tables + kept + _validation_bytes(job, names, share) for names, share in feature_sets(size)
    )
    stages["fit the final model"] = tables + kept + fit_bytes(final_fit(job), size)
    stages["report"] = tables + rates.PAGE
    base = base_bytes(size, job.solver) + (rates.CUDA if on_device else 0.0)
    return Needs(base, stages, chunks, device)


def _at_a_time(image: ImageSize, limit: float) -> int:
    """Return how many examinations are read at a time: those whose headers are in memory."""
    if image.masked:
        return 1
    held = _COPIES * READERS * image.pixel_bytes / max(image.files, 1)
    block = _FOLDERS if image.files > image.examinations else _FILES
    within = (limit - held) // (image.largest * image.slice_bytes)
    return int(min(max(within, 1), block, image.examinations))


def _validation_bytes(job: Job, names: tuple[str, ...], share: float) -> float:
    """Return what validation adds: the rows of a set, those of a fold, and the fit of them."""
    whole = final_fit(job)
    rows = whole.rows * share
    widths = {name: width for name, width in whole.widths.items() if name in names}
    fusion = "stack" if len(widths) == 1 and whole.fusion == "late" else whole.fusion
    fit = replace(whole, rows=rows, widths=widths, fusion=fusion)
    return 2 * 4.0 * rows * fit.width + fit_bytes(fit, job.size)
