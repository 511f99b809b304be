"""Figures of a report: Matplotlib drawings as inline SVG, pictures as PNG data.

Each function draws one figure and returns text for the page. Colours are CSS variables,
so that one drawing serves light, dark and print; lettering stays text, so that it can be
read aloud, searched and copied.
"""

from __future__ import annotations

import base64
import html
import io
import re
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = [
    "THEME",
    "assign_colors",
    "draw_contributions",
    "draw_distributions",
    "draw_roc",
    "draw_scores",
    "encode_picture",
    "format_score",
]

# Name: (light, dark). The light value stands in the drawing until `_inline` makes it a
# variable, so no two may be equal.
THEME = {
    "paper": ("#fcfbf8", "#15171b"),
    "panel": ("#f3f1eb", "#1d2025"),
    "ink": ("#1b1e24", "#eceae4"),
    "soft": ("#565b66", "#a9adb8"),
    "line": ("#d9d5ca", "#363a43"),
    "warn": ("#a3460a", "#ffb27a"),
    "series-1": ("#1f5fb8", "#6ea8f5"),
    "series-2": ("#d9622b", "#f0854f"),
    "series-3": ("#12876a", "#35bd97"),
    "series-4": ("#8a4fbe", "#bd8cf0"),
    "series-5": ("#b98300", "#e0b03a"),
    "series-6": ("#c23a6b", "#f07fa6"),
    "series-7": ("#4d7d1f", "#95c75c"),
    "series-8": ("#5f6f86", "#94a5be"),
}
_HUES = [f"series-{i}" for i in range(1, 9)]
_WIDTH = 4.7  # inches; letters of 10 points stay legible when a phone shrinks the drawing
_MAX_CURVES = 8
_MAX_PICTURE = 256
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


