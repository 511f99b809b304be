"""Examinations out of files, as a modality wants them: all at once, or some at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fastmm.blocks import Examinations
from fastmm.errors import CohortError, GeometryError
from fastmm.regions.features import spread_sizes

__all__ = ["load_all", "load_in_turn"]

Progress = Callable[[int, int], object]


def load_all(
    modality: Any, paths: Sequence[Any], device: str, progress: Progress | None
) -> Examinations:
    """Load all examinations for an `ImageModality`, whose `load` says how."""
    given = [path for path in paths if path is not None]
    if not given:
        return Examinations([None] * len(paths), modality.units or "", 0)
    if _masked(given):
        loaded = _load_regions(modality, given, device, progress)
    else:
        loaded = _load_whole(modality, given, device, progress)
    return _with_missing(loaded, paths)


def load_in_turn(
    modality: Any,
    paths: Sequence[Any],
    device: str,
    progress: Progress | None,
    limit: int,
) -> Iterator[Examinations]:
    """Load some examinations at a time, in order, as many as `limit` bytes hold.

    The caller lets go of one part before asking for the next. Scans with masks come one by
    one, each read as a whole, which must fit. `progress` counts examinations.
    """
    given = [path for path in paths if path is not None]
    parts = _regions_in_turn if given and _masked(given) else _whole_in_turn
    units: set[str] = set()
    ahead = 0
    for loaded in parts(modality, given, device, limit):
        units.add(loaded.units)
        _one_unit(modality, sorted(units))
        count = len(loaded.images)
        stop = _after(paths, ahead, count)
        yield _with_missing(loaded, paths[ahead:stop])
        del loaded
        ahead = stop
        if progress is not None:
            progress(ahead, len(paths))
    if ahead < len(paths):
        yield Examinations([None] * (len(paths) - ahead), modality.units or "", 0)


def _with_missing(loaded: Examinations, paths: Sequence[Any]) -> Examinations:
    """Put None between the images where examinations are missing."""
    images = iter(loaded.images)
    rows = [None if path is None else next(images) for path in paths]
    sizes = None if loaded.sizes is None else spread_sizes(loaded.sizes, paths)
    return Examinations(rows, loaded.units, loaded.n_bytes, sizes)


def _after(paths: Sequence[Any], first: int, count: int) -> int:
    """Return the place behind the next `count` paths that are there."""
    while count:
        count -= paths[first] is not None
        first += 1
    return first


def _options(modality: Any, device: str) -> dict[str, Any]:
    return {
        "window": modality.window,
        "normalize": modality.normalize,
        "channel": modality.channel,
        "suv": modality.suv,
        "device": device,
    }


def _load_whole(modality: Any, given: Any, device: str, progress: Any) -> Examinations:
    from fastmm.loading.rows import load_rows

    options = _options(modality, device)
    rows = load_rows(given, modality.shape, progress=progress or False, **options)
    return Examinations(rows.split(), _one_unit(modality, rows.units), rows.n_bytes)


def _whole_in_turn(modality: Any, given: Any, device: str, limit: int) -> Iterator[Examinations]:
    from fastmm.loading.options import check_options, check_paths
    from fastmm.loading.parts import Budget, plan_parts
    from fastmm.loading.rows import ImageRows, allocate, fill_plan, warn_of
    from fastmm.read.ahead import READERS

    options = check_options(modality.shape, **_options(modality, device))
    notes: dict[str, int] = {}
    with ThreadPoolExecutor(READERS) as pool:
        for plan in plan_parts(check_paths(given), pool, options, Budget(limit, whole=True)):
            out = allocate((plan.n_rows, *options.shape), options)
            n_bytes = fill_plan(out, plan, options, pool, lambda done, total: None)
            rows = ImageRows(out, tuple(plan.counts), tuple(plan.units), n_bytes)
            del out
            unit = _one_unit(modality, plan.units)
            for note, count in plan.notes.items():
                notes[note] = notes.get(note, 0) + count
            images = rows.split()
            del rows
            yield Examinations(images, unit, n_bytes)
            del images
    warn_of(notes)


def _load_regions(modality: Any, given: Any, device: str, progress: Any) -> Examinations:
    regions = []
    for done, region in enumerate(_regions(modality, given, device), start=1):
        regions.append(region)
        if progress:
            progress(done, len(given))
    return _of_regions(modality, regions)


def _of_regions(modality: Any, regions: Sequence[Any]) -> Examinations:
    return Examinations(
        [region.images for region in regions],
        _one_unit(modality, [region.units for region in regions]),
        sum(region.n_bytes for region in regions),
        [region.size for region in regions] if modality.region_size else None,
    )


def _regions_in_turn(modality: Any, given: Any, device: str, limit: int) -> Iterator[Examinations]:
    for region in _regions(modality, given, device, limit):
        yield _of_regions(modality, [region])
        del region


def _regions(modality: Any, given: Any, device: str, limit: int | None = None) -> Iterator[Any]:
    from fastmm._space import space_for
    from fastmm.regions.cropping import read_region
    from fastmm.regions.memory import check_region

    space = space_for(device)
    for path, mask in given:
        try:
            if limit is not None:
                check_region(Path(path), Path(mask), modality, limit)
            yield read_region(Path(path), Path(mask), modality, space)
        except GeometryError as error:
            raise GeometryError(f"{path}, with the mask {mask}: {error}") from None


def _masked(given: Sequence[Any]) -> bool:
    masked = [isinstance(path, tuple) for path in given]
    if any(masked) and not all(masked):
        raise CohortError(
            f"A modality must have a mask for each of its scans or for none; "
            f"{masked.count(False)} of {len(given)} lack one."
        )
    return masked[0]


def _one_unit(modality: Any, units: Sequence[str]) -> str:
    found = sorted(set(units))
    if len(found) > 1 or (modality.units is not None and found != [modality.units]):
        expected = "one unit" if modality.units is None else repr(modality.units)
        raise CohortError(
            f"The images of a modality must have {expected}, found {', '.join(found)}: "
            "one window or scale would mean something else in each."
        )
    return found[0]
