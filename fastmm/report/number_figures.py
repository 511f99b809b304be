"""Figures of a report on a number: observed against predicted, and errors by features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastmm.report.svg import name_row, new_panels, one_line, row_axes, style, to_svg
from fastmm.report.theme import assign_colors, light

__all__ = ["draw_errors", "draw_observed"]

_MOST_BARS = 80  # rows; more would cover each other


def draw_observed(predictions: Mapping[str, Sequence[float]], label: str) -> str:
    """Draw observed against predicted numbers, with the intervals where there are few.

    Parameters
    ----------
    predictions : mapping
        "observed" and "predicted", and the ends "low" and "high" of intervals.
    label : str
        Name of the label.

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> from fastmm.report.number_figures import draw_observed
    >>> found = {"observed": [1.0, 2.0], "predicted": [1.5, 1.8], "low": [1, 1], "high": [2, 3]}
    >>> draw_observed(found, "months").startswith("<svg")
    True
    """
    observed, predicted = (np.array(predictions[k], float) for k in ("observed", "predicted"))
    low, high = (np.array(predictions[k], float) for k in ("low", "high"))
    ends = [float(f(np.concatenate([observed, predicted]))) for f in (np.min, np.max)]
    margin = 0.05 * (ends[1] - ends[0]) or 1.0
    limits = (ends[0] - margin, ends[1] + margin)
    bars = len(observed) <= _MOST_BARS and bool(np.isfinite(low).all() and np.isfinite(high).all())
    with style():
        figure, (axes,) = new_panels(4.4)
        axes.plot(limits, limits, color=light("soft"), linewidth=1, zorder=1)
        if bars:
            color = light("line")
            axes.vlines(observed, low, high, color=color, linewidth=1.6, zorder=0)
        axes.plot(observed, predicted, "o", color=light("series-1"), markersize=4.5, alpha=0.75)
        axes.set(xlim=limits, ylim=limits, aspect="equal")
        name = one_line(label, 40)
        axes.set_xlabel(f"Observed {name}", color=light("soft"))
        axes.set_ylabel(f"Predicted {name}, out of fold", color=light("soft"))
        told = f"Scatter of {len(observed)} predictions of {name} against what was observed."
        return to_svg(figure, "observed", told)


def draw_errors(scores: Sequence[Mapping[str, Any]], label: str, interval: str) -> str:
    """Draw mean absolute errors with their intervals, one row a model and feature set.

    Parameters
    ----------
    scores : sequence of mappings
        With "model", "features", "mae", "mae_low", "mae_high" and "mae_guess".
    label, interval : str
        Name of the label, and of what the lines are.

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> from fastmm.report.number_figures import draw_errors
    >>> row = {"model": "ridge", "features": "ct", "mae": 2.0, "mae_low": 1.5, "mae_high": 2.4}
    >>> draw_errors([{**row, "mae_guess": 3.0}], "months", "95% interval").startswith("<svg")
    True
    """
    colors = assign_colors(str(row["features"]) for row in scores)
    most = 1.05 * max(max(row["mae_high"], row["mae_guess"]) for row in scores)
    with style():
        xlabel = f"Mean absolute error of {one_line(label, 30)} (tick: guessing the mean)"
        figure, axes = row_axes(len(scores), (0.0, most), xlabel)
        for i, row in enumerate(scores):
            numbers = f"{row['mae']:.3g} ({row['mae_low']:.3g} to {row['mae_high']:.3g})"
            name_row(axes, i, f"{row['model']} · {row['features']}", numbers)
            axes.hlines(i, 0, most, color=light("line"), linewidth=1)
            guess = row["mae_guess"]
            axes.vlines(guess, i - 0.16, i + 0.16, color=light("soft"), linewidth=1.5)
            color = light(colors[row["features"]])
            axes.hlines(i, row["mae_low"], row["mae_high"], color=color, linewidth=2.4)
            marker = "D" if row["features"] == "fused" else "o"
            axes.plot(row["mae"], i, marker, color=color, markersize=6.5, clip_on=False)
        told = "; ".join(f"{r['model']} on {r['features']} {r['mae']:.3g}" for r in scores)
        return to_svg(figure, "errors", f"Mean absolute errors with their {interval}: {told}.")
