"""Draw the roofline: what each stage reached, under what the device gives at best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastmm._files import replacing

__all__ = ["plot_roofline"]

_COLORS = {"float32": "#0b6e99", "float64": "#b5532a"}
_MARKERS = {"small": "o", "medium": "s", "large": "D", "huge": "P"}


def plot_roofline(found: dict[str, Any], path: Path) -> None:
    """Write a picture (by its ending: PNG, SVG, PDF) of all results with flops and bytes."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    devices = found["devices"]
    figure, panels = pyplot.subplots(
        1, len(devices), figsize=(7.2 * len(devices), 5.4), squeeze=False, layout="constrained"
    )
    try:
        for axes, device in zip(panels[0], devices, strict=True):
            rows = [r for r in found["results"] if r["device"] == device["device"] and r["flops"]]
            _draw(axes, device, rows)
        with replacing(path) as draft:
            figure.savefig(draft, dpi=150, format=path.suffix[1:] or "png")
    finally:
        pyplot.close(figure)


def _draw(axes: Any, device: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    axes.set(xscale="log", yscale="log")
    limits = device["limits"]
    intensity = [row["flops"] / row["bytes"] for row in rows] or [1.0]
    ridge = limits["float32"] / limits["copy"]
    x = np.geomspace(min(intensity) / 3, max(*intensity, ridge) * 3, 200)
    for name, dash in (("float32", "-"), ("float64", "--")):
        roof = np.minimum(x * limits["copy"], limits[name])
        axes.plot(x, roof / 1e9, dash, color="#555555", linewidth=1.4)
        axes.annotate(  # where the roof is flat and few points are
            f"matrix product, {name}",
            (limits[name] / limits["copy"], limits[name] / 1e9),
            xytext=(12, 3),
            textcoords="offset points",
            fontsize=8,
            color="#555555",
        )
    slope = limits["copy"] / 1e9
    axes.annotate(
        f"copy, {slope:.3g} GB/s",
        (x[8], x[8] * slope),
        xytext=(6, -4),
        textcoords="offset points",
        va="top",
        fontsize=8,
        color="#555555",
    )
    for row in rows:
        axes.plot(
            row["flops"] / row["bytes"],
            row["flops"] / row["seconds"]["median"] / 1e9,
            _MARKERS[row["size"]],
            color=_COLORS[row["dtype"]],
            markersize=6,
        )
    _name_stages(axes, {row["stage"]: row for row in rows})
    sizes = [size for size in _MARKERS if any(row["size"] == size for row in rows)]
    handles = [
        axes.plot([], [], _MARKERS[size], color="#555555", label=size)[0] for size in sizes
    ] + [axes.plot([], [], "o", color=color, label=name)[0] for name, color in _COLORS.items()]
    axes.legend(handles=handles, loc="lower right", fontsize=8, frameon=False)
    axes.set(xlabel="Least arithmetic intensity (flops per byte)")
    axes.set_ylabel("Rate of the least flops (GFLOP/s)")
    axes.set_title(f"{device['device']}: {device['name']}", loc="left", fontsize=10)
    axes.grid(visible=True, which="major", color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)


def _name_stages(axes: Any, largest: dict[str, dict[str, Any]]) -> None:
    """Write the name of each stage beside its largest size, below those that are in the way."""
    low, high = np.log10(axes.get_ylim())
    line = (high - low) / 26
    taken: list[tuple[float, float]] = []
    points = [
        (name, row["flops"] / row["bytes"], row["flops"] / row["seconds"]["median"] / 1e9)
        for name, row in largest.items()
    ]
    for name, x, rate in sorted(points, key=lambda point: -point[2]):
        y = np.log10(rate)
        for other_x, other_y in taken:
            if abs(np.log10(x / other_x)) < 0.8 and other_y - y < line:
                y = other_y - line
        taken.append((x, y))
        axes.annotate(
            name, (x, 10**y), xytext=(8, 0), textcoords="offset points", va="center", fontsize=9
        )
