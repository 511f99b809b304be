"""Colours of the page, light and dark, and how figures tell sets of features apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["HUES", "THEME", "Look", "assign_looks", "light", "look_at"]

# Name: (light, dark). The light value stands in the drawing until `to_svg` makes it a
# variable, so no two may be equal. The series were searched for: under normal sight and the
# simulated dichromacies any two differ by at least 11 (CIEDE2000), at a contrast of at least 3.
THEME = {
    "paper": ("#fcfbf8", "#15171b"),
    "panel": ("#f3f1eb", "#1d2025"),
    "ink": ("#1b1e24", "#eceae4"),
    "soft": ("#565b66", "#a9adb8"),
    "line": ("#d9d5ca", "#363a43"),
    "warn": ("#a3460a", "#ffb27a"),
    "series-1": ("#1a6ae8", "#6da4fc"),
    "series-2": ("#ec5e5e", "#fea390"),
    "series-3": ("#004814", "#007451"),
    "series-4": ("#5e00c1", "#744ed2"),
    "series-5": ("#887000", "#9e8012"),
    "series-6": ("#ba559e", "#d2b9d1"),
    "series-7": ("#b20d4d", "#e7417f"),
    "series-8": ("#a08c8e", "#c4ee16"),
}
HUES = [name for name in THEME if name.startswith("series-")]
_MARKERS = "s^vPXph"


class Look(NamedTuple):
    """How a set of features is drawn.

    Attributes
    ----------
    hues : tuple of one or two str
        Names in `THEME`: a pair of modalities has the colours of both.
    marker : str
        Of Matplotlib, for those who do not see the colours.
    """

    hues: tuple[str, ...]
    marker: str = "o"


def assign_looks(names: Iterable[str]) -> dict[str, Look]:
    """Give each set of features its look, "fused" always the first colour.

    Parameters
    ----------
    names : iterable of str
        Names of modalities, pairs of them ("ct + mr") or other sets; repeats are allowed.

    Returns
    -------
    dict of str to Look
        Look by name. No two are alike among "fused", 49 modalities and the pairs of the
        first seven.

    Examples
    --------
    >>> from fastmm.report.theme import assign_looks
    >>> looks = assign_looks(["ct", "mr", "fused", "ct + mr"])
    >>> looks["fused"], looks["ct + mr"].hues
    (Look(hues=('series-1',), marker='D'), ('series-2', 'series-3'))
    """
    order = dict.fromkeys(names)
    parts = {name: tuple(name.split(" + ")) for name in order}
    pairs = {name for name, two in parts.items() if len(two) == 2 and all(p in order for p in two)}
    alone = [name for name in order if name != "fused" and name not in pairs]
    looks = {name: look_at(i) for i, name in enumerate(alone)}
    looks["fused"] = Look((HUES[0],), "D")
    for name in pairs:
        looks[name] = Look(tuple(looks[part].hues[0] for part in parts[name]))
    return {name: looks[name] for name in order}


def look_at(place: int) -> Look:
    """Return the look of the set at a place among its like; colours recur with other markers."""
    again, hue = divmod(place, len(HUES) - 1)
    return Look((HUES[1 + hue],), _MARKERS[(hue + again) % len(_MARKERS)])


def light(name: str) -> str:
    """Return the colour a drawing has until its page is in the dark."""
    return THEME[name][0]
