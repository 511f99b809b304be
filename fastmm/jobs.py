"""The jobs of the command line: files in, files out."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from fastmm._files import replacing
from fastmm.cohort import Cohort, read_cohort
from fastmm.cohort_tables import TableSource
from fastmm.datasets import make_cohort
from fastmm.errors import CohortError
from fastmm.modalities import ImageModality, TableModality
from fastmm.model_file import load_model, load_notes, save_model
from fastmm.read.dicom.values import as_asked
from fastmm.read.rows import series_units
from fastmm.reporting import write_report
from fastmm.stopwatch import Stopwatch
from fastmm.study import Study, Task, run_study

__all__ = ["demo_cohort", "predict_job", "train_job"]

# Wide enough for lung to bone: a default must not clip away what a user looks for.
_CT_WINDOW = (0.0, 2000.0)


def demo_cohort(
    folder: Path, patients: int, seed: int, progress: Callable[[int, int], object]
) -> Path:
    """Make the synthetic cohort in `folder`; one that an earlier run finished is kept."""
    if not (folder / "cohort.csv").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Elsewhere first: what an interrupted run leaves must not be taken for a cohort.
        with TemporaryDirectory(dir=folder.parent, prefix=".cohort-") as draft:
            made = make_cohort(Path(draft) / "cohort", patients, seed, progress=progress)
            made.parent.rename(folder)
    progress(patients, patients)
    return folder / "cohort.csv"


def train_job(
    cohort_file: Path,
    output: Path,
    *,
    label: str,
    group: str | None,
    images: Sequence[str],
    tables: Sequence[str],
    windows: Mapping[str, tuple[float, float]] | None = None,
    channels: Mapping[str, int] | None = None,
    suv: Collection[str] = (),
    models: Sequence[str] = ("ridge",),
    fusion: str = "stack",
    pool: str = "mean",
    ids: bool = False,
    task: Task | None = None,
    watch: Stopwatch | None = None,
    **about: Any,
) -> Study:
    """Validate, fit and report a cohort; write four files into `output`."""
    if not images and not tables:
        raise ValueError("Name at least one `--image` column or one `--table`.")
    if output.exists() and not output.is_dir():
        raise ValueError(f"`output` must be a folder, got the file {output.name}.")
    if ids and group is None:
        raise ValueError("`--ids` writes the patient column; name it with `--group`.")
    for option, named in (("--window", windows), ("--channel", channels), ("--suv", suv)):
        unknown = sorted(set(named or ()) - set(images))
        if unknown:
            raise ValueError(
                f"`{option}` names {', '.join(unknown)}, which is no `--image` column."
            )
    sources = _name_tables(tables, taken=images)
    cohort = read_cohort(cohort_file, label=label, group=group, images=images, tables=sources)
    windows, channels = windows or {}, channels or {}
    modalities: dict[str, Any] = {
        name: _image_modality(
            cohort.images[name], windows.get(name), pool, channels.get(name), name in suv
        )
        for name in images
    }
    modalities |= {name: TableModality() for name in sources}
    settings = {
        "images": list(images),
        "tables": list(tables),
        "models": list(models),
        "windows": {name: list(window) for name, window in windows.items()},
        "channels": dict(channels),
        "suv": sorted(suv),
        "fusion": fusion,
        "pool": pool,
        "group": group,
    }
    with _noting_warnings() as warned:
        study = run_study(
            cohort,
            modalities,
            models=models,
            fusion=fusion,
            task=task,
            watch=watch,
            settings=settings,
            **about,
        )
    study.results["cohort"]["notes"] += warned
    notes = {
        "group": group,
        "images": list(images),
        "tables": {n: [list(s.columns), str(s.file or ""), s.key] for n, s in sources.items()},
    }
    with _all_or_none(output) as draft:
        save_model(study.model, draft / "model.fastmm", notes=notes)
        held_out = study.held_out
        _write_predictions(
            draft / "predictions.csv",
            cohort,
            study.model.classes_,
            (held_out.prediction, held_out.decision, held_out.probability),
            group if ids else None,
        )
        write_report(study.results, draft, pictures=study.pictures)
    return study


def predict_job(
    model_file: Path,
    cohort_file: Path,
    output: Path,
    *,
    ids: bool = False,
    task: Task | None = None,
) -> int:
    """Apply a model file to the rows of a cohort file; return how many there were."""
    if output.resolve() in (model_file.resolve(), cohort_file.resolve()):
        raise ValueError(f"`output` must not be a file that is read, got {output.name}.")
    model, notes = load_model(model_file), load_notes(model_file)
    if not {"group", "images", "tables"} <= set(notes):
        raise ValueError(f"{model_file.name} was not written by `fastmm train`.")
    sources = {
        name: TableSource(tuple(columns), Path(file) if file else None, key)
        for name, (columns, file, key) in notes["tables"].items()
    }
    cohort = read_cohort(cohort_file, group=notes["group"], images=notes["images"], tables=sources)
    task = task or (lambda name: lambda done, total: None)
    data = {}
    for name, modality in model.modalities.items():
        if isinstance(modality, ImageModality):
            loaded = modality.load(cohort.images[name], progress=task(f"read {name}"))
            data[name] = modality.extract(loaded.images)
        else:
            data[name] = modality.extract(cohort.tables[name])
    decision = model.decision_function(data)
    columns = (model.winners(decision), decision, model.probabilities(decision))
    _write_predictions(output, cohort, model.classes_, columns, notes["group"] if ids else None)
    return cohort.count


@contextmanager
def _all_or_none(folder: Path) -> Iterator[Path]:
    """Give a folder to write files into, which go to `folder` together once all are there."""
    beside = folder if folder.is_dir() else folder.parent  # on the same disk, to be renamed
    beside.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=beside, prefix=".draft-") as draft:
        yield Path(draft)
        folder.mkdir(exist_ok=True)
        for file in sorted(Path(draft).iterdir()):
            file.replace(folder / file.name)


@contextmanager
def _noting_warnings() -> Iterator[list[str]]:
    """Collect what fastmm warns of: it belongs into the report. Other warnings pass."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield notes
    for warning in caught:
        if warning.category is not UserWarning:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        elif (note := str(warning.message).rstrip(".")) not in notes:
            notes.append(note)


