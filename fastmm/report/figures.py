"""Figures of a report: each function draws one and returns it as an ``<svg>`` element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastmm.report.svg import name_row, new_panels, one_line, row_axes, style, to_svg
from fastmm.report.text import score
from fastmm.report.theme import HUES, light

__all__ = ["draw_contributions", "draw_distributions", "draw_roc", "draw_scores"]

_MAX_CURVES = 8


def draw_scores(
    scores: Sequence[Mapping[str, Any]],
    *,
    colors: Mapping[str, str],
    chosen: int | None = None,
    interval: str = "interval",
) -> str:
    """Draw AUCs with their intervals, one row per model and feature set (a forest plot).

    Parameters
    ----------
    scores : sequence of mappings
        Each with "model", "features", "auc" (a number) and, where known, "auc_low" and
        "auc_high".
    colors : mapping
        Colour by feature set, of `assign_colors`.
    chosen : int, optional
        Index of the row to set in bold.
    interval : str, default "interval"
        What the horizontal lines are, such as "95% interval".

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> from fastmm.report.figures import draw_scores
    >>> rows = [{"model": "ridge", "features": "ct", "auc": 0.8, "auc_low": 0.7, "auc_high": 0.9}]
    >>> draw_scores(rows, colors={"ct": "series-2"}).startswith("<svg")
    True
    """
    ends = [_span(row) for row in scores]
    left = np.floor(10 * min([0.5, *(low for low, _ in ends)])) / 10
    with style():
        figure, axes = row_axes(len(scores), (left, 1.0), "AUC (0.5 is guessing, 1 is perfect)")
        for i, (row, (low, high)) in enumerate(zip(scores, ends, strict=True)):
            weight = "bold" if i == chosen else "normal"
            name, numbers = f"{row['model']} · {row['features']}", score(row["auc"])
            if high > low:
                numbers += f" ({score(low)} to {score(high)})"
            name_row(axes, i, name, numbers, weight=weight)
            axes.hlines(i, left, 1.0, color=light("line"), linewidth=1)
            axes.vlines(0.5, i - 0.16, i + 0.16, color=light("soft"), linewidth=1)
            color = light(colors[row["features"]])
            axes.hlines(i, low, high, color=color, linewidth=2.4)
            marker = "D" if row["features"] == "fused" else "o"
            axes.plot(row["auc"], i, marker, color=color, markersize=6.5, clip_on=False)
        told = "; ".join(f"{r['model']} on {r['features']} {score(r['auc'])}" for r in scores)
        return to_svg(figure, "scores", f"Forest plot of AUCs with their {interval}: {told}.")


def draw_roc(
    curves: Sequence[Mapping[str, Any]],
    *,
    colors: Mapping[str, str],
    chosen: int | None = None,
) -> str:
    """Draw receiver operating characteristics, at most eight of them.

    Parameters
    ----------
    curves : sequence of mappings
        Each with "model", "features", "fpr", "tpr" (numbers from 0 to 1, of equal
        length) and, where known, "auc" for the key.
    colors : mapping
        Colour by feature set, of `assign_colors`; the model is told by the dashes.
    chosen : int, optional
        Index of the curve to draw thick.

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> from fastmm.report.figures import draw_roc
    >>> curve = {"model": "ridge", "features": "ct", "fpr": [0, 0, 1], "tpr": [0, 1, 1]}
    >>> draw_roc([curve], colors={"ct": "series-2"}).count("<svg")
    1
    """
    shown = list(enumerate(curves))[:_MAX_CURVES]
    dashes = dict(
        zip(
            dict.fromkeys(c["model"] for c in curves),
            ["-", (0, (5, 2)), (0, (1.2, 1.6)), (0, (6, 2, 1.2, 2))] * len(curves),
            strict=False,
        )
    )
    with style():
        figure, (axes,) = new_panels(4.95 + 0.21 * len(shown))
        axes.plot([0, 1], [0, 1], color=light("line"), linewidth=1.2)
        axes.text(0.80, 0.76, "guessing", color=light("soft"), fontsize=9, ha="left", va="top")
        for i, curve in shown:
            label = f"{curve['model']} · {curve['features']}"
            auc = "" if curve.get("auc") is None else f": {score(curve['auc'])}"
            axes.plot(
                curve["fpr"],
                curve["tpr"],
                color=light(colors[curve["features"]]),
                linestyle=dashes[curve["model"]],
                linewidth=2.6 if i == chosen else 1.5,
                zorder=3 if i == chosen else 2,
                label=one_line(label, 44) + auc,
            )
        ticks = [0, 0.25, 0.5, 0.75, 1]
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xticks=ticks, yticks=ticks)
        axes.set_box_aspect(1)
        axes.set_xlabel("False positive rate (1 - specificity)", color=light("soft"))
        axes.set_title(
            "True positive rate (sensitivity)", loc="left", fontsize=10, color=light("soft")
        )
        figure.legend(
            loc="outside lower left", frameon=False, labelcolor=light("ink"), fontsize=9.5
        )
        told = ", ".join(f"{c['model']} on {c['features']}" for _, c in shown)
        return to_svg(figure, "roc", f"ROC curves of {told}.")


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


def draw_contributions(shares: Sequence[Mapping[str, Any]], *, colors: Mapping[str, str]) -> str:
    """Draw each modality's share of the fused score's variance as a bar.

    Parameters
    ----------
    shares : sequence of mappings
        Each with "name" and "share" (1 is the whole variance; a share may be negative).
    colors : mapping
        Colour by name, of `assign_colors`.

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> from fastmm.report.figures import draw_contributions
    >>> svg = draw_contributions([{"name": "ct", "share": 1.0}], colors={"ct": "series-2"})
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
            axes.barh(i, percent, height=0.26, color=light(colors[row["name"]]), zorder=2)
        told = ", ".join(f"{r['name']} {p:.1f}%" for r, p in zip(shares, percents, strict=True))
        return to_svg(figure, "contributions", f"Share of the score's variance: {told}.")


def _span(row: Mapping[str, Any]) -> tuple[float, float]:
    low, high = row.get("auc_low"), row.get("auc_high")
    return (row["auc"], row["auc"]) if low is None or high is None else (low, high)
