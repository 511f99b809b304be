"""Curves of areas against what is missing or added, one panel a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["draw_degraded", "draw_missing"]

_WORDS = {
    "rule": "missing-modality rule",
    "means": "imputed by means",
    "dropping": "incomplete patients dropped",
}


def draw_missing(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the areas of the three ways against the share that is missing."""
    cohorts = list(dict.fromkeys(row["cohort"] for row in rows))
    figure, panels = _panels([(name, "share of modalities taken away") for name in cohorts])
    for panel, name in zip(panels, cohorts, strict=True):
        for way, words in _WORDS.items():
            own = [row for row in rows if row["cohort"] == name and row["way"] == way]
            _curve(panel, [row["missing"] for row in own], own, words)
    _save(figure, panels, path)


def draw_degraded(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the areas against the level of noise, and against the share of lost slices."""
    units = {"noise": "noise, in spreads of the slice", "lost slices": "share of slices lost"}
    kinds = list(dict.fromkeys((row["cohort"], row["how"]) for row in rows))
    figure, panels = _panels([(name, units[how]) for name, how in kinds])
    for panel, (name, how) in zip(panels, kinds, strict=True):
        own = [r for r in rows if r["cohort"] == name and (r["how"] == how or r["level"] == 0)]
        for features in dict.fromkeys(row["features"] for row in own):
            part = [row for row in own if row["features"] == features]
            _curve(panel, [row["level"] for row in part], part, features)
    _save(figure, panels, path)


def _panels(titles: list[tuple[str, str]]) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(titles), 3.6), layout="constrained")
    panels = figure.subplots(1, len(titles), sharey=True, squeeze=False)[0]
    for panel, (title, words) in zip(panels, titles, strict=True):
        panel.set(title=title, xlabel=words)
        panel.axhline(0.5, color="0.7", linewidth=1)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("area under the ROC curve (95 % over patients)")
    return figure, panels


def _curve(panel: Any, levels: list[float], rows: list[dict[str, Any]], label: str) -> None:
    line = panel.plot(levels, [row["auc"] for row in rows], marker="o", label=label)[0]
    low, high = ([row[end] for row in rows] for end in ("low", "high"))
    panel.fill_between(levels, low, high, color=line.get_color(), alpha=0.12, linewidth=0)


def _save(figure: Any, panels: Any, path: Path) -> None:
    for panel in panels:
        panel.legend(fontsize=8, loc="lower left")
    figure.savefig(path, dpi=100)
