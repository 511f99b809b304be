"""Curves of a report: receiver operating characteristics, calibration and learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastmm.report.marks import add_key, line_of, marker_of, name_axes
from fastmm.report.svg import new_panels, one_line, style, to_svg
from fastmm.report.text import score
from fastmm.report.theme import HUES, Look, light, look_at

__all__ = ["draw_calibration", "draw_learning", "draw_roc"]

_MAX_CURVES = 8


def draw_roc(
    curves: Sequence[Mapping[str, Any]],
    *,
    looks: Mapping[str, Look],
    chosen: int | None = None,
) -> str:
    """Draw receiver operating characteristics, at most eight of them.

    Parameters
    ----------
    curves : sequence of mappings
        Each with "model", "features", "fpr", "tpr" (numbers from 0 to 1, of equal
        length) and, where known, "auc" for the key.
    looks : mapping of str to Look
        Look by feature set, of `assign_looks`; the model is told by the dashes.
    chosen : int, optional
        Index of the curve to draw thick.

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> from fastmm.report.theme import assign_looks
    >>> from fastmm.report.curves import draw_roc
    >>> curve = {"model": "ridge", "features": "ct", "fpr": [0, 0, 1], "tpr": [0, 1, 1]}
    >>> draw_roc([curve], looks=assign_looks(["ct"])).count("<svg")
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
                **line_of(looks[curve["features"]], dashes[curve["model"]]),
                **marker_of(looks[curve["features"]], 6),
                markevery=(0.03 * (1 + i), 0.24),  # lengths along the curve, in diagonals
                linewidth=2.6 if i == chosen else 1.5,
                zorder=3 if i == chosen else 2,
                label=one_line(label, 44) + auc,
            )
        ticks = [0, 0.25, 0.5, 0.75, 1]
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xticks=ticks, yticks=ticks)
        axes.set_box_aspect(1)
        name_axes(axes, "False positive rate (1 - specificity)", "True positive rate (sensitivity)")
        add_key(figure)
        told = ", ".join(f"{c['model']} on {c['features']}" for _, c in shown)
        return to_svg(figure, "roc", f"ROC curves of {told}.")


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
    >>> from fastmm.report.curves import draw_calibration
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
            look = look_at(i) if several else Look((HUES[0],))
            color = light(look.hues[0])
            x = [b["predicted"] for b in bins]
            if not several:
                axes.vlines(x, [b["low"] for b in bins], [b["high"] for b in bins],
                            color=color, linewidth=1.6, alpha=0.55)  # fmt: skip
            axes.plot(x, [b["observed"] for b in bins], linewidth=1.6, label=one_line(name, 44),
                      **line_of(look), **marker_of(look, 6))  # fmt: skip
            shift = 0.006 * (i - (len(curves) - 1) / 2)
            counts.vlines(np.array(x) + shift, 0, [b["n"] for b in bins], color=color,
                          linewidth=2.5 if several else 6)  # fmt: skip
            told += [f"{name}: {score(b['predicted'])} predicted, {score(b['observed'])} "
                     f"observed of {b['n']}" for b in bins]  # fmt: skip
        ticks = [0, 0.25, 0.5, 0.75, 1]
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=ticks, yticks=ticks)
        axes.tick_params(labelbottom=True)
        name_axes(axes, y="Observed share")
        name_axes(counts, "Predicted probability", "Rows in each bin")
        counts.set_ylim(bottom=0)
        counts.yaxis.get_major_locator().set_params(integer=True, nbins=2)
        if several:
            add_key(figure)
        return to_svg(figure, "calibration", f"Calibration curve. {'; '.join(told)}.")


def draw_learning(curves: Sequence[Mapping[str, Any]], *, looks: Mapping[str, Look]) -> str:
    """Draw AUC against the number of training patients.

    Parameters
    ----------
    curves : sequence of mappings
        Each with "features" and "points", which have "patients", "auc", "auc_low" and
        "auc_high".
    looks : mapping of str to Look
        Look by feature set, of `assign_looks`.

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> from fastmm.report.theme import assign_looks
    >>> from fastmm.report.curves import draw_learning
    >>> points = [{"patients": p, "auc": 0.7, "auc_low": 0.6, "auc_high": 0.8} for p in (9, 20)]
    >>> curve = {"features": "ct", "points": points}
    >>> draw_learning([curve], looks=assign_looks(["ct"])).startswith("<svg")
    True
    """
    with style():
        figure, (axes,) = new_panels(3.3 + 0.21 * len(curves))
        axes.axhline(0.5, color=light("line"), linewidth=1.2)
        told = []
        for curve in curves:
            points, look = curve["points"], looks.get(curve["features"], look_at(0))
            x = [p["patients"] for p in points]
            axes.fill_between(x, [p["auc_low"] for p in points], [p["auc_high"] for p in points],
                              color=light(look.hues[0]), alpha=0.16, linewidth=0)  # fmt: skip
            axes.plot(x, [p["auc"] for p in points], linewidth=1.8, **line_of(look),
                      **marker_of(look, 6), label=one_line(curve["features"], 44))  # fmt: skip
            told += [f"{curve['features']} {score(p['auc'])} of {p['patients']}" for p in points]
        axes.xaxis.get_major_locator().set_params(integer=True)
        name_axes(axes, "Patients in training", "AUC (0.5 is guessing, 1 is perfect)")
        add_key(figure)
        return to_svg(figure, "learning", f"Learning curves, AUC by patients: {'; '.join(told)}.")
