"""What a study takes on one machine, whether it fits, and what would make it fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from fastmm.planning.counting import patches_of
from fastmm.planning.job import Job
from fastmm.planning.machines import Machine
from fastmm.planning.needs import Needs, study_needs
from fastmm.planning.sizes import ImageSize, StudySize
from fastmm.planning.stages import Stage, study_stages

__all__ = ["Mend", "Outlook", "look_out"]

_PATCHES = patches_of((128, 128), (16, 16), 8)


@dataclass(frozen=True)
class Mend:
    """An option that makes a study fit, and what it then takes."""

    option: str
    peak: float
    seconds: float


@dataclass(frozen=True)
class Outlook:
    """What a study takes on one machine.

    Attributes
    ----------
    device : {"cpu", "cuda"}
        Where images are processed.
    host : Machine
        The processor.
    gpu : Machine or None
        The GPU, if images are processed on one.
    stages : tuple of Stage
        In the order they run.
    needs : Needs
        Memory.
    limit : float
        Bytes there are for arrays: the limit asked for, or the memory of the machine less
        what the program itself takes.
    mends : tuple of Mend
        Options that make it fit, where it does not.
    """

    device: str
    host: Machine
    gpu: Machine | None
    stages: tuple[Stage, ...]
    needs: Needs
    limit: float
    mends: tuple[Mend, ...] = ()

    @property
    def seconds(self) -> float:
        """Expected time of all stages; parts are in their stage."""
        return sum(s.seconds for s in self.stages if not s.name.startswith(" "))

    @property
    def flops(self) -> float:
        """Floating-point operations of matrix products in all stages."""
        return sum(s.flops for s in self.stages if not s.name.startswith(" "))

    @property
    def fits(self) -> bool:
        """Whether the arrays fit into the limit, and those of a GPU into its memory."""
        on_gpu = self.gpu is None or self.needs.device <= self.gpu.memory
        return self.needs.arrays <= self.limit and on_gpu

    @property
    def measured(self) -> bool:
        """Whether all rates were measured here."""
        return not (self.host.stated or (self.gpu is not None and self.gpu.stated))


def look_out(job: Job, host: Machine, gpu: Machine | None, limit: float | None) -> Outlook:
    """Return what a job takes on a machine, and mends where it does not fit."""
    found = _look(job, host, gpu, limit, limit)
    if found.fits:
        return found
    mends = []
    for option, other, within in _changes(job, host, limit):
        then = _look(other, host, gpu, within, limit)
        if then.fits:
            mends.append(Mend(option, then.needs.peak, then.seconds))
    return replace(found, mends=tuple(mends))


def _look(
    job: Job, host: Machine, gpu: Machine | None, within: float | None, limit: float | None
) -> Outlook:
    """Look at a job that reads images `within` bytes, where all arrays may take `limit`."""
    needs = study_needs(job, within, on_device=gpu is not None)
    stages = tuple(study_stages(job, host, gpu))
    room = host.memory - needs.base if limit is None else limit
    return Outlook("cpu" if gpu is None else "cuda", host, gpu, stages, needs, room)


def _changes(
    job: Job, host: Machine, limit: float | None
) -> Iterator[tuple[str, Job, float | None]]:
    """Yield options that take less, one at a time and then together, and the job with each."""
    chunked = limit is None and bool(job.size.images)
    # Half of the memory leaves room for features, and for the fits of them.
    within = float(int(0.5 * host.memory)) if chunked else limit
    words = [f"--memory-limit {0.5 * host.memory / 1e9:.3g}GB"] if chunked else []
    if chunked:
        yield words[0], job, within
    changed, options = job, list[str]()
    for option, change in _SMALLER:
        if (other := change(job)) == job:
            continue
        yield option, other, limit
        changed = change(changed)
        options.append(option)
        if len(options) > 1 or chunked:
            yield " ".join([*options, *words]), changed, within


def _pooled(job: Job) -> Job:
    return _with_images(job, lambda i: replace(i, pool="mean") if i.pool != "mean" else i)


def _patched(job: Job) -> Job:
    if job.solver == "deep":
        return job
    return _with_images(
        job,
        lambda i: (
            replace(i, features="patches", patches=_PATCHES, patch=256)
            if i.features == "pixels"
            else i
        ),
    )


def _ridge(job: Job) -> Job:
    if job.solver not in ("lssvm", "svm"):
        return job
    fusion = "stack" if job.fusion == "kernel" else job.fusion
    return replace(job, solver="ridge", fusion=fusion)


def _late(job: Job) -> Job:
    if job.fusion == "late" or job.solver == "deep" or len(job.size.widths) < 2:
        return job
    return replace(job, fusion="late")


def _with_images(job: Job, change: Any) -> Job:
    images: tuple[ImageSize, ...] = tuple(change(image) for image in job.size.images)
    size: StudySize = replace(job.size, images=images)
    return replace(job, size=size)


_SMALLER = (
    ("--pool mean", _pooled),
    ("--features NAME=patches", _patched),
    ("--model ridge --fusion stack", _ridge),
    ("--fusion late", _late),
)
