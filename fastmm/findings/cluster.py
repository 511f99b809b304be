"""Reading and features of a cohort on the workers of a dask cluster."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastmm import __version__
from fastmm.blocks import Block
from fastmm.cohort import Cohort
from fastmm.errors import CohortError
from fastmm.findings.cluster_tasks import task_size
from fastmm.modalities import ImageModality
from fastmm.stopwatch import Stopwatch

__all__ = ["count_threads", "extract_on_cluster"]

_WAIT = "20s"


class _Part(NamedTuple):
    """What a worker found in some examinations."""

    block: Block
    units: str
    images: int
    n_bytes: int
    pictures: list[Any]
    warned: list[str]


def extract_on_cluster(
    cohort: Cohort,
    modalities: Mapping[str, Any],
    scheduler: str,
    device: str,
    watch: Stopwatch,
    task: Callable[[str], Callable[[int, int], object]],
    shown: int,
) -> tuple[dict[str, Block], dict[str, list[Any]]]:
    """Read images and compute their features on workers, some examinations a task.

    Parameters
    ----------
    cohort : Cohort
        Its files must have the same paths on every worker, as on shared storage.
    modalities : mapping of str to ImageModality or TableModality
        Tables are read here.
    scheduler : str
        Address of a dask scheduler, such as "tcp://host:8786".
    device : {"auto", "cpu", "cuda"}
        Where a worker computes.
    watch, task
        As for `fastmm.study.run_study`.
    shown : int
        How many examinations to return an image of.

    Returns
    -------
    blocks : dict of str to Block
        Features, as without a cluster.
    pictures : dict of str to list of array of shape (h, w)
        The middle slice of the first examinations.

    Raises
    ------
    OSError
        If there is no scheduler.
    ValueError
        If it has no workers, or they run another version of fastmm.
    FileNotFoundError
        If a worker does not see a file.
    CohortError
        As for `ImageModality.load`.
    """
    blocks: dict[str, Block] = {}
    pictures: dict[str, list[Any]] = {}
    with _connected(scheduler) as client:
        threads = _check_workers(client)
        for name, modality in modalities.items():
            if not isinstance(modality, ImageModality):
                with watch("tables"):
                    blocks[name] = modality.extract(cohort.tables[name])
                continue
            with watch("read and features (cluster)") as stage:
                scans = cohort.scans(name)
                parts = _run(client, modality, scans, device, threads, shown, task(f"read {name}"))
                blocks[name] = _joined(modality, scans, parts)
                pictures[name] = [image for part in parts for image in part.pictures][:shown]
                stage.images += sum(part.images for part in parts)
                stage.size += sum(part.n_bytes for part in parts)
    return blocks, pictures


def count_threads(scheduler: str) -> int:
    """Return the threads of all workers of a scheduler, which must run this version.

    Raises
    ------
    OSError, ValueError
        As `extract_on_cluster` does.
    """
    with _connected(scheduler) as client:
        return _check_workers(client)


@contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError:
        raise ImportError('`scheduler` needs dask: pip install "fastmm[dask]".') from None
    try:
        client = Client(scheduler, timeout=_WAIT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise OSError(f"There is no dask scheduler at {scheduler}: {error}.") from None
    with client:
        yield client


def _check_workers(client: Any) -> int:
    """Return the threads of all workers, which must run this version."""
    found = client.run(_version)
    if not found:
        raise ValueError("The scheduler has no workers; start some with `dask worker ADDRESS`.")
    others = sorted({str(version) for version in found.values()} - {__version__})
    if others:
        raise ValueError(
            f"Workers must run fastmm {__version__} as this command does, found "
            f"{', '.join(others)}."
        )
    return sum(client.nthreads().values())


def _version() -> str:
    return __version__


def _run(
    client: Any,
    modality: ImageModality,
    scans: Sequence[Any],
    device: str,
    threads: int,
    shown: int,
    progress: Callable[[int, int], object],
) -> list[_Part]:
    from distributed import as_completed

    present = [_absolute(scan) for scan in scans if scan is not None]
    size = task_size(len(present), threads)
    batches = [present[i : i + size] for i in range(0, len(present), size)]
    wanted = [max(0, min(len(batch), shown - i * size)) for i, batch in enumerate(batches)]
    futures = [
        client.submit(_examine, modality, batch, device, count, pure=False)
        for batch, count in zip(batches, wanted, strict=True)
    ]
    done = 0
    for future in as_completed(futures, loop=client.loop):
        try:
            future.result()
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"A worker does not see a file ({error}); the paths of the cohort must be the "
                "same on all workers, as on shared storage."
            ) from None
        done += len(batches[futures.index(future)])
        progress(done, len(present))
    parts: list[_Part] = client.gather(futures)
    for note in dict.fromkeys(note for part in parts for note in part.warned):
        warnings.warn(note, UserWarning, stacklevel=4)
    return parts


def _examine(modality: ImageModality, paths: list[Any], device: str, shown: int) -> _Part:
    """Read some examinations and compute their features: the task of a worker."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        loaded = modality.load(paths, device=device)
        block = modality.extract(loaded)
    warned = [str(w.message) for w in caught if w.category is UserWarning]
    middle = [images[len(images) // 2] for images in loaded.images[:shown]]
    middle = [image.get() if hasattr(image, "get") else np.array(image) for image in middle]
    count = sum(len(images) for images in loaded.images)
    return _Part(block, loaded.units, count, loaded.n_bytes, middle, warned)


def _joined(modality: ImageModality, scans: Sequence[Any], parts: list[_Part]) -> Block:
    """Put the features of all examinations together, and what is missing between them."""
    present = np.array([scan is not None for scan in scans])
    if not parts:
        return modality.extract([None] * len(scans))
    units = sorted({part.units for part in parts})
    if len(units) > 1:
        raise CohortError(
            f"The images of a modality must have one unit, found {', '.join(units)}: one window "
            "or scale would mean something else in each."
        )
    widths = {part.block.values.shape[1] for part in parts}
    if len(widths) > 1:
        raise ValueError(
            f'`pool="stack"` needs as many slices in each examination, got {len(widths)} '
            'different numbers; choose pool="mean" or "max".'
        )
    values = np.concatenate([part.block.values for part in parts])
    if parts[0].block.counts is not None:
        counts = np.zeros(len(scans), int)
        counts[present] = np.concatenate([part.block.counts for part in parts])
        return Block(values, present, counts)
    rows = np.zeros((len(scans), values.shape[1]), values.dtype)
    rows[present] = values
    return Block(rows, present)


def _absolute(scan: Any) -> Any:
    """Return paths that mean the same in a worker, whose folder is another."""
    if isinstance(scan, tuple):
        return tuple(Path(path).absolute() for path in scan)
    return Path(scan).absolute()
