"""Forest plots of a report: an estimate with its interval on each row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastmm.report.marks import line_of, marker_of
from fastmm.report.svg import name_row, one_line, row_axes, style, to_svg
from fastmm.report.text import estimate, score, signed
from fastmm.report.theme import Look, assign_looks, light, look_at

__all__ = ["draw_differences", "draw_errors", "draw_scores", "draw_subgroups"]

_AUC = "AUC (0.5 is guessing, 1 is perfect)"


class _Row(NamedTuple):
    """A row: what it is of, its estimate as text, and where things stand on the axis."""

    name: str
    value: str
    middle: float
    low: float
    high: float
    reference: float
    look: Look
    bold: bool = False


def draw_scores(
    scores: Sequence[Mapping[str, Any]],
    *,
    looks: Mapping[str, Look],
    chosen: int | None = None,
    interval: str = "interval",
) -> str:
    """Draw AUCs with their intervals, one row per model and feature set (a forest plot).

    Parameters
    ----------
    scores : sequence of mappings
        Each with "model", "features", "auc" (a number) and, where known, "auc_low" and
        "auc_high".
    looks : mapping of str to Look
        Look by feature set, of `assign_looks`.
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
    >>> from fastmm.report.theme import assign_looks
    >>> from fastmm.report.forests import draw_scores
    >>> rows = [{"model": "ridge", "features": "ct", "auc": 0.8, "auc_low": 0.7, "auc_high": 0.9}]
    >>> draw_scores(rows, looks=assign_looks(["ct"])).startswith("<svg")
    True
    """
    left = _left_end(low for low, _ in map(_span, scores))
    rows = []
    for i, row in enumerate(scores):
        low, high = _span(row)
        value = score(row["auc"]) + (f" ({score(low)} to {score(high)})" if high > low else "")
        name, look = f"{row['model']} · {row['features']}", looks[row["features"]]
        rows.append(_Row(name, value, row["auc"], low, high, 0.5, look, i == chosen))
    told = "; ".join(f"{r['model']} on {r['features']} {score(r['auc'])}" for r in scores)
    label = f"Forest plot of AUCs with their {interval}: {told}."
    return _draw(rows, (left, 1.0), _AUC, "scores", label)


def draw_differences(rows: Sequence[Mapping[str, Any]], *, looks: Mapping[str, Look]) -> str:
    """Draw the differences in AUC between the fusion and each single modality.

    Parameters
    ----------
    rows : sequence of mappings
        Each with "against", "difference", "difference_low" and "difference_high".
    looks : mapping of str to Look
        Look by feature set, of `assign_looks`.

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> from fastmm.report.theme import assign_looks
    >>> from fastmm.report.forests import draw_differences
    >>> row = {"against": "ct", "difference": 0.1, "difference_low": 0, "difference_high": 0.2}
    >>> draw_differences([row], looks=assign_looks(["ct"])).startswith("<svg")
    True
    """
    reach = max(max(abs(r["difference_low"]), abs(r["difference_high"])) for r in rows)
    reach = max(np.ceil(20 * reach) / 20, 0.05)
    drawn = []
    for row in rows:
        middle, low, high = (row[f"difference{end}"] for end in ("", "_low", "_high"))
        name = (f"{row['model']} · " if "model" in row else "") + f"against {row['against']}"
        value = f"{signed(middle)} ({signed(low)} to {signed(high)})"
        look = looks.get(row["against"], look_at(0))
        drawn.append(_Row(name, value, middle, low, high, 0.0, look))
    told = "; ".join(f"{row.name} {row.value}" for row in drawn)
    xlabel = "Difference in AUC (right of 0: fused is better)"
    label = f"Differences in AUC: {told}."
    return _draw(drawn, (-reach, reach), xlabel, "differences", label)


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
    >>> from fastmm.report.forests import draw_subgroups
    >>> row = {"column": "sex", "level": "f", "auc": 0.8, "auc_low": 0.7, "auc_high": 0.9}
    >>> draw_subgroups([row]).startswith("<svg")
    True
    """
    left = _left_end(row["auc_low"] for row in rows)
    columns = list(dict.fromkeys(row["column"] for row in rows))
    drawn = [
        _Row(
            f"{r['column']}: {r['level']}", estimate(r, "auc"), r["auc"], r["auc_low"],
            r["auc_high"], 0.5, look_at(columns.index(r["column"])),
        )
        for r in rows
    ]  # fmt: skip
    told = "; ".join(f"{row.name} {row.value}" for row in drawn)
    return _draw(drawn, (left, 1.0), _AUC, "subgroups", f"AUC by subgroup: {told}.")


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
    >>> from fastmm.report.forests import draw_errors
    >>> row = {"model": "ridge", "features": "ct", "mae": 2.0, "mae_low": 1.5, "mae_high": 2.4}
    >>> draw_errors([{**row, "mae_guess": 3.0}], "months", "95% interval").startswith("<svg")
    True
    """
    looks = assign_looks(str(row["features"]) for row in scores)
    most = 1.05 * max(max(row["mae_high"], row["mae_guess"]) for row in scores)
    rows = []
    for row in scores:
        middle, low, high = (row[f"mae{end}"] for end in ("", "_low", "_high"))
        name, value = (
            f"{row['model']} · {row['features']}", f"{middle:.3g} ({low:.3g} to {high:.3g})"
        )  # fmt: skip
        look = looks[str(row["features"])]
        rows.append(_Row(name, value, middle, low, high, row["mae_guess"], look))
    told = "; ".join(f"{r['model']} on {r['features']} {r['mae']:.3g}" for r in scores)
    xlabel = f"Mean absolute error of {one_line(label, 30)} (tick: guessing the mean)"
    told = f"Mean absolute errors with their {interval}: {told}."
    return _draw(rows, (0.0, most), xlabel, "errors", told)


def _draw(
    rows: Sequence[_Row], limits: tuple[float, float], xlabel: str, name: str, label: str
) -> str:
    with style():
        figure, axes = row_axes(len(rows), limits, xlabel)
        for i, row in enumerate(rows):
            name_row(axes, i, row.name, row.value, weight="bold" if row.bold else "normal")
            axes.hlines(i, *limits, color=light("line"), linewidth=1)
            axes.vlines(row.reference, i - 0.16, i + 0.16, color=light("soft"), linewidth=1.2)
            axes.plot([row.low, row.high], [i, i], linewidth=2.4, solid_capstyle="butt",
                      dash_capstyle="butt", **line_of(row.look))  # fmt: skip
            axes.plot(row.middle, i, color=light(row.look.hues[0]), clip_on=False, zorder=3,
                      **marker_of(row.look, 7.5))  # fmt: skip
        return to_svg(figure, name, label)


def _left_end(lows: Iterable[float]) -> float:
    return float(np.floor(10 * min([0.5, *lows])) / 10)


def _span(row: Mapping[str, Any]) -> tuple[float, float]:
    low, high = row.get("auc_low"), row.get("auc_high")
    return (row["auc"], row["auc"]) if low is None or high is None else (low, high)
