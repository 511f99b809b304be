"""Plan a study before anything runs: bytes, flops, seconds, memory, and what fits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastmm._check import integer, one_of
from fastmm.planning.fit_costs import solver_words
from fastmm.planning.job import Job, final_fit
from fastmm.planning.machines import (
    STATED_GPU,
    Machine,
    measured_gpu,
    this_machine,
    with_storage,
)
from fastmm.planning.options import count_file, count_numbers
from fastmm.planning.outlook import look_out
from fastmm.planning.plan import Plan
from fastmm.streams.limits import check_limit

__all__ = ["Plan", "plan"]

_MODELS = ("ridge", "linear", "lssvm", "svm", "deep")


def plan(
    cohort: str | os.PathLike[str] | None = None,
    *,
    label: str | None = None,
    group: str | None = None,
    images: Sequence[str] = (),
    tables: Sequence[str] = (),
    masks: Mapping[str, str] | None = None,
    features: Mapping[str, str] | None = None,
    patients: int | None = None,
    rows: int | None = None,
    slices: int = 1,
    shape: Sequence[int] = (512, 512),
    modalities: int | Mapping[str, Any] = 1,
    columns: int = 0,
    classes: int = 2,
    pool: str = "mean",
    model: str = "ridge",
    fusion: str = "stack",
    interactions: bool = False,
    task: str = "auto",
    by: Sequence[str] = (),
    memory_limit: int | str | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    device: str = "auto",
    machine: Machine | None = None,
    gpu: Machine | None = None,
) -> Plan:
    r"""Tell what a training takes before it runs: from a cohort file, or from numbers.

    Work is counted in flops, bytes and steps for each stage, and

    .. math:: t = \frac{\text{flops}}{\text{rate of matrix products}} + \frac{\text{bytes}}
              {\text{bandwidth}} + \text{steps} \cdot \text{seconds of a step}

    over rates of this machine, which are measured first, in a second or two.

    Parameters
    ----------
    cohort : path, optional
        Cohort file, as for ``fastmm train``. Its table and the headers of at most 48
        examinations of each modality are read, no pixel; with it come `label`, `group`,
        `images`, `tables`, `masks` and `features`, which mean what the command's options do.
    label, group : str, optional
        Columns with the class and the patient of each row.
    images : sequence of str
        Columns with image files or folders.
    tables : sequence of str
        "COL,COL" or "FILE.csv:KEY".
    masks, features : dict of str to str, optional
        For image columns the mask, and the kind of features.
    patients : int, optional
        Without a file: number of patients.
    rows : int, optional
        Number of examinations. Default: one a patient.
    slices : int, default 1
        Slices of an examination, each a DICOM file.
    shape : (height, width), default (512, 512)
        Stored pixels of a slice, 16 bits each.
    modalities : int or dict of str to ImageModality, default 1
        Number of image modalities, or what each of them is.
    columns : int, default 0
        Columns of a table.
    classes : int, default 2
        Number of classes.
    pool : {"mean", "max", "stack", "rows"}, default "mean"
        How slices become a row.
    model : {"ridge", "linear", "lssvm", "svm", "deep"}, default "ridge"
        What is validated and fitted.
    fusion : {"stack", "kernel", "late"}, default "stack"
        How modalities are fused.
    interactions : bool, default False
        Whether kernels are fused as a product, which costs the same.
    task : {"auto", "classification", "regression"}, default "auto"
        Whether the label is a class or a number, as for ``fastmm train``.
    by : sequence of str
        Columns by whose levels scores are reported, too.
    memory_limit : int or str, optional
        Bytes that arrays may take beside the program itself, or text such as "2GB"; as
        ``train`` does, images are then read in turn, features go to a file, and fits without
        room are parted. Default: the memory of the machine, and all images of a modality at
        once.
    scheduler : str, optional
        Address of a dask scheduler, whose workers read images and compute features: their
        threads are counted.
    workers : int, optional
        Threads to plan for in the place of those of `scheduler`, which is then not asked.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Where images are processed. "auto" plans for both: the GPU that is here, or else an
        H200 by its data sheet, marked as stated.
    machine, gpu : Machine, optional
        Plan for these, and measure nothing.

    Returns
    -------
    Plan
        Stages with seconds, memory, chunks, and options that mend what does not fit.

    Raises
    ------
    CohortError
        With all mistakes of the cohort file that were found.
    FastmmError
        If a header that is read is damaged.
    OSError
        If there is no scheduler at the address.
    ValueError, TypeError
        About an argument that cannot be.

    Notes
    -----
    Models are fitted on the host, whatever `device` is. Memory is the peak beyond what an
    empty Python takes. Expect memory within 25 %, and time within a factor of two on a
    machine that is otherwise idle; see `benchmarks/bench_plan.py` for what was measured.
    A thread of a cluster is taken for a core like those here, and all of them share storage of
    the rate that was measured here.
    Sizes of a sample are scaled to the cohort: series of unlike lengths widen the error.

    Examples
    --------
    >>> import fastmm
    >>> from fastmm.planning.machines import STATED_NODE
    >>> found = fastmm.plan(patients=1000, slices=40, machine=STATED_NODE, device="cpu")
    >>> found.read_bytes // 10**9, found.fits
    (21, True)
    """
    one_of(model, "model", _MODELS)
    one_of(task, "task", ("auto", "classification", "regression"))
    _check_options(model, fusion, interactions, task)
    one_of(device, "device", ("auto", "cpu", "cuda"))
    limit = check_limit(memory_limit)
    if (cohort is None) == (patients is None):
        raise ValueError("Give either `cohort`, a file, or the number of `patients`.")
    if cohort is None and patients is not None:
        counted = count_numbers(
            patients, rows=rows, slices=slices, shape=shape, modalities=modalities,
            columns=columns, classes=classes, pool=pool, solver=model, task=task,
        )  # fmt: skip
    else:
        counted = count_file(
            Path(cohort or ""), label=label, group=group, images=images, tables=tables,
            masks=masks or {}, features=features or {}, pool=pool, solver=model, by=by, task=task,
        )  # fmt: skip
    threads = _threads(scheduler, workers, device)
    job = Job(counted.size, model, fusion, len(by), threads)
    host = machine or with_storage(this_machine(), counted.files)
    outlooks = tuple(
        look_out(job, host, card, None if limit is None else float(limit))
        for card in ([None] if threads else _cards(device, machine, gpu))
    )
    words = solver_words(final_fit(job))
    return Plan(counted.size, model, fusion, words, limit, threads, outlooks)


def _check_options(model: str, fusion: str, interactions: bool, task: str) -> None:
    from fastmm.multimodal import MultimodalClassifier
    from fastmm.multimodal_regressor import MultimodalRegressor

    kind = MultimodalRegressor if task == "regression" else MultimodalClassifier
    kind({}, solver=model, fusion=fusion, interactions=interactions).check_options()


def _threads(scheduler: str | None, workers: int | None, device: str) -> int | None:
    """Return the threads of a cluster: as given, or as its scheduler tells."""
    if scheduler is None and workers is None:
        return None
    if device == "cuda":
        raise ValueError(
            '`device` must be "auto" or "cpu" with a cluster, whose GPUs are not known here, got '
            '"cuda".'
        )
    if workers is not None:
        return integer(workers, "workers")
    from fastmm.findings.cluster import count_threads

    return count_threads(scheduler or "")


def _cards(device: str, machine: Machine | None, gpu: Machine | None) -> list[Machine | None]:
    """Return the GPUs to plan for, None for the processor alone; the likeliest first."""
    if device == "cpu":
        return [None]
    here = gpu or (measured_gpu() if machine is None else None)
    if device == "cuda":
        return [here or STATED_GPU]
    return [here, None] if here is not None else [None, STATED_GPU]
