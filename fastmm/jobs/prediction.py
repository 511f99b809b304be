"""Apply a model file to the rows of a cohort file, and explain what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmm.blocks import Block
from fastmm.cohort import Cohort, read_cohort
from fastmm.findings.unreadable import naming_rows
from fastmm.fusion.extraction import block_of_files
from fastmm.fusion.novelty import leverage
from fastmm.jobs.joined_tables import find_tables
from fastmm.modalities import ImageModality
from fastmm.model_file import load_model, load_notes
from fastmm.prediction.explanation import explain_predictions
from fastmm.prediction.files import write_numbers, write_predictions
from fastmm.prediction.scans import ScansInTurn
from fastmm.streams.limits import check_limit

if TYPE_CHECKING:
    from fastmm.study import Task

__all__ = ["predict_job"]

_CONFIDENCE = 0.9


def predict_job(
    model_file: Path,
    cohort_file: Path,
    output: Path,
    *,
    tables: Sequence[str] = (),
    ids: bool = False,
    explain: bool = False,
    device: str = "auto",
    memory_limit: int | str | None = None,
    task: Task | None = None,
    tell: Callable[[str], object] = lambda note: None,
) -> Path:
    """Write ``predictions.csv`` into `output`, a folder, or to `output`, a CSV file.

    Beside the columns that training writes: the conformal set of labels, or the interval of
    a number, the modalities that were present, the leverage, and whether it is larger than
    that of any training row.

    `tables` are other files for the tables that the training joined, as "NAME=FILE.csv:KEY".
    With `explain`, the folder also gets the files of `explain_predictions`. `tell` is called
    with each note that a reader of the predictions should know. Under a `memory_limit` scans
    are read some at a time, again where they are explained, and rows scored in parts.
    """
    limit = check_limit(memory_limit)
    single = output.suffix.lower() == ".csv"
    if explain and single:
        raise ValueError("`--explain` writes several files; give a folder as `--output`.")
    if not single and output.exists() and not output.is_dir():
        raise ValueError(f"`output` must be a folder or a .csv file, got {output.name}.")
    file = output if single else output / "predictions.csv"
    _keep(file, model_file, cohort_file)
    model, notes = load_model(model_file), load_notes(model_file)
    if limit is not None:
        model.set_params(memory_limit=limit)
    if not {"group", "images", "tables"} <= set(notes):
        raise ValueError(f"{model_file.name} was not written by `fastmm train`.")
    if ids and notes["group"] is None:
        raise ValueError("`--ids` writes the patient column, but the model was trained without.")
    sources, told = find_tables(notes, cohort_file, tables)
    _keep(file, *(source.file for source in sources.values() if source.file))
    cohort = read_cohort(
        cohort_file, group=notes["group"], images=notes["images"], tables=sources,
        masks=notes.get("masks", {}),
    )  # fmt: skip
    task = task or (lambda name: lambda done, total: None)
    for note in [*told, *cohort.notes]:
        tell(note)
    classes: Any = getattr(model, "classes_", ())
    if len(classes) == 2:
        tell(f"scores above 0, and probability, are of class {classes[1]}")
    blocks, slices = _features(model, cohort, device, limit, task, tell)
    file.parent.mkdir(parents=True, exist_ok=True)
    group = notes["group"] if ids else None
    about = _about(model, blocks, cohort.count)
    if hasattr(model, "classes_"):
        _write_classes(model, blocks, file, cohort.groups, group, about)
    else:
        prediction = model.predict(blocks)
        low, high = model.intervals(prediction, _CONFIDENCE)
        name = f"{_CONFIDENCE:.0%}"
        columns = {"prediction": prediction, f"low {name}": low, f"high {name}": high}
        write_numbers(file, columns, cohort.groups, group, about)
    if explain:
        explain_predictions(model, blocks, slices, output, limit)
    return file


def _keep(output: Path, *read: Path) -> None:
    """Refuse to write over a file that is read."""
    if output.resolve() in {file.resolve() for file in read}:
        raise ValueError(f"`output` must not be a file that is read, got {output.name}.")


def _about(model: Any, blocks: Mapping[str, Block], count: int) -> dict[str, Any]:
    """Return which modalities a row has, and how far it lies from the training data."""
    far = leverage(model, blocks)
    present = {name: block.present for name, block in blocks.items()}
    return {
        "present": [_joined([n for n, here in present.items() if here[i]]) for i in range(count)],
        "leverage": ["" if np.isnan(value) else float(f"{value:.4g}") for value in far],
        "far": ["" if np.isnan(value) else "yes" if value > 1 else "no" for value in far],
    }


def _write_classes(
    model: Any,
    blocks: Mapping[str, Block],
    file: Path,
    patients: Any,
    group: str | None,
    about: Mapping[str, Any],
) -> None:
    decision = model.decision_function(blocks)
    sets = model.label_sets(decision, _CONFIDENCE)
    more = {f"set {_CONFIDENCE:.0%}": [_joined(model.classes_[own]) for own in sets], **about}
    columns = (model.winners(decision), decision, model.probabilities(decision))
    write_predictions(file, model.classes_, columns, patients, group, more)


def _features(
    model: Any,
    cohort: Cohort,
    device: str,
    limit: int | None,
    task: Task,
    tell: Callable[[str], object],
) -> tuple[dict[str, Block], dict[str, Any]]:
    blocks: dict[str, Block] = {}
    slices: dict[str, Any] = {}
    images = {n: m for n, m in model.modalities.items() if isinstance(m, ImageModality)}
    tables = [name for name in model.modalities if name not in images]
    for name in tables:  # their faults are found soonest
        blocks[name] = model.modalities[name].extract(cohort.tables[name])
        owner = model.fusion_.members_[name].fusion_ if model.fusion == "late" else model.fusion_
        owner.table_[name].check(blocks[name].values)
        for column, count in owner.table_[name].unseen(blocks[name].values).items():
            tell(f"{name}: {count} cells of {column!r} hold a category that training never saw")
    for name, modality in images.items():
        progress, scans = task(f"read {name}"), cohort.scans(name)
        if limit is not None:
            with naming_rows(name, modality, scans, device):
                blocks[name] = block_of_files(modality, scans, device, progress, limit)
            slices[name] = ScansInTurn(modality, scans, device, limit)
            continue
        with naming_rows(name, modality, scans, device):
            loaded = modality.load(scans, device=device, progress=progress)
        slices[name], blocks[name] = loaded.images, modality.extract(loaded)
    return {name: blocks[name] for name in model.modalities}, slices


def _joined(values: Any) -> str:
    return "|".join(str(value) for value in values)
