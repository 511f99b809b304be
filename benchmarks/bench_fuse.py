"""Standardise the features of three modalities and stack them side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastmm

FULL, SMALL = (1000, 16384, 800), (20, 96, 8)  # rows, pixels of each image, columns of the table


def bench_stack(timed: Any, arrays: Any, pick: Any) -> None:
    blocks = make_blocks(*pick(FULL, SMALL))
    timed(
        lambda b: fastmm.stack_features(b).X,
        {name: arrays.xp.asarray(block) for name, block in blocks.items()},
        group=group(blocks),
        bytes=least_bytes(blocks),
        check=lambda out: error_of(arrays.asnumpy(out), blocks),
        tolerance=1e-5,
    )


def bench_stack_sklearn(timed: Any, pick: Any) -> None:
    preprocessing = pytest.importorskip(
        "sklearn.preprocessing", reason="scikit-learn is not installed"
    )
    blocks = make_blocks(*pick(FULL, SMALL))
    timed(
        lambda b: np.hstack([preprocessing.StandardScaler().fit_transform(x) for x in b.values()]),
        blocks,
        group=group(blocks),
        peer="scikit-learn",
        bytes=least_bytes(blocks),
        check=lambda out: error_of(out, blocks),
        tolerance=1e-5,
    )


def bench_stack_expression(timed: Any, arrays: Any, pick: Any) -> None:
    # The array library's own words: fast to write, a pass over memory for each step.
    blocks = make_blocks(*pick(FULL, SMALL))
    xp = arrays.xp
    timed(
        lambda b: xp.concatenate([(x - x.mean(0)) / x.std(0) for x in b.values()], axis=1),
        {name: xp.asarray(block) for name, block in blocks.items()},
        group=group(blocks),
        peer="NumPy expression" if xp is np else "CuPy expression",
        bytes=least_bytes(blocks),
        check=lambda out: error_of(arrays.asnumpy(out), blocks),
        tolerance=1e-4,
    )


def group(blocks: dict[str, np.ndarray]) -> str:
    shapes = " + ".join(f"({x.shape[0]}, {x.shape[1]})" for x in blocks.values())
    return f"stack, standardised, float32 {shapes}"


def least_bytes(blocks: dict[str, np.ndarray]) -> int:
    return 2 * sum(block.nbytes for block in blocks.values())


def error_of(result: np.ndarray, blocks: dict[str, np.ndarray]) -> float:
    """Compare every seventh column with float64."""
    x = np.hstack(list(blocks.values()))
    assert result.shape == x.shape
    assert result.dtype == np.float32
    x = x[:, ::7].astype(np.float64)
    x = (x - x.mean(0)) / x.std(0)
    return float(np.abs(result[:, ::7] - x).max() / np.abs(x).max())


def make_blocks(rows: int, pixels: int, columns: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    widths = {"ct": pixels, "mr": pixels, "table": columns}
    return {
        name: rng.standard_normal((rows, width), np.float32) * 3 + 5
        for name, width in widths.items()
    }
