"""How lines and markers of a set of features are drawn, and the names of axes and keys."""

from __future__ import annotations

from typing import Any

from fastmm.report.theme import Look, light

__all__ = ["add_key", "line_of", "marker_of", "name_axes"]

_TURNS = (0, (4, 4))  # a pair's line is in its two colours by turns


def line_of(look: Look, dashes: Any = "-") -> dict[str, Any]:
    """Return what Matplotlib needs to draw a line; that of a pair fills its gaps."""
    style = {"color": light(look.hues[0]), "linestyle": dashes}
    if len(look.hues) == 1:
        return style
    turns = _TURNS if dashes == "-" else dashes
    return {**style, "linestyle": turns, "gapcolor": light(look.hues[1])}


def marker_of(look: Look, size: float) -> dict[str, Any]:
    """Return what Matplotlib needs to draw a marker; that of a pair has two halves."""
    first, last = light(look.hues[0]), light(look.hues[-1])
    return {
        "marker": look.marker,
        "markersize": size * (0.85 if look.marker == "D" else 1.0),
        "markeredgecolor": "none",
        "markeredgewidth": 0,
        "markerfacecolor": first,
        "markerfacecoloralt": last,
        "fillstyle": "full" if first == last else "left",
    }


def name_axes(axes: Any, x: str | None = None, y: str | None = None) -> None:
    """Name the x axis below it and the y axis above it, where a phone has room."""
    if x is not None:
        axes.set_xlabel(x, color=light("soft"))
    if y is not None:
        axes.set_title(y, loc="left", fontsize=10, color=light("soft"))


def add_key(figure: Any) -> None:
    """Name the lines below the figure."""
    figure.legend(
        loc="outside lower left", frameon=False, labelcolor=light("ink"), fontsize=9.5,
        handlelength=3.2,
    )  # fmt: skip