def assign_colors(names: Iterable[str]) -> dict[str, str]:
    """Give each set of features its colour, "fused" always the first.

    Parameters
    ----------
    names : iterable of str
        Names of modalities or feature sets; repeats are allowed.

    Returns
    -------
    dict of str to str
        Name of a colour in `THEME` by name; beyond eight names the colours recur.

    Examples
    --------
    >>> from fastmm.figures import assign_colors
    >>> assign_colors(["ct", "fused", "ct"])
    {'ct': 'series-2', 'fused': 'series-1'}
    """
    order = dict.fromkeys(names)
    single = [name for name in order if name != "fused"]
    hues = {name: _HUES[1 + i % (len(_HUES) - 1)] for i, name in enumerate(single)}
    return {name: hues.get(name, _HUES[0]) for name in order}


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
        Colour by feature set, of :func:`assign_colors`.
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
    >>> from fastmm.figures import assign_colors, draw_scores
    >>> rows = [{"model": "ridge", "features": "ct", "auc": 0.8, "auc_low": 0.7, "auc_high": 0.9}]
    >>> draw_scores(rows, colors=assign_colors(["ct"])).startswith("<svg")
    True
    """
    ends = [_span(row) for row in scores]
    left = np.floor(10 * min([0.5, *(low for low, _ in ends)])) / 10
    with _style():
        figure, axes = _rows(len(scores), (left, 1.0), "AUC (0.5 is guessing, 1 is perfect)")
        for i, (row, (low, high)) in enumerate(zip(scores, ends, strict=True)):
            weight = "bold" if i == chosen else "normal"
            name, numbers = f"{row['model']} · {row['features']}", format_score(row["auc"])
            if high > low:
                numbers += f" ({format_score(low)} to {format_score(high)})"
            _name_row(axes, i, name, numbers, weight=weight)
            axes.hlines(i, left, 1.0, color=_hex("line"), linewidth=1)
            axes.vlines(0.5, i - 0.16, i + 0.16, color=_hex("soft"), linewidth=1)
            color = _hex(colors[row["features"]])
            axes.hlines(i, low, high, color=color, linewidth=2.4)
            marker = "D" if row["features"] == "fused" else "o"
            axes.plot(row["auc"], i, marker, color=color, markersize=6.5, clip_on=False)
        told = "; ".join(
            f"{r['model']} on {r['features']} {format_score(r['auc'])}" for r in scores
        )
        return _inline(figure, "scores", f"Forest plot of AUCs with their {interval}: {told}.")


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
        Colour by feature set, of :func:`assign_colors`; the model is told by the dashes.
    chosen : int, optional
        Index of the curve to draw thick.

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> from fastmm.figures import assign_colors, draw_roc
    >>> curve = {"model": "ridge", "features": "ct", "fpr": [0, 0, 1], "tpr": [0, 1, 1]}
    >>> draw_roc([curve], colors=assign_colors(["ct"])).count("<svg")
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
    with _style():
        figure, axes = _axes(4.95 + 0.21 * len(shown))
        axes.plot([0, 1], [0, 1], color=_hex("line"), linewidth=1.2)
        axes.text(0.80, 0.76, "guessing", color=_hex("soft"), fontsize=9, ha="left", va="top")
        for i, curve in shown:
            label = f"{curve['model']} · {curve['features']}"
            auc = "" if curve.get("auc") is None else f": {format_score(curve['auc'])}"
            axes.plot(
                curve["fpr"],
                curve["tpr"],
                color=_hex(colors[curve["features"]]),
                linestyle=dashes[curve["model"]],
                linewidth=2.6 if i == chosen else 1.5,
                zorder=3 if i == chosen else 2,
                label=_clean(label, 44) + auc,
            )
        ticks = [0, 0.25, 0.5, 0.75, 1]
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xticks=ticks, yticks=ticks)
        axes.set_box_aspect(1)
        axes.set_xlabel("False positive rate (1 - specificity)", color=_hex("soft"))
        axes.set_title(
            "True positive rate (sensitivity)", loc="left", fontsize=10, color=_hex("soft")
        )
        figure.legend(loc="outside lower left", frameon=False, labelcolor=_hex("ink"), fontsize=9.5)
        told = ", ".join(f"{c['model']} on {c['features']}" for _, c in shown)
        return _inline(figure, "roc", f"ROC curves of {told}.")


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
    >>> from fastmm.figures import draw_distributions
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
    with _style():
        figure = _figure(0.7 + 1.3 * len(groups))
        panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
        for i, (axes, (name, count)) in enumerate(zip(panels, counts.items(), strict=True)):
            _tint(axes)
            last = i == len(counts) - 1
            axes.stairs(count, edges, fill=True, color=_hex(_HUES[0] if last else _HUES[-1]))
            axes.set_ylim(0, 1.22 * top)
            axes.yaxis.get_major_locator().set_params(integer=True, nbins=3)
            axes.set_title(_clean(name, 46), loc="left", fontsize=10, color=_hex("ink"))
            if groups[name].size:
                median = float(np.median(groups[name]))
                axes.axvline(median, color=_hex("ink"), linewidth=1.2)
                right = median > (edges[0] + edges[-1]) / 2
                axes.annotate(
                    f"median {median:.3g}",
                    (median, 1.2 * top),
                    xytext=(-4 if right else 4, 0),
                    textcoords="offset points",
                    ha="right" if right else "left",
                    va="top",
                    color=_hex("ink"),
                    fontsize=9,
                )
            axes.set_ylabel("rows", color=_hex("soft"), rotation_mode="anchor")
        panels[-1].set_xlabel(xlabel, color=_hex("soft"))
        told = ", ".join(
            f"{name}: median {np.median(g):.3g}" for name, g in groups.items() if g.size
        )
        return _inline(figure, "distributions", f"Histograms of {xlabel}. {told}.")


def draw_contributions(shares: Sequence[Mapping[str, Any]], *, colors: Mapping[str, str]) -> str:
    """Draw each modality's share of the fused score's variance as a bar.

    Parameters
    ----------
    shares : sequence of mappings
        Each with "name" and "share" (1 is the whole variance; a share may be negative).
    colors : mapping
        Colour by name, of :func:`assign_colors`.

    Returns
    -------
    str
        One ``<svg>`` element.

    Examples
    --------
    >>> from fastmm.figures import assign_colors, draw_contributions
    >>> svg = draw_contributions([{"name": "ct", "share": 1.0}], colors=assign_colors(["ct"]))
    >>> svg.startswith("<svg")
    True
    """
    percents = [100.0 * row["share"] for row in shares]
    limits = (min(0.0, *percents, 0.0), max(100.0, *percents, 0.0))
    with _style():
        figure, axes = _rows(len(shares), limits, "Share of the score's variance (%)")
        for i, (row, percent) in enumerate(zip(shares, percents, strict=True)):
            _name_row(axes, i, row["name"], f"{percent:.1f}%")
            axes.hlines(i, *limits, color=_hex("line"), linewidth=1)
            axes.barh(i, percent, height=0.26, color=_hex(colors[row["name"]]), zorder=2)
        told = ", ".join(f"{r['name']} {p:.1f}%" for r, p in zip(shares, percents, strict=True))
        return _inline(figure, "contributions", f"Share of the score's variance: {told}.")


def encode_picture(image: np.ndarray[Any, Any]) -> str:
    """Encode one grey image as a ``data:`` address of a PNG.

    Parameters
    ----------
    image : array of shape (h, w), real
        Grey values from 0 (black) to 1 (white); others are clipped, NaN becomes black.
        Above 256 pixels a side the picture is averaged down by a whole factor.

    Returns
    -------
    str
        ``data:image/png;base64,...``

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm.figures import encode_picture
    >>> encode_picture(np.eye(4))[:22]
    'data:image/png;base64,'
    """
    from PIL import Image

    grey = np.clip(np.nan_to_num(np.asarray(image, np.float64), nan=0.0), 0.0, 1.0)
    picture = Image.fromarray(np.rint(255.0 * grey).astype(np.uint8))
    factor = -(-max(picture.size) // _MAX_PICTURE)
    buffer = io.BytesIO()
    (picture.reduce(factor) if factor > 1 else picture).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def format_score(value: float) -> str:
    """Round a score to three digits, but never up to perfect or down to nothing.

    Parameters
    ----------
    value : float
        A score of which 1 is perfect, such as an AUC.

    Returns
    -------
    str
        The number, or the bound it lies beyond.

    Examples
    --------
    >>> from fastmm.figures import format_score
    >>> format_score(0.8525), format_score(0.9996), format_score(1.0)
    ('0.853', '> 0.999', '1.000')
    """
    if value < 1 and f"{value:.3f}" == "1.000":
        return "> 0.999"
    return "< 0.001" if value > 0 and f"{value:.3f}" == "0.000" else f"{value:.3f}"


@contextmanager
def _style() -> Iterator[None]:
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


def _figure(height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDTH, height), layout="constrained", facecolor="none")


def _axes(height: float) -> tuple[Any, Any]:
    figure = _figure(height)
    axes = figure.subplots()
    _tint(axes)
    return figure, axes


def _rows(count: int, limits: tuple[float, float], xlabel: str) -> tuple[Any, Any]:
    """Axes for rows that carry their name above their line, where a phone has room."""
    figure, axes = _axes(0.62 + 0.46 * max(count, 1))
    axes.set(xlim=limits, ylim=(count - 0.6, -0.75), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(xlabel, color=_hex("soft"))
    return figure, axes


def _name_row(axes: Any, row: int, name: str, value: str, *, weight: str = "normal") -> None:
    place = {"transform": axes.get_yaxis_transform(), "va": "bottom", "weight": weight}
    width = 54 - len(value)
    axes.text(0, row - 0.24, _clean(name, width), ha="left", color=_hex("ink"), **place)
    axes.text(1, row - 0.24, value, ha="right", color=_hex("ink"), **place)


def _tint(axes: Any) -> None:
    axes.set_facecolor("none")
    axes.tick_params(color=_hex("line"), labelcolor=_hex("soft"), labelsize=9.5)
    for spine in axes.spines.values():
        spine.set_color(_hex("line"))


def _hex(name: str) -> str:
    return THEME[name][0]


def _span(row: Mapping[str, Any]) -> tuple[float, float]:
    low, high = row.get("auc_low"), row.get("auc_high")
    return (row["auc"], row["auc"]) if low is None or high is None else (low, high)


def _clean(text: str, width: int) -> str:
    """Fit a name from outside into one printable line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= width else line[: max(width - 1, 1)] + "…"


def _inline(figure: Any, name: str, label: str) -> str:
    """Return the figure as an ``<svg>`` element fit to stand in a page among others."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", facecolor="none", metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    # Matplotlib's ids are alike in every figure, and random where they are not.
    ids = {old: f"{name}-{i}" for i, old in enumerate(re.findall(r'<[^>]* id="([^"]*)"', svg))}
    variables = {light: f"var(--{key}, {light})" for key, (light, _) in THEME.items()}

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
