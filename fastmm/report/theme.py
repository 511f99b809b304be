"""Colours of the page and its figures, light and dark."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["HUES", "THEME", "assign_colors", "light"]

# Name: (light, dark). The light value stands in the drawing until `to_svg` makes it a
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
HUES = [name for name in THEME if name.startswith("series-")]


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
    >>> from fastmm.report.theme import assign_colors
    >>> assign_colors(["ct", "fused", "ct"])
    {'ct': 'series-2', 'fused': 'series-1'}
    """
    order = dict.fromkeys(names)
    single = [name for name in order if name != "fused"]
    hues = {name: HUES[1 + i % (len(HUES) - 1)] for i, name in enumerate(single)}
    return {name: hues.get(name, HUES[0]) for name in order}


def light(name: str) -> str:
    """Return the colour a drawing has until its page is in the dark."""
    return THEME[name][0]
