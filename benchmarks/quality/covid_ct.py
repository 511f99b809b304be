"""COVID-CT: slices of the lung, Fisher vectors of gradients, a kernel machine.

Four estimates, from the cheapest to the strictest; labels of a patient are never seen
before the patient is predicted, in any of them:

1. each patient left out, in closed form, and ten folds of patients, the mean of five draws
   of folds; features learnt without labels from all images, C fixed;
2. ten folds; features and C chosen by the areas of the other nine, each patient left out;
3. five folds; the features too learnt from the other four alone, C fixed;
4. the official training part learnt from, its validation part predicted, likewise.
"""

from __future__ import annotations

import csv
import time
from typing import Any

import numpy as np
from evaluation import arguments, folds_of, held_out, measure, write
from sklearn.metrics import roc_auc_score
from views import View, mean_kernel

from fastmm import LSSVC, FisherVectors, PatchDictionary, load_images

SIDE = 160  # pixels; images are stretched to a square
C = 30.0
CS = (1.0, 3.0, 10.0, 30.0, 100.0)


def fisher() -> View:
    """Return the view that is measured."""
    return View(FisherVectors((3, 4, 6, 9), step=5, n_gaussians=128, mirror=True))


def dictionary() -> View:
    """Return the view it is compared with."""
    return View(PatchDictionary((8, 8), n_atoms=512, pool=6), standardise=True)


def main() -> None:
    """Measure in all four ways."""
    options = arguments(__doc__)
    with (options.data / "cohort.csv").open() as file:
        rows = list(csv.DictReader(file))
    paths = [options.data / row["ct"] for row in rows]
    images = load_images(paths, (SIDE, SIDE), interpolation="area", device="cpu")
    labels = np.array([int(row["covid"]) for row in rows])
    _, patients = np.unique([row["patient"] for row in rows], return_inverse=True)
    official = np.array([row["split"] == "val" for row in rows])
    print(f"{len(rows)} images of {patients.max() + 1} patients", flush=True)
    start = time.perf_counter()
    kernels = {"Fisher vectors": fisher().fit(images)}
    elapsed = time.perf_counter() - start
    print(f"Fisher vectors, of mirror images too, and their kernel: {elapsed:.0f} s", flush=True)
    kernels["dictionary"] = dictionary().fit(images)
    kernels["mean of both"] = mean_kernel(list(kernels.values()))
    found = []
    for name, kernel in kernels.items():
        found += seen(name, kernel, labels, patients)
    scores = chosen(kernels, labels, patients)
    found.append(measure("2. features and C chosen in training", labels, scores, patients))
    scores = unseen(images, labels, folds_of(labels, patients, 5, seed=0))
    found.append(measure("3. five folds, features learnt in training", labels, scores, patients))
    scores = unseen(images, labels, np.where(official, 0, -1))[official]
    name = "4. official validation part"
    found.append(measure(name, labels[official], scores, patients[official]))
    print(f"all in {time.perf_counter() - start:.0f} s")
    write(options.json, {"found": found, "features_s": elapsed})


def seen(name: str, kernel: Any, labels: Any, patients: Any) -> list[dict[str, Any]]:
    """Measure with features learnt from all images, without labels."""
    scores = held_out(kernel, labels, patients, C)
    one = measure(f"1. each patient left out: {name}", labels, scores, patients)
    repeats = [folds_of(labels, patients, 10, seed) for seed in range(5)]
    scores = np.mean([held_out(kernel, labels, folds, C) for folds in repeats], axis=0)
    return [one, measure(f"1. ten folds, mean of five: {name}", labels, scores, patients)]


def chosen(kernels: dict[str, Any], labels: Any, patients: Any) -> Any:
    """Return scores of machines whose kernel and C the other folds chose."""
    folds, scores = folds_of(labels, patients, 10, seed=0), np.empty(len(labels))
    for fold in range(10):
        out = folds == fold
        _, groups = np.unique(patients[~out], return_inverse=True)
        areas = {
            (name, c): roc_auc_score(
                labels[~out], held_out(kernel[np.ix_(~out, ~out)], labels[~out], groups, c)
            )
            for name, kernel in kernels.items()
            for c in CS
        }
        name, c = max(areas, key=lambda one: areas[one])
        print(f"fold {fold}: {name}, C = {c:g}", flush=True)
        inner, across = kernels[name][np.ix_(~out, ~out)], kernels[name][np.ix_(out, ~out)]
        scores[out] = predicted(inner, labels[~out], across, c)
    return scores


def unseen(images: Any, labels: Any, folds: Any) -> Any:
    """Return scores of folds 0, 1, ... that even the features were not learnt from."""
    scores = np.zeros(len(labels))
    for fold in range(folds.max() + 1):
        out = folds == fold
        view = fisher()
        inner = view.fit(images[~out])
        scores[out] = predicted(inner, labels[~out], view.between(images[out]), C)
        print(f"fold {fold} predicted", flush=True)
    return scores


def predicted(inner: Any, labels: Any, across: Any, C: float) -> Any:
    """Return scores of new rows, less the mean label, since folds are ranked together."""
    model = LSSVC(C, kernel="precomputed").fit(inner, labels)
    return model.decision_function(across) - np.mean(2.0 * labels - 1)


if __name__ == "__main__":
    main()
