"""DensePatchRidge as scikit-learn's Ridge on explicit patches."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.linear_model import Ridge

ALPHA = 2.0


def explicit(images, size, step):
    """Return the patches (n, *grid, m prod(size)) of images or of a dict of them."""
    blocks = images.values() if isinstance(images, dict) else [images]
    rank, views = len(size), []
    for block in blocks:
        view = sliding_window_view(block, size, axis=tuple(range(1, 1 + rank)))
        view = view[(slice(None), *(slice(None, None, s) for s in step))]
        views.append(view.reshape(*view.shape[: 1 + rank], -1))
    return np.concatenate(views, axis=-1).astype(np.float64)


class Oracle:
    """Ridge on explicit patches, centred first, since scikit-learn's loses digits otherwise."""

    def __init__(self, images, y, size, step, weight=None, intercept=True, alpha=ALPHA):
        self.patches = explicit(images, size, step)
        self.grid, self.d = self.patches.shape[1:-1], self.patches.shape[-1]
        n, self.positions = len(y), int(np.prod(self.grid))
        self.by_position = y.shape[1 : 1 + len(self.grid)] == self.grid
        flat = y.reshape(n, -1)
        self.rows = self.patches.reshape(-1, self.d)
        if self.by_position:
            self.targets = y.reshape(n * self.positions, -1)
        else:
            self.targets = np.repeat(flat, self.positions, axis=0)
        weight = np.ones(n) if weight is None else weight
        self.weight, self.intercept = np.repeat(weight, self.positions), intercept
        self.alpha = alpha

    def fit(self, rows=slice(None)):
        """Return coefficients, and predictions (n, *grid, targets) of all patches."""
        centre = self.rows[rows].mean(axis=0) if self.intercept else 0
        model = Ridge(self.alpha, fit_intercept=self.intercept, solver="cholesky")
        model.fit(self.rows[rows] - centre, self.targets[rows], self.weight[rows])
        predicted = model.predict(self.rows - centre)
        return np.atleast_2d(model.coef_), predicted.reshape(-1, *self.grid, self.targets.shape[1])

    def without(self, groups):
        """Return predictions by models that have not seen the image's group."""
        out = np.empty((len(groups), *self.grid, self.targets.shape[1]))
        for group in np.unique(groups):
            rows = np.repeat(groups == group, self.positions)
            out[groups == group] = self.fit(~rows)[1][groups == group]
        return self.seen(out)

    def seen(self, maps):
        """Return maps, or their means where targets belong to images."""
        axes = tuple(range(1, 1 + len(self.grid)))
        return maps if self.by_position else maps.mean(axis=axes)


def draw(shape, kind, size, step, modalities=1, mean=0.0, seed=0):
    rng = np.random.default_rng(seed)
    blocks = {name: mean + rng.standard_normal(shape) for name in "abc"[:modalities]}
    images = blocks if modalities > 1 else blocks["a"]
    counts = [(m - p) // s + 1 for m, p, s in zip(shape[1:], size, step, strict=True)]
    n = shape[0]
    y = rng.standard_normal(
        {"image": (n,), "images": (n, 2), "map": (n, *counts), "maps": (n, *counts, 3)}[kind]
    )
    return images, y


def filters_of(model):
    """Return the filters (targets, features)."""
    blocks = model.coef_.values() if isinstance(model.coef_, dict) else [model.coef_]
    rank = len(model.patch_size)
    return np.concatenate(
        [b.reshape(*b.shape[: b.ndim - rank] or (1,), -1) for b in blocks], axis=1
    )


def assert_close(got, expected, tolerance=1e-9):
    assert np.shape(got) == np.shape(expected)
    assert np.abs(got - expected).max() <= tolerance * np.abs(expected).max()
