"""Lower-grade glioma: maps of the tumour from all patches of three MR contrasts.

Ridge regression on every 13 x 13 patch of the slices, the tumour mask at its centre the
target; each patient's maps are predicted by a model without them, in closed form. The
penalty is chosen among three by the same left-out errors.
"""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import numpy as np
from evaluation import arguments, write
from sklearn.metrics import roc_auc_score

from fastmm import DensePatchRidge, load_images

SIDE, PATCH, ALPHAS = 64, 13, (1e5, 1e7, 1e9)
CONTRASTS = ("before contrast agent", "FLAIR", "after contrast agent")


def main() -> None:
    """Fit, measure over patients, and draw six slices."""
    options = arguments(__doc__)
    with (options.data / "cohort.csv").open() as file:
        rows = list(csv.DictReader(file))
    slices, masks, patients = [], [], []
    for row in rows:
        files = sorted((options.data / row["mri"]).iterdir())
        slices += files
        masks += [options.data / row["tumour_mask"] / file.name for file in files]
        patients += [row["patient"]] * len(files)
    images = {name: read(slices, channel=i) for i, name in enumerate(CONTRASTS)}
    truth = read(masks, channel=None) > 0.5  # pictures of one bit
    border = PATCH // 2
    inside = truth[:, border:-border, border:-border]
    start = time.perf_counter()
    model = DensePatchRidge((PATCH, PATCH), alphas=ALPHAS)
    model.fit(images, inside.astype(np.float32), groups=np.array(patients))
    seconds = time.perf_counter() - start
    maps = np.asarray(model.cv_predictions_)
    areas = by_patient(inside, maps, np.array(patients))
    means = np.random.default_rng(0).choice(areas, (2000, len(areas))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    print(f"{len(slices)} slices of {len(rows)} patients, {seconds:.1f} s, alpha {model.alpha_:g}")
    print(
        f"area under the ROC curve of the pixels of one patient, mean over {len(areas)} left out: "
        f"{areas.mean():.3f} [{low:.3f}, {high:.3f}], least {areas.min():.3f}"
    )
    result = {"mean": areas.mean(), "low": low, "high": high, "least": areas.min(), "s": seconds}
    write(options.json, {name: float(value) for name, value in result.items()})
    draw(images["FLAIR"], maps, truth, Path("tumour-maps.png"))


def read(paths: list[Path], *, channel: int | None) -> Any:
    """Return pictures as one float32 batch, averaged down to SIDE x SIDE."""
    return load_images(paths, (SIDE, SIDE), interpolation="area", channel=channel, device="cpu")


def by_patient(truth: Any, maps: Any, patients: Any) -> Any:
    """Return the area under the ROC curve of the pixels of each patient that has a tumour."""
    found = []
    for patient in np.unique(patients):
        own = patients == patient
        if truth[own].any():
            found.append(roc_auc_score(truth[own].ravel(), maps[own].ravel()))
    return np.array(found)


def draw(images: Any, maps: Any, truth: Any, path: Path) -> None:
    """Draw six slices, their held-out maps over them, and the outlines of the tumours."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    shown = np.flatnonzero(truth.sum((1, 2)) > 30)[::25][:6]
    border = PATCH // 2
    box = (border - 0.5, SIDE - border - 0.5, SIDE - border - 0.5, border - 0.5)
    figure, panels = pyplot.subplots(2, len(shown), figsize=(13, 4.6), layout="constrained")
    for column, i in enumerate(shown):
        for axes in panels[:, column]:
            axes.imshow(images[i], cmap="gray")
            axes.contour(truth[i], levels=[0.5], colors="#4dd0e1", linewidths=1)
            axes.set(xticks=[], yticks=[])
        panels[1, column].imshow(maps[i], extent=box, alpha=0.55, cmap="magma")
        panels[1, column].set(xlim=(-0.5, SIDE - 0.5), ylim=(SIDE - 0.5, -0.5))
    panels[0, 0].set_ylabel("FLAIR, tumour outlined")
    panels[1, 0].set_ylabel("map, patient left out")
    figure.savefig(path, dpi=100)
    print(f"drawn: {path}")


if __name__ == "__main__":
    main()
