"""Figures of a report that show numbers themselves: histograms, shares, and a scatter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastmm.report.svg import name_row, new_panels, one_line, row_axes, style, to_svg
from fastmm.report.theme import HUES, Look, light

__all__ = ["draw_contributions", "draw_distributions", "draw_observed"]

_MOST_BARS = 80  # rows; more would cover each other


def draw_distributions(groups: Mapping[str, np.ndarray[Any, Any]], *, xlabel: str) -> str:
    """Draw one histogram of scores for each class, on a common axis.

    Parameters
    ----------
    groups : mapping of str to array of shape (n,), float
        Finite scores by name of the class, at least one score in all.
    xlabel : str
        What the score is, with its unit.

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm.report.figures import draw_distributions
    >>> svg = draw_distributions({"0": np.zeros(3), "1": np.ones(2)}, xlabel="score (no unit)")
    >>> svg.startswith("<svg")
    True
    """
    values = np.concatenate(list(groups.values())).astype(np.float64)
    low, high = values.min(), values.max()
    pad = 0.0 if high - low > 1e-9 * max(abs(low), abs(high)) else max(0.5, 1e-6 * abs(high))
    bins = int(np.clip(np.ceil(np.sqrt(values.size)), 8, 30))
    edges = np.linspace(low - pad, high + pad, bins + 1)
    counts = {name: np.histogram(group, edges)[0] for name, group in groups.items()}
    top = max(int(c.max()) for c in counts.values())
    with style():
        figure, panels = new_panels(0.7 + 1.3 * len(groups), len(groups))
        for i, (axes, (name, count)) in enumerate(zip(panels, counts.items(), strict=True)):
            last = i == len(counts) - 1
            axes.stairs(count, edges, fill=True, color=light(HUES[0] if last else HUES[-1]))
            axes.set_ylim(0, 1.22 * top)
            axes.yaxis.get_major_locator().set_params(integer=True, nbins=3)
            axes.set_title(one_line(name, 46), loc="left", fontsize=10, color=light("ink"))
            if groups[name].size:
                median = float(np.median(groups[name]))
                axes.axvline(median, color=light("ink"), linewidth=1.2)
                right = median > (edges[0] + edges[-1]) / 2
                axes.annotate(
                    f"median {median:.3g}",
                    (median, 1.2 * top),
                    xytext=(-4 if right else 4, 0),
                    textcoords="offset points",
                    ha="right" if right else "left",
                    va="top",
                    color=light("ink"),
                    fontsize=9,
                )
            axes.set_ylabel("rows", color=light("soft"), rotation_mode="anchor")
        panels[-1].set_xlabel(xlabel, color=light("soft"))
        told = ", ".join(
            f"{name}: median {np.median(g):.3g}" for name, g in groups.items() if g.size
        )
        return to_svg(figure, "distributions", f"Histograms of {xlabel}. {told}.")


def draw_contributions(shares: Sequence[Mapping[str, Any]], *, looks: Mapping[str, Look]) -> str:
    """Draw each modality's share of the fused score's variance as a bar.

    Parameters
    ----------
    shares : sequence of mappings
        Each with "name" and "share" (1 is the whole variance; a share may be negative).
    looks : mapping of str to Look
        Look by name, of `assign_looks`.

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> from fastmm.report.theme import assign_looks
    >>> from fastmm.report.figures import draw_contributions
    >>> svg = draw_contributions([{"name": "ct", "share": 1.0}], looks=assign_looks(["ct"]))
    >>> svg.startswith("<svg")
    True
    """
    percents = [100.0 * row["share"] for row in shares]
    limits = (min([0.0, *percents]), max([100.0, *percents]))
    with style():
        figure, axes = row_axes(len(shares), limits, "Share of the score's variance (%)")
        for i, (row, percent) in enumerate(zip(shares, percents, strict=True)):
            name_row(axes, i, row["name"], f"{percent:.1f}%")
            axes.hlines(i, *limits, color=light("line"), linewidth=1)
            axes.barh(i, percent, height=0.26, color=light(looks[row["name"]].hues[0]), zorder=2)
        told = ", ".join(f"{r['name']} {p:.1f}%" for r, p in zip(shares, percents, strict=True))
        return to_svg(figure, "contributions", f"Share of the score's variance: {told}.")


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
    >>> from fastmm.report.figures import draw_observed
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
