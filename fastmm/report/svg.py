"""Matplotlib drawings as inline SVG: their style, their axes, and the text that comes out.

Colours become CSS variables, so that one drawing serves light, dark and print; lettering
stays text, so that it can be read aloud, searched and copied.
"""

from __future__ import annotations

import html
import io
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastmm.report.theme import THEME, light

__all__ = ["name_row", "new_panels", "one_line", "row_axes", "style", "to_svg"]

_WIDTH = 4.7  # inches; letters of 10 points stay legible when a phone shrinks the drawing
_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a "$" in a column's name is a dollar
    "text.usetex": False,
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
# rcParams belong to the process: two threads that change and restore them in turn would
# leave one's style behind for good.
_DRAWING = threading.RLock()


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of a report, whatever the process has set, and restore that."""
    try:
        import matplotlib
    except ImportError:
        raise ImportError(
            'Figures need matplotlib, which is not installed: pip install "fastmm[app]"'
        ) from None
    with _DRAWING, matplotlib.rc_context(), warnings.catch_warnings():
        # The browser, not Matplotlib's font, will draw the letters.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_panels(
    height: float, count: int = 1, ratios: Sequence[float] | None = None
) -> tuple[Any, Any]:
    """Return a figure and its axes, one below the other on a common x axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained", facecolor="none")
    panels = figure.subplots(count, 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    for axes in panels:
        axes.set_facecolor("none")
        axes.tick_params(color=light("line"), labelcolor=light("soft"), labelsize=9.5)
        for spine in axes.spines.values():
            spine.set_color(light("line"))
    return figure, panels


def row_axes(count: int, limits: tuple[float, float], xlabel: str) -> tuple[Any, Any]:
    """Return axes for rows that carry their name above their line, where a phone has room."""
    figure, (axes,) = new_panels(0.62 + 0.46 * max(count, 1))
    axes.set(xlim=limits, ylim=(count - 0.6, -0.75), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(xlabel, color=light("soft"))
    return figure, axes


def name_row(axes: Any, row: int, name: str, value: str, *, weight: str = "normal") -> None:
    """Write the name of a row at its left end and its value at its right."""
    place = {"transform": axes.get_yaxis_transform(), "va": "bottom", "weight": weight}
    width = 54 - len(value)
    axes.text(0, row - 0.24, one_line(name, width), ha="left", color=light("ink"), **place)
    axes.text(1, row - 0.24, value, ha="right", color=light("ink"), **place)


def one_line(text: str, width: int) -> str:
    """Fit a name from outside into one printable line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= width else line[: max(width - 1, 1)] + "…"


def to_svg(figure: Any, name: str, label: str) -> str:
    """Return the figure as an ``<svg>`` element fit to stand in a page among others."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", facecolor="none", metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    # Matplotlib's ids are alike in every figure, and random where they are not.
    ids = {old: f"{name}-{i}" for i, old in enumerate(re.findall(r'<[^>]* id="([^"]*)"', svg))}
    variables = {light(key): f"var(--{key}, {light(key)})" for key in THEME}

    def mend(match: re.Match[str]) -> str:
        tag = match[0].replace("xlink:href=", "href=")
        tag = re.sub(r' id="([^"]*)"', lambda m: f' id="{ids[m[1]]}"', tag)
        tag = re.sub(r'(href="#|url\(#)([^")]*)', lambda m: m[1] + ids[m[2]], tag)
        tag = re.sub(r"#[0-9a-f]{6}\b", lambda m: variables.get(m[0], m[0]), tag)
        return re.sub(r"font-family: [^;\"]*", "font-family: inherit", tag)

    view = re.search(r'viewBox="[^"]*"', svg)
    told = html.escape(" ".join(label.split()), quote=True)
    root = f'<svg {view[0] if view else ""} role="img" aria-label="{told}" stroke-linejoin="round">'
    # Between the tags stand names from outside, to be left as they are.
    body = re.sub(r"<[^>]*>", mend, svg[svg.index(">") + 1 :])
    return root + body
