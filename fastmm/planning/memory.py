"""How much memory a study takes at most, stage by stage."""

from __future__ import annotations

from dataclasses import replace

from fastmm.fusion.room import kernel_bytes, memory_fit_bytes, novelty_bytes, tuning_bytes
from fastmm.planning import rates
from fastmm.planning.deep_costs import axes_of
from fastmm.planning.fit_costs import Fit
from fastmm.planning.sizes import ImageSize, StudySize

__all__ = [
    "base_bytes",
    "bounded_fit_bytes",
    "feature_bytes",
    "fit_bytes",
    "images_bytes",
    "table_bytes",
]

_ACTIVATIONS = 60  # float32 maps of the full size that a network keeps, for each row of a batch
_BATCH = 32
_MATRICES = 5  # of the smaller side, while they are diagonalised in chunks of rows
_BUFFERS = 1.5  # of a file for each reader


def base_bytes(size: StudySize, solver: str) -> float:
    """Return what imports and compiled kernels take, whatever the size."""
    found = rates.BASE + rates.KERNELS + (rates.IMAGES if size.images else 0.0)
    return found + (rates.DEEP if solver == "deep" else 0.0)


def images_bytes(image: ImageSize, resident: int, readers: int) -> float:
    """Return what `resident` slices take while they are read and become features."""
    files = max(image.files, 1)
    buffers = _BUFFERS * readers * image.pixel_bytes / files
    if image.masked:
        buffers = 3.0 * image.pixel_bytes / files + 4.0 * image.pixel_bytes / files
    workspace = float(image.largest * image.slice_bytes)
    if image.features == "patches":
        workspace = image.largest * 4.0 * image.patches * image.patch * 2
    elif image.features == "statistics":
        workspace = 8.0 * image.slice_bytes
    headers = rates.HEADER * files * resident / max(image.slices, 1)
    return resident * float(image.slice_bytes) + headers + max(buffers, workspace)


def feature_bytes(image: ImageSize) -> float:
    """Return what the features of a modality take."""
    return 4.0 * image.rows * image.width


def table_bytes(size: StudySize) -> float:
    """Return what the cells of all tables take as text."""
    return float(rates.CELL_BYTES * size.rows * sum(t.columns for t in size.tables))


def fit_bytes(fit: Fit, size: StudySize) -> float:
    """Return what a fit takes at most beside the features it is given."""
    n, d = fit.rows, fit.width
    features = 4.0 * n * d
    if fit.solver == "deep":
        maps = sum(4.0 * _product(axes_of(image)) * 16 for image in size.images)
        return 3.0 * features + _ACTIVATIONS / 16 * _BATCH * maps
    late = fit.fusion == "late" and len(fit.widths) > 1
    return memory_fit_bytes(n, len(fit.widths), d, fit.form, tuned=fit.tuned, late=late)


def bounded_fit_bytes(fit: Fit, size: StudySize, limit: float) -> float:
    """Return what a fit takes of features on disk: all of them where they fit, else the limit.

    More where what is never parted takes more, which a run refuses.
    """
    n, d = fit.rows, fit.width
    whole = fit_bytes(fit, size) + 4.0 * n * d
    if whole <= limit or fit.solver == "deep":
        return whole
    if fit.fusion == "late" and len(fit.widths) > 1:
        alone = [replace(fit, widths={m: w}, fusion="stack") for m, w in fit.widths.items()]
        return max(bounded_fit_bytes(each, size, limit) for each in alone)
    least = novelty_bytes(n, d, fit.form)
    if fit.tuned:
        least = max(least, tuning_bytes(n, len(fit.widths), d, fit.form))
    if fit.form == "linear":
        least = max(least, _MATRICES * 8.0 * min(n, d) ** 2)
    if fit.form == "rbf":
        least = max(least, kernel_bytes(n, d))
    return max(least, limit)


def _product(axes: tuple[int, ...]) -> float:
    found = 1.0
    for length in axes:
        found *= length
    return found
