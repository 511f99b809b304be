"""What ``fastmm bench`` shows in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["duration", "show_comparison", "show_results"]


def show_results(found: dict[str, Any], console: Console) -> None:
    """Print the limits and the stages of each device."""
    machine = found["machine"]
    for device in found["devices"]:
        limits = device["limits"]
        console.print(Text(f"{device['device']}: {device['name']}", style="bold"))
        console.print(Text(_limits(limits)))
        table = Table(box=None, pad_edge=False)
        for column in ("stage", "size"):
            table.add_column(column, no_wrap=True)
        for column in ("time", "spread", "rate", "of limit", "memory", "error"):
            table.add_column(column, justify="right", no_wrap=True)
        for row in found["results"]:
            if row["device"] == device["device"]:
                table.add_row(*_cells(row))
        console.print(table)
        for row in found["skipped"]:
            if row["device"] == device["device"]:
                console.print(Text(f"Left out: {row['stage']}, {row['size']}: {row['why']}."))
        console.print()
    if machine["gpu_fault"] and all(d["device"] == "cpu" for d in found["devices"]):
        console.print(Text(f"No GPU: {machine['gpu_fault']}."))
    load = machine["load_average"][0]
    if load > 0.5 * machine["cores"]:
        console.print(
            Text(
                f"Load average {load} on {machine['cores']} cores at the start: others were at "
                "work, and the times are doubtful.",
                style="yellow",
            )
        )
    console.print(
        Text(
            "time: median of several rounds; spread: half the distance of the quartiles; of limit: "
            "the time that the bytes or the flops take at the measured rates, over the time; "
            "memory: allocated at most; "
            "error: greatest difference to a float64 oracle, relative."
        )
    )


def show_comparison(
    pairs: Sequence[dict[str, Any]], names: tuple[str, str], console: Console
) -> None:
    """Print how the second of two results compares with the first."""
    table = Table(box=None, pad_edge=False)
    for column in ("stage", "size", "device"):
        table.add_column(column)
    for column in (*names, "faster", ""):
        table.add_column(column, justify="right")
    for pair in pairs:
        first, second = pair["devices"]
        table.add_row(
            pair["stage"],
            pair["size"],
            first if first == second else f"{first}, {second}",
            *(duration(seconds) for seconds in pair["seconds"]),
            f"{pair['ratio']:.2f} x",
            "" if pair["clear"] else "within the spread",
        )
    console.print(table)


def duration(seconds: float) -> str:
    """Return seconds as a person reads them."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def _limits(limits: dict[str, Any]) -> str:
    told = [
        f"copy {limits['copy'] / 1e9:.3g} GB/s",
        f"matrix product float32 {_flops(limits['float32'])}, float64 {_flops(limits['float64'])}",
    ]
    if limits["float32_tf32"] is not None:
        told.append(f"TF32 {_flops(limits['float32_tf32'])}")
    if limits["upload"] is not None:
        told.append(
            f"up {limits['upload'] / 1e9:.3g} GB/s, from pageable memory "
            f"{limits['pageable_upload'] / 1e9:.3g}, down {limits['download'] / 1e9:.3g} GB/s"
        )
    told.append(f"smallest launch {duration(limits['launch'])}")
    return "; ".join(told)


def _flops(rate: float) -> str:
    return f"{rate / 1e12:.3g} TFLOP/s" if rate >= 1e12 else f"{rate / 1e9:.3g} GFLOP/s"


def _cells(row: dict[str, Any]) -> tuple[Any, ...]:
    peak, rate = row["peak_bytes"], row["rate"]
    error = "not a result" if row["error"] is None else f"{row['error']:.1g}"
    return (
        row["stage"],
        row["size"],
        duration(row["seconds"]["median"]),
        f"±{row['spread']:.0%}",
        f"{rate:{',.3g' if rate < 1000 else ',.0f'}} {row['unit']}",
        f"{row['share_of_limit']:.0%}",
        f"{peak / 2**30:.3g} GiB" if peak >= 2**30 else f"{peak / 2**20:.3g} MiB",
        error if row["right"] else Text(f"{error} WRONG", style="bold red"),
    )
