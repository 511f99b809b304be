"""Run the stages on the devices of this machine, and keep what they took as plain data."""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Callable, Sequence
from typing import Any

from fastmm._space import Space, telling_of_memory
from fastmm.bench.cases import HUGE, SIZES, Case, Stage
from fastmm.bench.devices import current, memory_of, model_of, name_of
from fastmm.bench.image_cases import IMAGE_STAGES
from fastmm.bench.limits import Limits, measure_limits
from fastmm.bench.machine import describe
from fastmm.bench.timing import peak_memory, rotation, time_call, waiter

__all__ = ["FORMAT", "run_stages", "stages"]

FORMAT = 1
_SECONDS = {False: 1.0, True: 0.25}  # for each stage and size; by `quick`
_MOST_MEMORY = 0.5  # the share of a device's memory that a case may take


def stages() -> tuple[Stage, ...]:
    """Return every stage there is."""
    from fastmm.bench.model_cases import MODEL_STAGES
    from fastmm.bench.patch_cases import PATCH_STAGES

    return IMAGE_STAGES + PATCH_STAGES + MODEL_STAGES


def run_stages(
    spaces: Sequence[Space],
    *,
    quick: bool = False,
    only: Sequence[str] = (),
    progress: Callable[[str, int, int], object] = lambda *_: None,
    keep: Callable[[dict[str, Any]], object] = lambda _: None,
) -> dict[str, Any]:
    """Measure the limits of each device, then each stage at each size on it.

    Returns plain data: "machine", "devices" (each with its limits), "results", "skipped", what
    did not fit into memory, and "failed", what raised an error, which ends no other stage.
    `keep` is given all of it after each stage, since a long run may be cut off.
    """
    chosen = _chosen(only)
    found: dict[str, Any] = {
        "fastmm_bench": FORMAT,
        "quick": quick,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe(),
        "devices": [],
        "results": [],
        "skipped": [],
        "failed": [],
    }
    total = sum(1 + len(_turns(chosen, space, quick)) for space in spaces)
    done = 0
    for space in spaces:
        with current(space):
            progress(f"limits of {name_of(space)}", done, total)
            limits = measure_limits(space, quick=quick)
            found["devices"].append(
                {
                    "device": name_of(space),
                    "name": model_of(space),
                    "limits": dataclasses.asdict(limits),
                }
            )
            done += 1
            for stage, size in _turns(chosen, space, quick):
                progress(f"{stage.name}, {size}, {name_of(space)}", done, total)
                where = {"stage": stage.name, "size": size, "device": name_of(space)}
                needed = stage.memory(*stage.sizes[size])
                there = _MOST_MEMORY * memory_of(space)
                if needed > there:
                    found["skipped"].append(where | {"why": _too_large(needed, there)})
                else:
                    try:
                        row = _measure(stage.make(space, *stage.sizes[size]), space, limits, quick)
                        found["results"].append(where | row)
                    except Exception as error:  # whatever it is, the other stages still count
                        found["failed"].append(where | {"why": _told(error)})
                done += 1
                keep(found)
    progress("done", done, total)
    return found


def _measure(case: Case, space: Space, limits: Limits, quick: bool) -> dict[str, Any]:
    try:
        with telling_of_memory(space):
            wait = waiter(space)
            # What differs from the oracle is told in the table: the other stages still count.
            off = float(case.check(case.call(*case.arguments)))
            timing = time_call(case.call, rotation(case.arguments, space), wait, _SECONDS[quick])
            with peak_memory(space) as peak:
                result = case.call(*case.arguments)
                wait()
                taken = peak()
            del result
    finally:
        if case.close is not None:
            case.close()
        if space.kind == "cuda":
            space.xp.get_default_memory_pool().free_all_blocks()
    least = limits.least_seconds(case.n_bytes, case.flops, case.dtype)
    rate, unit = _rate(case, timing.median)
    return {
        "task": case.task,
        "dtype": case.dtype,
        "seconds": dataclasses.asdict(timing),
        "spread": timing.spread,
        "rate": rate,
        "unit": unit,
        "bytes": int(case.n_bytes),
        "flops": int(case.flops),
        "least_seconds": least,
        "share_of_limit": least / timing.median,
        "bound_by": "bytes" if case.n_bytes / limits.copy >= least else "flops",
        "error": off if math.isfinite(off) else None,
        "tolerance": case.tolerance,
        "right": off <= case.tolerance,
        "peak_bytes": taken,
    }


def _rate(case: Case, seconds: float) -> tuple[float, str]:
    if case.items is not None:
        return case.items / seconds, case.unit
    if case.flops > 20 * case.n_bytes:
        return case.flops / seconds / 1e9, "GFLOP/s"
    return case.n_bytes / seconds / 1e9, "GB/s"


def _too_large(needed: float, there: float) -> str:
    return f"needs about {needed / 2**30:.1f} GiB, and {there / 2**30:.1f} are allowed"


def _told(error: Exception) -> str:
    first, *_ = str(error).splitlines() or ["no message"]
    return f"{type(error).__name__}: {first}"


def _turns(chosen: list[Stage], space: Space, quick: bool) -> list[tuple[Stage, str]]:
    names = SIZES[:1] if quick else (*SIZES, HUGE) if space.kind == "cuda" else SIZES
    return [(stage, size) for stage in chosen for size in names if size in stage.sizes]


def _chosen(only: Sequence[str]) -> list[Stage]:
    there = {stage.name: stage for stage in stages()}
    if unknown := [name for name in only if name not in there]:
        raise ValueError(f"`--stage` must be one of {', '.join(there)}; got {unknown[0]!r}.")
    return [there[name] for name in dict.fromkeys(only)] if only else list(there.values())
