"""PneumoniaMNIST: chest X-rays of 28 x 28, a dictionary and a kernel machine.

Everything is chosen by cross-validation within the training images; the validation images
are read once by each of the two final models. The data do not tell which images share a
patient, so intervals are over images.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from evaluation import arguments, folds_of, held_out, measure, write
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import SVC
from views import View

from fastmm import LSSVC, PatchDictionary
from fastmm.validate.comparison import compare_auc

CANDIDATES = {"5 x 5 patches, 4 x 4 cells": (5, 4), "7 x 7 patches, 4 x 4 cells": (7, 4)}
CS = (3.0, 30.0)


def view(patch: int, cells: int) -> View:
    """Return the view of a candidate; hearts lie on one side, so no mirror."""
    dictionary = PatchDictionary((patch, patch), n_atoms=512, pool=cells)
    return View(dictionary, mirror=False, standardise=True)


def main() -> None:
    """Choose, then measure on the validation images."""
    options = arguments(__doc__)
    cohort = np.load(options.data / "pneumoniamnist.npz")
    images, labels = cohort["train_images"].astype(np.float32), cohort["train_labels"].ravel()
    others, truth = cohort["val_images"].astype(np.float32), cohort["val_labels"].ravel()
    folds = folds_of(labels, np.arange(len(labels)), 5, seed=0)
    start, tried, best = time.perf_counter(), [], (-1.0,)
    for name, sizes in CANDIDATES.items():
        chosen = view(*sizes)
        kernel = chosen.fit(images)
        for C in CS:
            area = float(roc_auc_score(labels, held_out(kernel, labels, folds, C)))
            tried.append({"name": f"{name}, C = {C:g}", "auc": area})
            print(f"training images, 5-fold: {tried[-1]['name']:40s} {area:.4f}", flush=True)
            best = max(best, (area, name, C), key=lambda one: one[0])
    chosen = view(*CANDIDATES[best[1]])
    model = LSSVC(best[2], kernel="precomputed").fit(chosen.fit(images), labels)
    scores = model.decision_function(chosen.between(others))
    elapsed = time.perf_counter() - start
    machine = support_vectors(images, labels)
    of_machine = machine.decision_function(pixels(others))
    found = [measure(f"validation: dictionary, {best[1]}, C = {best[2]:g}", truth, scores)]
    name = f"validation: SVC on pixels, C = {machine.best_params_['C']:g}"
    found.append(measure(name, truth, of_machine))
    paired = compare_auc(truth, scores, of_machine)
    print(f"difference {paired}; {elapsed:.0f} s for the dictionary, its search included")
    accuracy = [float(np.mean((s > 0) == truth)) for s in (scores, of_machine)]
    print(f"accuracy {accuracy[0]:.4f}, {accuracy[1]:.4f}")
    write(options.json, {"tried": tried, "found": found, "accuracy": accuracy, "s": elapsed})


def pixels(images: Any) -> Any:
    """Return rows of pixels from 0 to 1."""
    return images.reshape(len(images), -1) / 255


def support_vectors(images: Any, labels: Any) -> Any:
    """Return the peer: an RBF support vector machine whose C the same folds choose."""
    split = StratifiedKFold(5, shuffle=True, random_state=0)
    search = GridSearchCV(SVC(), {"C": [1, 10, 100]}, scoring="roc_auc", cv=split)
    search.fit(pixels(images), labels)
    print(f"training images, 5-fold: SVC on pixels {search.best_score_:.4f}", flush=True)
    return search


if __name__ == "__main__":
    main()
