"""Write why predictions are what they are: tables, and pictures of the scans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastmm.blocks import Block, spread_slices
from fastmm.explain.similarity import KERNEL_SOLVERS, similar_cases
from fastmm.explain.slopes import LINEAR, Slopes, slopes_of
from fastmm.explanation import average_parts, contributions
from fastmm.fusion.multimodal_base import mean_by
from fastmm.fusion.row_parts import block_width
from fastmm.prediction.files import write_rows
from fastmm.prediction.pictures import PictureWriter
from fastmm.regions.features import statistic_names

__all__ = ["explain_predictions"]

_AT_ONCE = 200  # examinations: each holds a slope for every feature
_NODES = 64
_SLICES = 64  # of a scan, about, where it is not known


class Explained(NamedTuple):
    """Some examinations: their numbers, blocks, slopes, parts (n, targets, d), and scores."""

    rows: np.ndarray[Any, Any]
    blocks: dict[str, Block]
    slopes: Slopes
    owner: Any
    parts: dict[str, Any]
    baseline: Any
    score: Any


def explain_predictions(
    model: Any,
    blocks: Mapping[str, Block],
    slices: Mapping[str, Any],
    folder: Path,
    limit: int | None = None,
) -> None:
    """Write contributions.csv, features.csv, similar.csv, pictures and explanation.txt.

    Parameters
    ----------
    model : MultimodalClassifier or MultimodalRegressor
        Fitted.
    blocks : dict of str to Block
        Features of each modality.
    slices : dict of str to list of array of shape (slices, h, w) or None
        Images of the image modalities, as they were loaded.
    folder : Path
        Where to write.
    limit : int, optional
        Bytes: fewer examinations are then explained at a time. Colours are scaled by the
        first of them.
    """
    names = _targets(model)
    by_modality: list[Any] = []
    by_feature: list[Any] = []
    header: list[str] = []
    pictures, left = PictureWriter(model, folder / "pictures"), 0.0
    for some in _chunks(model, blocks, _at_once(model, blocks, slices, limit)):
        parts, error = _modalities(model, some)
        header, left = list(parts), max(left, error)
        by_modality += _lines(some.rows, names, parts)
        by_feature += _feature_lines(model, some, names)
        for name, images in slices.items():
            pictures.draw(name, [images[row] for row in some.rows.tolist()], some)
    middle = ["class"] if len(names) > 1 else []
    write_rows(folder / "contributions.csv", ["row", *middle, *header], by_modality)
    if by_feature:
        columns = ["row", *middle, "modality", "feature", "contribution"]
        write_rows(folder / "features.csv", columns, by_feature)
    similar = model.solver in KERNEL_SOLVERS
    if similar:
        _write_similar(model, blocks, folder / "similar.csv")
    _write_text(model, header, left, bool(by_feature), pictures.drawn, folder)


def _targets(model: Any) -> list[str]:
    classes = getattr(model, "classes_", ())
    return [str(c) for c in classes] if len(classes) > 2 else [""]


def _at_once(
    model: Any, blocks: Mapping[str, Block], slices: Mapping[str, Any], limit: int | None
) -> int:
    """Return how many examinations are explained at a time: slopes and scans of each are held."""
    if limit is None:
        return _AT_ONCE
    width = sum(map(block_width, blocks.values()))
    pixels = sum(4 * m.shape[0] * m.shape[1] for n, m in model.modalities.items() if n in slices)
    each = 8 * 6 * width * len(_targets(model)) + _SLICES * 3 * pixels
    return int(min(max(1, limit // 2 // max(each, 1)), _AT_ONCE))


def _chunks(model: Any, blocks: Mapping[str, Block], at_once: int) -> Iterator[Explained]:
    count = len(next(iter(blocks.values())).present)
    for start in range(0, count, at_once):
        rows = np.arange(start, min(start + at_once, count))
        own = {name: block.take(rows).read() for name, block in blocks.items()}
        spread, owner = spread_slices(own)
        slopes = slopes_of(model, spread, 1 if model.solver in LINEAR else _NODES)
        parts, baseline = average_parts(model, slopes, owner)
        unit, centre = getattr(model, "scale_", 1.0), getattr(model, "centre_", 0.0)
        score = mean_by(owner, model.score_rows(spread)) * unit + centre
        shape = baseline.shape
        yield Explained(rows, own, slopes, owner, parts, baseline, score.reshape(shape))


def _modalities(model: Any, some: Explained) -> tuple[dict[str, Any], float]:
    """Return columns (n, targets) that sum to the score, and what is unexplained at most."""
    shape = some.baseline.shape
    try:
        found = contributions(model, some.blocks)
    except ValueError:  # no sum over modalities
        found = {name: part.sum(axis=-1) for name, part in some.parts.items()}
        error = some.score - some.baseline - sum(found.values())
        return {**found, "baseline": some.baseline, "unexplained": error}, float(abs(error).max())
    wide = {}
    for name, part in found.items():
        part = np.asarray(part, np.float64)
        part = part[:, None] if part.ndim == 1 and shape[1] == 1 and part.size > 1 else part
        wide[name] = np.broadcast_to(part.reshape(-1, shape[1]), shape)
    return wide, 0.0


def _lines(rows: Any, names: list[str], parts: Mapping[str, Any]) -> list[Any]:
    return [
        [
            int(row),
            *([names[k]] if len(names) > 1 else []),
            *(float(p[i, k]) for p in parts.values()),
        ]
        for i, row in enumerate(rows)
        for k in range(len(names))
    ]


def _feature_lines(model: Any, some: Explained, names: list[str]) -> list[Any]:
    lines = []
    for modality, parts in some.parts.items():
        features = _names_of(model, modality, parts.shape[-1])
        if features is None:
            continue
        lines += [
            [int(row), *([names[k]] if len(names) > 1 else []), modality, feature, float(value)]
            for i, row in enumerate(some.rows)
            for k in range(len(names))
            for feature, value in zip(features, parts[i, k], strict=True)
        ]
    return lines


def _names_of(model: Any, modality: str, features: int) -> list[str] | None:
    fusion, own = model.fusion_, model.modalities[modality]
    if hasattr(own, "shape"):
        return statistic_names(own, features) if own.features == "statistics" else None
    if model.fusion == "late":
        fusion = fusion.members_[modality].fusion_
    found: list[str] = fusion.table_[modality].feature_names_
    return found


def _write_similar(model: Any, blocks: Mapping[str, Block], file: Path) -> None:
    asked = list(model.fusion_.members_) if model.fusion == "late" else [None]
    lines = []
    for name in asked:
        near = similar_cases(model, blocks, modality=name)
        for row, place in np.ndindex(near.rows.shape):
            if near.rows[row, place] >= 0:
                label = near.labels[row, place]
                lines.append(
                    [
                        row,
                        *([name] if name else []),
                        place + 1,
                        int(near.rows[row, place]),
                        label.item() if hasattr(label, "item") else label,
                        float(near.similarity[row, place]),
                    ]
                )
    middle = ["modality"] if model.fusion == "late" else []
    header = ["row", *middle, "rank", "training row", "label", "similarity"]
    write_rows(file, header, lines)


def _write_text(
    model: Any, header: list[str], left: float, features: bool, pictures: int, folder: Path
) -> None:
    """Say in words what the files hold and how far it is to be trusted."""
    what = "score" if hasattr(model, "classes_") else "prediction"
    exact = "baseline" not in header
    lines = [f"What adds to the {what}, by row of the cohort file (0-based).", ""]
    if exact:
        lines.append(
            f"contributions.csv: what each modality adds; with the intercept the sum is exactly "
            f"the {what}."
        )
    else:
        lines.append(
            "contributions.csv: this model is no sum over modalities. Its parts are integrated "
            f"gradients from the mean of the training rows, whose {what} is the baseline; with "
            f'"unexplained", at most {left:.2g}, the sum is the {what}.'
        )
    classes: Any = getattr(model, "classes_", ())
    if len(classes) == 2:
        lines.append(f"Parts above 0 speak for class {classes[1]}, parts below 0 for {classes[0]}.")
    own = "exactly" if model.solver in LINEAR else "by integrated gradients, an approximation"
    if features:
        lines.append(f"features.csv: what each column or statistic adds, {own}.")
    if pictures:
        lines.append(
            f"pictures: the slice that adds most, and what its pixels or statistics add, {own}. "
            "What a patch adds is divided among its pixels. Red raises the score, blue lowers it; "
            "the colour scale of a modality is the same for all rows."
        )
    if model.solver in KERNEL_SOLVERS:
        lines.append(
            "similar.csv: the training cases with the largest kernel value, 1 for a twin, and "
            "their labels; their numbers are rows of the cohort file of the training."
        )
    lines += ["", "Contributions tell how the model decides, not what causes a disease.",
              "For research only; not a medical device.", ""]  # fmt: skip
    (folder / "explanation.txt").write_text("\n".join(lines), encoding="utf-8")
