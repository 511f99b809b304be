"""Blocks of two images and a table, of patients who may lack one."""

import numpy as np

from fastmm import ImageModality, TableModality
from fastmm.blocks import Block

MODALITIES = {"ct": ImageModality(), "mr": ImageModality(), "case": TableModality()}
CONFIGURATIONS = [
    ("ridge", "stack"), ("linear", "stack"), ("lssvm", "stack"), ("lssvm", "kernel"),
    ("svm", "stack"), ("svm", "kernel"), ("ridge", "late"), ("linear", "late"), ("svm", "late"),
]  # fmt: skip


def draw_cohort():
    """Draw blocks of two images and a table, labels and patients of two rows each."""
    rng = np.random.default_rng(0)
    n = 40
    y = np.arange(n) % 2
    present = rng.random(n) > 0.2
    ct = rng.normal(size=(n, 30)).astype("float32") + (y[:, None] - 0.5).astype("float32")
    mr = rng.normal(size=(n, 12)).astype("float32") + 100
    age = [f"{v:.1f}" for v in rng.normal(60, 10, n) + 8 * y]
    age[4] = ""
    blocks = {
        "ct": Block(np.where(present[:, None], ct, 0), present),
        "mr": Block(mr, np.ones(n, bool)),
        "case": TableModality().extract({"age": age, "sex": ["f", "m"] * (n // 4) * 2}),
    }
    return blocks, y, np.repeat(np.arange(n // 2), 2)[rng.permutation(n)]
