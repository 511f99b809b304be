"""Noise and lost slices in the scans of new patients, for models trained on clean ones.

Noise is added to the slices as the model takes them, in units of the spread of the clean
slice: Gaussian to CT, PET and X-ray, Rician to MR, whose intensities are magnitudes. Of
lost slices those that remain are drawn at random, at least one.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from evaluation import measure, write
from three_cohorts import NAMES, Data, fit, folds_of_patients, read

from fastmm import ImageModality

NOISE = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
LOST = (0.0, 0.25, 0.5, 0.75, 0.9)
MAGNITUDES = ("mr_t1", "mri")
REPEATS = 2


def main() -> None:
    """Measure all cohorts and levels; draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the cohorts")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--figure", type=Path, help="PNG file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # few patients, few categories: it is what is measured
    rows: list[dict[str, Any]] = []
    for name in NAMES:
        rows += of_cohort(name, read(options.data, name))
    write(options.json, {"repeats": REPEATS, "rows": rows})
    if options.figure is not None:
        from robustness_figures import draw_degraded

        draw_degraded(rows, options.figure)


def of_cohort(name: str, data: Data) -> list[dict[str, Any]]:
    """Return the areas at all levels, fused and of the images alone."""
    several = any(len(each) > 1 for key in images(data) for each in data.raw[key])
    levels = [("noise", level) for level in NOISE]
    levels += [("lost slices", level) for level in LOST[1:]] if several else []
    seen = {at: data.blocks(degraded(data, *at)) for at in levels}
    clean = seen["noise", 0.0]
    sets = {"fused": tuple(data.modalities)} | {key: (key,) for key in images(data)}
    scores = {(at, what): np.zeros(len(data.labels)) for at in levels for what in sets}
    for _, train, test in folds_of_patients(data, REPEATS):
        for what, names in sets.items():
            kinds = {key: data.modalities[key] for key in names}
            model = fit(data, {key: clean[key] for key in names}, train, kinds)
            for at in levels:
                own = {key: seen[at][key].take(test) for key in names}
                scores[at, what][test] += model.decision_function(own) / REPEATS
    found = []
    for (how, level), what in scores:
        title = f"{name}, {how} {level:g}, {what}"
        own = measure(title, data.labels, scores[(how, level), what], data.patients)
        found.append({**own, "cohort": name, "how": how, "level": level, "features": what})
    return found


def images(data: Data) -> list[str]:
    """Return the names of the modalities of images."""
    return [key for key, kind in data.modalities.items() if isinstance(kind, ImageModality)]


def degraded(data: Data, how: str, level: float) -> dict[str, Any]:
    """Return the slices of all examinations, made worse."""
    rng = np.random.default_rng(0)
    worse = {}
    for key in images(data):
        if how == "noise":
            worse[key] = [noisy(each, level, key in MAGNITUDES, rng) for each in data.raw[key]]
        else:
            worse[key] = [fewer(each, level, rng) for each in data.raw[key]]
    return worse


def noisy(slices: Any, level: float, magnitudes: bool, rng: Any) -> Any:
    """Add noise whose standard deviation is `level` times that of each slice."""
    slices = np.asarray(slices)
    spread = level * slices.std(axis=(1, 2), keepdims=True)
    real = slices + spread * rng.normal(size=slices.shape)
    if magnitudes:  # the darkest pixel is no signal
        dark = slices.min(axis=(1, 2), keepdims=True)
        real = dark + np.hypot(real - dark, spread * rng.normal(size=slices.shape))
    return real.astype(np.float32)


def fewer(slices: Any, level: float, rng: Any) -> Any:
    """Lose slices, each with the chance `level`, but not all."""
    slices = np.asarray(slices)
    kept = rng.random(len(slices)) >= level
    kept[rng.integers(len(slices))] |= not kept.any()
    return slices[kept]


if __name__ == "__main__":
    main()