def _name_tables(texts: Sequence[str], taken: Sequence[str]) -> dict[str, TableSource]:
    """Name a joined table after its file and columns of the cohort "table"."""
    sources: dict[str, TableSource] = {}
    for text in texts:
        source = TableSource.parse(text)
        base = source.file.stem if source.file else "table"
        name, number = base, 2
        while name in sources or name in taken:
            name, number = f"{base} {number}", number + 1
        sources[name] = source
    return sources


def _image_modality(
    paths: Sequence[Path | None],
    window: tuple[float, float] | None,
    pool: str,
    channel: int | None,
    suv: bool,
) -> ImageModality:
    """Choose the intensity rule of a column by the unit of its first examination."""
    first = next((path for path in paths if path is not None), None)
    if first is None:
        raise CohortError("An image column must name at least one file or folder.")
    units = series_units(first, partial(as_asked, suv=suv, invert=True))
    if window is None and units == "HU":
        window = _CT_WINDOW
    # Whoever asks for SUV wants to compare patients, which a scale of each slice forbids.
    normalize = None if window or suv else "zscore"
    return ImageModality(
        window=window, normalize=normalize, pool=pool, units=units, channel=channel, suv=suv
    )


def _write_predictions(
    file: Path, cohort: Cohort, classes: Any, columns: tuple[Any, Any, Any], group: str | None
) -> None:
    """Write row, prediction, score and probability; the patient only if asked for."""
    prediction, decision, probability = columns
    many = len(classes) > 2
    header = ["row", *([group] if group else []), "prediction"]
    header += [f"score {c}" for c in classes] if many else ["score"]
    header += [f"probability {c}" for c in classes] if many else ["probability"]
    with replacing(file) as draft, draft.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow([_cell(name) for name in header])
        for row in range(cohort.count):
            cells = [row, *([_cell(cohort.groups[row])] if group else [])]
            cells += [_cell(prediction[row]), *np.atleast_1d(decision[row]).tolist()]
            cells += probability[row].tolist() if many else [float(probability[row, 1])]
            writer.writerow(cells)


def _cell(value: Any) -> Any:
    """Keep a text that a spreadsheet would run as a formula from being one."""
    text = str(value)
    return f"'{text}" if text[:1] in ("=", "+", "@", "\t") or text[:1] == "-" else text
