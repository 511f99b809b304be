"""A cohort of images and tables to explain models of."""

import numpy as np

from fastmm import (
    ImageModality,
    TableModality,
)

MODALITIES = {
    "ct": ImageModality(shape=(16, 16), patch_size=(8, 8), step=4),
    "px": ImageModality(shape=(6, 5), features="pixels", pool="stack"),
    "case": TableModality(),
}


def cohort(classes=2):
    rng = np.random.default_rng(7)
    n = 48
    y = np.arange(n) % classes
    ct = rng.normal(size=(n, 2, 16, 16)).astype("float32")
    ct[:, :, 4:10, 4:10] += 0.8 * y[:, None, None, None]
    px = rng.normal(size=(n, 3, 6, 5)).astype("float32") + 0.1 * y[:, None, None, None]
    age = [f"{v:.1f}" for v in rng.normal(60, 9, n) + 6 * y]
    age[3] = ""
    images = [None if i % 7 == 5 else own for i, own in enumerate(ct)]
    data = {"ct": images, "px": list(px), "case": {"age": age, "sex": ["f", "m", "m"] * (n // 3)}}
    return data, y
