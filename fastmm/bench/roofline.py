"""Draw the roofline: what each stage reached, under what the device gives at best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastmm._files import replacing

__all__ = ["plot_roofline"]

_COLORS = {"float32": "#0b6e99", "float64": "#b5532a"}
_MARKERS = {"small": "o", "medium": "s", "large": "D"}


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
    limits = device["limits"]
    intensity = [row["flops"] / row["bytes"] for row in rows] or [1.0]
    ridge = limits["float32"] / limits["copy"]
    x = np.geomspace(min(intensity) / 3, max(*intensity, ridge) * 3, 200)
    for name, dash in (("float32", "-"), ("float64", "--")):
        roof = np.minimum(x * limits["copy"], limits[name])
        axes.plot(x, roof / 1e9, dash, color="#555555", linewidth=1.4)
        # The two roofs may lie close together: one name above its line, one below.
        above = limits[name] == max(limits["float32"], limits["float64"])
        axes.annotate(
            f"matrix product, {name}",
            (x[-1], limits[name] / 1e9),
            xytext=(0, 4 if above else -5),
            textcoords="offset points",
            ha="right",
            va="bottom" if above else "top",
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
    for last in {row["stage"]: row for row in rows}.values():  # named at its largest size
        axes.annotate(
            last["stage"],
            (last["flops"] / last["bytes"], last["flops"] / last["seconds"]["median"] / 1e9),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    sizes = [size for size in _MARKERS if any(row["size"] == size for row in rows)]
    handles = [
        axes.plot([], [], _MARKERS[size], color="#555555", label=size)[0] for size in sizes
    ] + [axes.plot([], [], "o", color=color, label=name)[0] for name, color in _COLORS.items()]
    axes.legend(handles=handles, loc="lower right", fontsize=8, frameon=False)
    axes.set(xscale="log", yscale="log", xlabel="Least arithmetic intensity (flops per byte)")
    axes.set_ylabel("Rate of the least flops (GFLOP/s)")
    axes.set_title(f"{device['device']}: {device['name']}", loc="left", fontsize=10)
    axes.grid(visible=True, which="major", color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
