"""Draw what each examination's slices add to its prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastmm.explain.contribution_maps import contribution_map, slice_contributions
from fastmm.explain.overlays import draw_bars, draw_overlay
from fastmm.explain.slopes import LINEAR
from fastmm.regions.features import statistic_names

__all__ = ["PictureWriter"]


class PictureWriter:
    """Draws examinations of a model; colours of a modality mean the same in all pictures.

    Parameters
    ----------
    model : MultimodalClassifier or MultimodalRegressor
        Fitted.
    folder : Path
        Made with the first picture.
    """

    def __init__(self, model: Any, folder: Path) -> None:
        self.model, self.folder, self.drawn = model, folder, 0
        self.limits: dict[str, float] = {}

    def draw(self, name: str, images: Sequence[Any], some: Any) -> None:
        """Draw the slice that adds most, of each examination that is there."""
        modality, found = self.model.modalities[name], {}
        sized = modality.features == "statistics"
        for i, scan in enumerate(images):
            if scan is not None:
                target = self._target(some.score[i])
                host = np.asarray(scan.get() if hasattr(scan, "get") else scan)
                found[i] = (host, self._parts(name, host, some, i, target), target)
        values = [abs(parts).max() for _, parts, _ in found.values()]
        self.limits.setdefault(name, float(np.percentile(values or [1.0], 90)))
        self.folder.mkdir(parents=True, exist_ok=True)
        for i, (scan, parts, target) in found.items():
            row = int(some.rows[i])
            file = self.folder / f"{row} {_plain(name)}.png"
            size = parts.reshape(len(parts), -1)
            at = int(abs(size).sum(axis=1).argmax()) if len(parts) > 1 else len(scan) // 2
            own = parts[at if len(parts) > 1 else 0]
            whole = float(some.parts[name][i, target].sum())
            told = self._caption(name, row, (at, len(scan)), whole, some.score[i, target], target)
            if sized:
                names = statistic_names(modality, own.size)
                limit = self.limits[name]
                draw_bars(scan[at], names, own.tolist(), limit, file, caption=told)
            else:
                draw_overlay(scan[at], own, self.limits[name], file, caption=told)
            self.drawn += 1

    def _parts(self, name: str, scan: Any, some: Any, i: int, target: int) -> Any:
        """Return maps (slices, h, w), or of statistics one row for all slices."""
        modality = self.model.modalities[name]
        if modality.features == "statistics":
            return some.parts[name][i, target][None]
        rows = [i] if some.owner is None else np.flatnonzero(some.owner == i)
        slopes = some.slopes.slopes[name][rows, target] * getattr(self.model, "scale_", 1.0)
        slopes = slopes if modality.pool == "rows" else slopes.mean(axis=0, keepdims=True)
        parts = slice_contributions(modality, slopes, some.slopes.scalers[name], scan)
        return contribution_map(modality, parts)

    def _target(self, score: Any) -> int:
        """Return the score that is drawn: of several classes that of the predicted one."""
        return int(score.argmax()) if len(score) > 1 else 0

    def _caption(
        self, name: str, row: int, at: tuple[int, int], whole: float, score: float, target: int
    ) -> list[str]:
        modality, classes = self.model.modalities[name], getattr(self.model, "classes_", None)
        place = f"slice {at[0] + 1} of {at[1]}" if at[1] > 1 else "one slice"
        what = "prediction" if classes is None else "score"
        if classes is None:
            sides = "Red raises the prediction, blue lowers it."
        else:
            told = classes[1] if len(classes) == 2 else classes[target]
            sides = f"Red speaks for class {told}, blue against it."
        parts = "statistics" if modality.features == "statistics" else "pixels"
        how = "" if self.model.solver in LINEAR else " (integrated gradients, an approximation)"
        return [
            f"Row {row}, {name}, {place}. The {parts} of {name} add {whole:+.3g} in all to the "
            f"{what} of {score:.3g}{how}. {sides}",
            f"Image: {modality.describe()}; grey from its 1st to its 99th percentile.",
            "For research only; not a medical device.",
        ]


def _plain(name: str) -> str:
    """Return a name without what a path must not hold."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
