"""Apply a model file to the rows of a cohort file, and explain what it says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmm.blocks import Block
from fastmm.cohort import Cohort, read_cohort
from fastmm.cohort_tables import TableSource
from fastmm.explanation import contributions, feature_contributions, leverage, similar_cases
from fastmm.features.regional import NAMES
from fastmm.modalities import ImageModality
from fastmm.model_file import load_model, load_notes
from fastmm.overlays import contribution_map, draw_overlay
from fastmm.prediction_files import write_predictions, write_rows

if TYPE_CHECKING:
    from fastmm.study import Task

__all__ = ["predict_job"]

_CONFIDENCE = 0.9


def predict_job(
    model_file: Path,
    cohort_file: Path,
    output: Path,
    *,
    ids: bool = False,
    explain: bool = False,
    device: str = "auto",
    task: Task | None = None,
) -> Path:
    """Write ``predictions.csv`` into `output`, a folder, or to `output`, a CSV file.

    Beside the columns that training writes: the conformal set of labels, the modalities
    that were present, the leverage, and whether it is larger than that of any training
    row.

    With `explain`, the folder also gets ``contributions.csv``, ``features.csv`` of tables and
    pictures of linear models, and ``similar.csv`` of kernel models.
    """
    single = output.suffix.lower() == ".csv"
    if explain and single:
        raise ValueError("`--explain` writes several files; give a folder as `--output`.")
    if not single and output.exists() and not output.is_dir():
        raise ValueError(f"`output` must be a folder or a .csv file, got {output.name}.")
    file = output if single else output / "predictions.csv"
    if file.resolve() in (model_file.resolve(), cohort_file.resolve()):
        raise ValueError(f"`output` must not be a file that is read, got {output.name}.")
    model, notes = load_model(model_file), load_notes(model_file)
    if not {"group", "images", "tables"} <= set(notes):
        raise ValueError(f"{model_file.name} was not written by `fastmm train`.")
    if ids and notes["group"] is None:
        raise ValueError("`--ids` writes the patient column, but the model was trained without.")
    cohort = _cohort(cohort_file, notes)
    task = task or (lambda name: lambda done, total: None)
    blocks, slices = _features(model, cohort, device, task)
    decision = model.decision_function(blocks)
    far = leverage(model, blocks)
    sets = model.label_sets(decision, _CONFIDENCE)
    present = {name: block.present for name, block in blocks.items()}
    more: dict[str, Any] = {
        f"set {_CONFIDENCE:.0%}": [_joined(model.classes_[own]) for own in sets],
        "present": [
            _joined([n for n, here in present.items() if here[i]]) for i in range(cohort.count)
        ],
        "leverage": ["" if np.isnan(value) else float(f"{value:.4g}") for value in far],
        "far": ["" if np.isnan(value) else "yes" if value > 1 else "no" for value in far],
    }
    columns = (model.winners(decision), decision, model.probabilities(decision))
    file.parent.mkdir(parents=True, exist_ok=True)
    group = notes["group"] if ids else None
    write_predictions(file, model.classes_, columns, cohort.groups, group, more)
    if explain:
        _explain(model, blocks, slices, output)
    return file


def _cohort(file: Path, notes: Mapping[str, Any]) -> Cohort:
    sources = {
        name: TableSource(tuple(columns), Path(path) if path else None, key)
        for name, (columns, path, key) in notes["tables"].items()
    }
    return read_cohort(
        file,
        group=notes["group"],
        images=notes["images"],
        tables=sources,
        masks=notes.get("masks", {}),
    )


def _features(
    model: Any, cohort: Cohort, device: str, task: Task
) -> tuple[dict[str, Block], dict[str, Any]]:
    blocks, slices = {}, {}
    for name, modality in model.modalities.items():
        if not isinstance(modality, ImageModality):
            blocks[name] = modality.extract(cohort.tables[name])
            continue
        progress = task(f"read {name}")
        slices[name] = modality.load(cohort.scans(name), device=device, progress=progress).images
        blocks[name] = modality.extract(slices[name])
    return blocks, slices


def _explain(
    model: Any, blocks: Mapping[str, Block], slices: Mapping[str, Any], folder: Path
) -> None:
    names = [str(c) for c in model.classes_] if len(model.classes_) > 2 else [""]
    try:
        parts = contributions(model, blocks)
    except ValueError:  # one RBF kernel of all modalities together
        parts = {}
    if parts:
        count = len(next(iter(blocks.values())).present)
        shape, many = (count, len(names)), len(names) > 1
        wide = {n: np.broadcast_to(_columns(p, count), shape) for n, p in parts.items()}
        lines = [
            [row, *([names[k]] if many else []), *(float(w[row, k]) for w in wide.values())]
            for row in range(count)
            for k in range(len(names))
        ]
        header = ["row", *(["class"] if many else []), *wide]
        write_rows(folder / "contributions.csv", header, lines)
    if model.solver in ("ridge", "linear"):
        found = feature_contributions(model, blocks)
        _table_features(model, found, names, folder / "features.csv")
        _pictures(model, blocks, slices, found, folder / "pictures")
    elif (
        model.solver != "deep"
        and model.fusion != "late"
        and not (model.fusion == "stack" and model.solver == "svm")
    ):
        near = similar_cases(model, blocks)
        lines = [
            [row, rank + 1, int(near.rows[row, rank]), float(near.similarity[row, rank])]
            for row in range(len(near.rows))
            for rank in range(near.rows.shape[1])
        ]
        header = ["row", "rank", "training row", "similarity"]
        write_rows(folder / "similar.csv", header, lines)


def _table_features(model: Any, found: Mapping[str, Any], names: list[str], file: Path) -> None:
    lines = []
    for modality, parts in found.items():
        features = _names_of(model, modality)
        if features is None:
            continue
        parts = parts.reshape(len(parts), len(names), -1)
        lines += [
            [row, *([names[k]] if len(names) > 1 else []), modality, feature, float(value)]
            for row in range(len(parts))
            for k in range(len(names))
            for feature, value in zip(features, parts[row, k], strict=True)
        ]
    if lines:
        middle = ["class"] if len(names) > 1 else []
        write_rows(file, ["row", *middle, "modality", "feature", "contribution"], lines)


def _names_of(model: Any, modality: str) -> list[str] | None:
    fusion = model.fusion_
    if model.fusion == "late":
        fusion = fusion.members_[modality].fusion_
    own = model.modalities[modality]
    if isinstance(own, ImageModality):
        known = own.features == "statistics" and own.pool != "stack"
        return list(NAMES) if known else None
    names: list[str] | None = fusion.feature_names(modality)
    return names


def _pictures(
    model: Any, blocks: Mapping[str, Block], slices: Mapping[str, Any], found: Any, folder: Path
) -> None:
    """Draw each examination's map over its middle slice, for its predicted class."""
    decision = model.decision_function(blocks)
    for name, images in slices.items():
        modality = model.modalities[name]
        if modality.pool == "rows" or modality.features == "statistics":
            continue  # slices were averaged, or pixels
        maps: dict[int, Any] = {}
        for at in np.flatnonzero(blocks[name].present).tolist():
            own = found[name][at]
            own = own if own.ndim == 1 else own[int(decision[at].argmax())]
            maps[at] = contribution_map(modality, own)
        limit = float(np.percentile([abs(each).max() for each in maps.values()] or [1.0], 90))
        folder.mkdir(parents=True, exist_ok=True)
        for row, each in maps.items():
            scan = images[row]
            scan = np.asarray(scan.get() if hasattr(scan, "get") else scan)
            middle = len(scan) // 2
            drawn = each[middle if len(each) == len(scan) else 0]
            draw_overlay(scan[middle], drawn, limit, folder / f"{row} {_plain(name)}.png")


def _plain(name: str) -> str:
    """Return a name without what a path must not hold."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)


def _columns(part: Any, count: int) -> Any:
    """Return a part of the scores as (rows, scores)."""
    values = np.asarray(part, np.float64)
    return values[:, None] if values.shape == (count,) else np.atleast_2d(values)


def _joined(values: Any) -> str:
    return "|".join(str(value) for value in values)
