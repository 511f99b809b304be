"""Figures of a validation: differences, calibration, subgroups and learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastmm.report.svg import name_row, new_panels, one_line, row_axes, style, to_svg
from fastmm.report.text import estimate, score, signed
from fastmm.report.theme import HUES, light

__all__ = ["draw_calibration", "draw_differences", "draw_learning", "draw_subgroups"]


def draw_differences(rows: Sequence[Mapping[str, Any]], *, colors: Mapping[str, str]) -> str:
    """Draw the differences in AUC between the fusion and each single modality.

    Parameters
    ----------
    rows : sequence of mappings
        Each with "against", "difference", "difference_low" and "difference_high".
    colors : mapping
        Colour by feature set, of `assign_colors`.

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> from fastmm.report.validation_figures import draw_differences
    >>> row = {"against": "ct", "difference": 0.1, "difference_low": 0, "difference_high": 0.2}
    >>> draw_differences([row], colors={"ct": "series-2"}).startswith("<svg")
    True
    """
    reach = max(max(abs(r["difference_low"]), abs(r["difference_high"])) for r in rows)
    reach = max(np.ceil(20 * reach) / 20, 0.05)
    places = [(r["difference"], r["difference_low"], r["difference_high"]) for r in rows]
    models = [f"{row['model']} · " if "model" in row else "" for row in rows]
    names = [f"{m}against {r['against']}" for m, r in zip(models, rows, strict=True)]
    values = [f"{signed(d)} ({signed(low)} to {signed(high)})" for d, low, high in places]
    hues = [colors.get(r["against"], HUES[-1]) for r in rows]
    with style():
        figure = _forest(
            names, values, places, hues, (-reach, reach), 0.0,
            "Difference in AUC (right of 0: fused is better)",
        )  # fmt: skip
        told = "; ".join(f"{n} {v}" for n, v in zip(names, values, strict=True))
        return to_svg(figure, "differences", f"Differences in AUC: {told}.")


def draw_subgroups(rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw the AUC of each subgroup with its interval.

    Parameters
    ----------
    rows : sequence of mappings
        Each with "column", "level", "auc", "auc_low" and "auc_high", all known.

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> from fastmm.report.validation_figures import draw_subgroups
    >>> row = {"column": "sex", "level": "f", "auc": 0.8, "auc_low": 0.7, "auc_high": 0.9}
    >>> draw_subgroups([row]).startswith("<svg")
    True
    """
    places = [(r["auc"], r["auc_low"], r["auc_high"]) for r in rows]
    left = np.floor(10 * min([0.5, *(low for _, low, _ in places)])) / 10
    names = [f"{r['column']}: {r['level']}" for r in rows]
    values = [estimate(r, "auc") for r in rows]
    columns = list(dict.fromkeys(r["column"] for r in rows))
    hues = [HUES[columns.index(r["column"]) % len(HUES)] for r in rows]
    with style():
        figure = _forest(
            names, values, places, hues, (left, 1.0), 0.5, "AUC (0.5 is guessing, 1 is perfect)"
        )
        told = "; ".join(f"{n} {v}" for n, v in zip(names, values, strict=True))
        return to_svg(figure, "subgroups", f"AUC by subgroup: {told}.")


