"""Read a cohort table and find its mistakes before the first pixel is read.

One row is one examination; rows with the same patient are one group. Every cell is read
as text, so that the identifier "00123" stays what it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastmm._check import one_of
from fastmm.cohorts.files import find_masks, find_paths, named_columns
from fastmm.cohorts.labels import KINDS, read_labels
from fastmm.cohorts.leaks import find_leaks
from fastmm.cohorts.tables import TableSource, places, quoted, read_table
from fastmm.errors import CohortError
from fastmm.features.table import is_blank, parse_number
from fastmm.read.table import Rows, read_rows

__all__ = ["Cohort", "read_cohort"]

_LEVELS = 12  # subgroups of a column of texts


@dataclass(frozen=True)
class Cohort:
    """A cohort that was read and found right.

    Attributes
    ----------
    source : Path
        The cohort file.
    count : int
        Number of rows, which are examinations.
    label : str or None
        Name of the label column.
    y : array of shape (count,) or None
        Labels, integers if each is one, else texts; float64 numbers of "regression".
    groups : array of shape (count,)
        Patient of each row.
    grouped : bool
        Whether a column told the patients; if not, each row counts as one.
    images : dict of str to list of Path or None
        For each image modality the file or folder of each row, None where it is missing.
    masks : dict of str to list of Path or None
        For some of them the file or folder of the region of interest.
    by : dict of str to list of str
        The cells of columns that split the cohort into subgroups.
    tables : dict of str to dict of str to list of str
        For each table modality its columns.
    notes : list of str
        What a reader should know: counts of blanks, of rows without a match.
    """

    source: Path
    count: int
    label: str | None
    y: np.ndarray[Any, Any] | None
    groups: np.ndarray[Any, Any]
    grouped: bool
    images: dict[str, list[Path | None]]
    tables: dict[str, Rows]
    notes: list[str] = field(default_factory=list)
    masks: dict[str, list[Path | None]] = field(default_factory=dict)
    by: Rows = field(default_factory=dict)

    @property
    def patients(self) -> int:
        """Number of different patients."""
        return len(set(self.groups.tolist()))

    def scans(self, name: str) -> list[Any]:
        """Return what an `ImageModality` reads: paths, or pairs of scan and mask."""
        paths = self.images[name]
        if name not in self.masks:
            return list(paths)
        pairs = zip(paths, self.masks[name], strict=True)
        return [None if path is None else (path, mask) for path, mask in pairs]


def read_cohort(
    path: str | Path,
    *,
    label: str | None = None,
    group: str | None = None,
    images: Sequence[str] = (),
    tables: dict[str, TableSource] | None = None,
    masks: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    kind: str = "auto",
) -> Cohort:
    r"""Read a cohort file and check all of it.

    Parameters
    ----------
    path : str or Path
        CSV or Parquet file with a header; paths in it are relative to its folder.
    label : str, optional
        Column with the class or number of each row; not needed to apply a model.
    group : str, optional
        Column with the patient of each row. Default: each row is its own patient.
    images : sequence of str
        Columns with the file or folder of each image modality; blank where missing.
    tables : dict of str to TableSource, optional
        Table modalities by name.
    masks : dict of str to str, optional
        For image columns the column with the mask of each row; or a path with names of
        columns in braces, such as ``"{ct}_tumour.nii.gz"``, which are replaced by the row's
        cells.
    by : sequence of str
        Columns that split the cohort into subgroups.
    kind : {"auto", "classification", "regression"}, default "auto"
        What the label is: classes, or numbers to be predicted. "auto" is for classes; more
        than ten different numbers are an error that asks for one of the others.

    Returns
    -------
    Cohort

    Raises
    ------
    CohortError
        With all mistakes that were found, one a line.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from fastmm.cohort import read_cohort
    >>> from fastmm.cohorts.tables import TableSource
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "cohort.csv"
    >>> _ = file.write_text("patient,ill,age\na,0,50\nb,1,60\nc,0,55\nd,1,70\n")
    >>> read_cohort(file, label="ill", tables={"case": TableSource(("age",))}).y
    array([0, 1, 0, 1])
    """
    path = Path(path)
    one_of(kind, "kind", KINDS)
    rows = read_rows(path)
    count = len(next(iter(rows.values())))
    mistakes: list[str] = []
    notes: list[str] = []
    sources, masks = tables or {}, masks or {}
    unknown = [name for name in masks if name not in images]
    if unknown:
        raise ValueError(f"`masks` names {', '.join(unknown)}, which is no image column.")
    for name in by:
        if name in (label, group):
            raise ValueError(f"`by` must name columns beside label and patient, got {name!r}.")
    wanted = [c for c in (label, group) if c] + [*images, *by]
    wanted += [c for source in sources.values() for c in source.columns]
    wanted += [c for template in masks.values() for c in named_columns(template)]
    absent = [c for c in dict.fromkeys(wanted) if c not in rows]
    if absent:
        raise CohortError(
            f"{path.name} lacks the column(s) {quoted(absent)}; it has {quoted(rows)}."
        )
    groups = _groups(rows, group, count, mistakes)
    y = read_labels(rows[label], label, groups, kind, mistakes) if label else None
    sound = not mistakes  # or more would be said of classes that are none
    found = {name: find_paths(rows[name], name, path.parent, mistakes) for name in images}
    regions = {
        name: find_masks(rows, name, template, path.parent, mistakes)
        for name, template in masks.items()
    }
    keep_out = {c: "the label" for c in (label,) if c} | {c: "the patient" for c in (group,) if c}
    read, whole = {}, set()
    for name, source in sources.items():
        before = len(mistakes)
        args = (name, source, rows, groups, path.parent, keep_out, mistakes, notes)
        read[name] = read_table(*args)
        whole |= {name} if len(mistakes) == before else set()
    for name in by:
        _levels(name, rows[name], mistakes)
    have = _present(found, read)
    _whole_rows(rows, have, mistakes)
    known = {name: here for name, here in have.items() if name in whole or name in images}
    if y is not None and sound and kind == "regression":
        _enough(groups, known, mistakes)
    elif y is not None and sound:
        _every_class(rows[str(label)], groups, known, mistakes)
    if group is None and label is not None:
        notes.append(
            "no patient column was named: rows of one patient may stand in training and test, "
            "and then every score here is too high"
        )
    if y is not None and kind != "regression" and not mistakes:
        notes += find_leaks(y, groups, found, read)
    if mistakes:
        raise CohortError(f"{path.name}: " + "\n".join(mistakes))
    subgroups = {name: rows[name] for name in by}
    return Cohort(
        path, count, label, y, groups, group is not None, found, read, notes, regions, subgroups
    )


def _groups(rows: Rows, group: str | None, count: int, mistakes: list[str]) -> Any:
    if group is None:
        return np.array([str(i) for i in range(count)])
    blank = [i for i, value in enumerate(rows[group]) if is_blank(value)]
    if blank:
        mistakes.append(f"column {group!r} must name a patient in each row; {places(blank)} blank")
    return np.array(rows[group])


def _levels(name: str, cells: list[str], mistakes: list[str]) -> None:
    """Refuse a column of texts that mostly differ: names of patients belong in no report."""
    texts = {cell for cell in cells if not is_blank(cell)}
    if len(texts) > _LEVELS and any(parse_number(text) is None for text in texts):
        mistakes.append(
            f"column {name!r} must be of numbers or of at most {_LEVELS} different texts to make "
            f"subgroups, got {len(texts)}"
        )
    if not texts:
        mistakes.append(f"column {name!r} must have a cell that is not blank to make subgroups")


def _present(images: Mapping[str, list[Path | None]], tables: Mapping[str, Rows]) -> dict[str, Any]:
    """Say for each modality which rows have it."""
    have = {n: np.array([p is not None for p in paths]) for n, paths in images.items()}
    for name, table in tables.items():
        if not table:  # a mistake that is told of already
            continue
        have[name] = np.any([[not is_blank(c) for c in cells] for cells in table.values()], axis=0)
    return have


def _whole_rows(rows: Rows, have: Mapping[str, Any], mistakes: list[str]) -> None:
    seen = Counter(zip(*rows.values(), strict=True))
    twice = sum(times > 1 for times in seen.values())
    if twice:
        mistakes.append(f"{twice} row(s) occur more than once, identical in every column")
    empty = np.flatnonzero(~np.any(list(have.values()), axis=0)).tolist() if have else []
    if empty:
        mistakes.append(
            f"each row must have at least one modality; {places(empty)} none: leave them out, or "
            "name a column that they have"
        )


def _enough(groups: Any, have: Mapping[str, Any], mistakes: list[str]) -> None:
    for name, present in have.items():
        if len(set(groups[present])) < 3:
            mistakes.append(f"modality {name!r} must be there for at least 3 patients")


def _every_class(
    cells: list[str], groups: Any, have: Mapping[str, Any], mistakes: list[str]
) -> None:
    labels = np.array(cells)
    for name, present in have.items():
        lone = [c for c in sorted(set(cells)) if len(set(groups[present & (labels == c)])) < 2]
        if lone and len(set(cells)) <= 20:
            mistakes.append(
                f"modality {name!r} must be there for at least 2 patients of each class; "
                f"class(es) {', '.join(lone)} have fewer"
            )