def draw_calibration(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Draw observed shares against predicted probabilities, and the rows of each bin.

    Parameters
    ----------
    curves : mapping of str to sequence of mappings
        Bins by name of the curve, each with "predicted", "observed", "low", "high", "n".

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> from fastmm.report.validation_figures import draw_calibration
    >>> bins = [{"predicted": 0.2, "observed": 0.3, "low": 0.1, "high": 0.6, "n": 10}]
    >>> draw_calibration({"ridge": bins}).startswith("<svg")
    True
    """
    several = len(curves) > 1
    with style():
        figure, (axes, counts) = new_panels(
            5.9 + (0.21 * len(curves) if several else 0), 2, ratios=(4, 1)
        )
        axes.plot([0, 1], [0, 1], color=light("line"), linewidth=1.2)
        axes.text(0.80, 0.76, "perfect", color=light("soft"), fontsize=9, ha="left", va="top")
        told = []
        for i, (name, bins) in enumerate(curves.items()):
            color = light(HUES[i % len(HUES)])
            x = [b["predicted"] for b in bins]
            if not several:
                axes.vlines(x, [b["low"] for b in bins], [b["high"] for b in bins],
                            color=color, linewidth=1.6, alpha=0.55)  # fmt: skip
            axes.plot(x, [b["observed"] for b in bins], "o-", color=color, linewidth=1.6,
                      markersize=5, label=one_line(name, 44))  # fmt: skip
            shift = 0.006 * (i - (len(curves) - 1) / 2)
            counts.vlines(np.array(x) + shift, 0, [b["n"] for b in bins], color=color,
                          linewidth=2.5 if several else 6)  # fmt: skip
            told += [f"{name}: {score(b['predicted'])} predicted, {score(b['observed'])} "
                     f"observed of {b['n']}" for b in bins]  # fmt: skip
        ticks = [0, 0.25, 0.5, 0.75, 1]
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=ticks, yticks=ticks)
        axes.tick_params(labelbottom=True)
        axes.set_title("Observed share", loc="left", fontsize=10, color=light("soft"))
        counts.set_title("Rows in each bin", loc="left", fontsize=10, color=light("soft"))
        counts.set_ylim(bottom=0)
        counts.yaxis.get_major_locator().set_params(integer=True, nbins=2)
        counts.set_xlabel("Predicted probability", color=light("soft"))
        if several:
            figure.legend(
                loc="outside lower left", frameon=False, labelcolor=light("ink"), fontsize=9.5
            )
        return to_svg(figure, "calibration", f"Calibration curve. {'; '.join(told)}.")


def draw_learning(curves: Sequence[Mapping[str, Any]], *, colors: Mapping[str, str]) -> str:
    """Draw AUC against the number of training patients.

    Parameters
    ----------
    curves : sequence of mappings
        Each with "features" and "points", which have "patients", "auc", "auc_low" and
        "auc_high".
    colors : mapping
        Colour by feature set, of `assign_colors`.

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> from fastmm.report.validation_figures import draw_learning
    >>> points = [{"patients": p, "auc": 0.7, "auc_low": 0.6, "auc_high": 0.8} for p in (9, 20)]
    >>> curve = {"features": "ct", "points": points}
    >>> draw_learning([curve], colors={"ct": "series-2"}).startswith("<svg")
    True
    """
    with style():
        figure, (axes,) = new_panels(3.3 + 0.21 * len(curves))
        axes.axhline(0.5, color=light("line"), linewidth=1.2)
        told = []
        for curve in curves:
            points, color = curve["points"], light(colors.get(curve["features"], HUES[0]))
            x = [p["patients"] for p in points]
            axes.fill_between(x, [p["auc_low"] for p in points], [p["auc_high"] for p in points],
                              color=color, alpha=0.16, linewidth=0)  # fmt: skip
            axes.plot(x, [p["auc"] for p in points], "o-", color=color, linewidth=1.8,
                      markersize=4.5, label=one_line(curve["features"], 44))  # fmt: skip
            told += [f"{curve['features']} {score(p['auc'])} of {p['patients']}" for p in points]
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("Patients in training", color=light("soft"))
        axes.set_title(
            "AUC (0.5 is guessing, 1 is perfect)", loc="left", fontsize=10, color=light("soft")
        )
        figure.legend(
            loc="outside lower left", frameon=False, labelcolor=light("ink"), fontsize=9.5
        )
        return to_svg(figure, "learning", f"Learning curves, AUC by patients: {'; '.join(told)}.")


def _forest(
    names: Sequence[str],
    values: Sequence[str],
    places: Sequence[tuple[float, float, float]],
    hues: Sequence[str],
    limits: tuple[float, float],
    reference: float,
    xlabel: str,
) -> Any:
    figure, axes = row_axes(len(names), limits, xlabel)
    rows = zip(names, values, places, hues, strict=True)
    for i, (name, value, (middle, low, high), hue) in enumerate(rows):
        name_row(axes, i, name, value)
        axes.hlines(i, *limits, color=light("line"), linewidth=1)
        axes.vlines(reference, i - 0.16, i + 0.16, color=light("soft"), linewidth=1)
        axes.hlines(i, low, high, color=light(hue), linewidth=2.4)
        axes.plot(middle, i, "o", color=light(hue), markersize=6, clip_on=False)
    return figure
