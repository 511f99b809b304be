"""A synthetic cohort to try fastmm on: phantom CT and MR scans as DICOM, and two tables."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fastmm._check import integer, number, sizes
from fastmm.phantom.people import (
    CELLS,
    GENES,
    KINDS,
    CohortPlan,
    Genome,
    Purpose,
    case_facts,
    draw_people,
    gaps,
)
from fastmm.phantom.series import write_series

__all__ = ["make_cohort"]

_README = """\
SYNTHETIC DATA

Every scan, table value and label in this folder was drawn by a random number generator
(fastmm.datasets.make_cohort). No patient is in it. It serves to try software, and is no
substitute for patients: nothing measured on it says anything about medicine.

cohort.csv      one row an examination: patient, malignant (0 or 1), the folders of its CT
                and MR series, age (years), pack_years, sex; an empty cell is missing
expression.csv  log2 expression of {genes} made-up genes; patients without it have no row
P*/ct, P*/mr    DICOM series, {slices} slices each
"""


def make_cohort(
    folder: str | os.PathLike[str],
    n_patients: int = 60,
    seed: int = 0,
    missing: float = 0.1,
    *,
    slices: int = 8,
    shape: tuple[int, int] = (256, 256),
    progress: Callable[[int, int], object] | None = None,
) -> Path:
    r"""Write a synthetic cohort of chest CT, MR, a case table and gene expression.

    All of it is SYNTHETIC: a phantom drawn from random numbers, for trying and testing
    software. It is no substitute for patients, and no result on it is a medical one.

    The disease has five parts: one that shows in all modalities, and one for each of them
    that shows in no other. A person's severities are independent, and the signs that a
    modality shows follow one severity each, through noise:

    .. math:: s_p \mid y \sim N\big((y - \tfrac12)\, \delta_p,\; 1\big), \qquad
              t_j = 0.9\, s_{p(j)} + \sqrt{1 - 0.9^2}\, \epsilon_j,

    with :math:`\delta` = 0.8 for the common part and 1 for the others.

    ==========  =========================  ===========================================
    modality    signs of the common part   signs of its own part
    ==========  =========================  ===========================================
    CT          size and outline of a      density of the nodule, haze in the lung
                lung nodule
    MR          the same two               enhancement and texture of the nodule
    case table  age                        pack years
    expression  10 of 200 genes            20 of 200 genes
    ==========  =========================  ===========================================

    Whoever read the signs without error, and knew the model, would reach areas under the
    ROC curve of :math:`\Phi(\Delta / \sqrt2)`, :math:`\Delta^2 = \mu^\top \Sigma^{-1} \mu`
    the squared Mahalanobis distance of the classes: 0.804 from CT or from MR, 0.792 from the
    case table or the genes, 0.861 from CT and MR, and 0.922 from all. Models learn from what
    is left in noisy pictures of few patients.

    Parameters
    ----------
    folder : str or path-like
        Where to write. Must be empty or absent; it is created with its parents.
    n_patients : int, default 60
        Number of patients, at least 4.
    seed : int, default 0
        Seed of all randomness, at least 0.
    missing : float in [0, 1), default 0.1
        Fraction of patients without their CT, MR or expression (one of the three, in
        turn), and fraction of patients with a blank age, pack years or sex.
    slices : int, default 8
        Axial slices of each series, 5 mm apart, at least 3; the nodule is in the middle.
    shape : tuple of int, default (256, 256)
        Rows and columns of each slice, from 32 to 4096.
    progress : callable, optional
        Called as ``progress(done, total)`` after each patient.

    Returns
    -------
    pathlib.Path
        The path of ``cohort.csv``, with the columns patient, malignant (0 or 1), ct and mr
        (folders of DICOM files, relative to the table), age (years), pack_years and sex.
        Beside it lie ``expression.csv`` (patient, GENE0001 ... GENE0200, in log2 units;
        patients without expression have no row) and ``README.txt``.

    Raises
    ------
    ValueError
        If an argument is out of range, or `folder` holds anything or is a file.
    TypeError
        If an argument has the wrong type.
    PermissionError
        If `folder` cannot be written.

    Notes
    -----
    As in a case-control study half of the patients are malignant (within one). The same
    arguments and library versions write the same bytes on any day. The first patients of
    a larger cohort are the patients of a smaller one.

    CT is stored in 12 bits of unsigned 16, HU = stored - 1024; MR in arbitrary units, of
    another scale for each patient, with the shading of a coil and Rician noise. Both lie
    in one frame of reference per patient, with fields of view of 380 and 400 mm. As in
    real exports, neither file names nor CT instance numbers follow the positions.

    60 patients of the default size take 6 to 9 s on one core, 60 MB of memory and 130 MB of
    disk.

    References
    ----------
    .. [1] Su, J. Q., & Liu, J. S. (1993). Linear combinations of multiple diagnostic markers.
       Journal of the American Statistical Association, 88(424), 1350-1355.
       https://doi.org/10.1080/01621459.1993.10476417

    Examples
    --------
    >>> import tempfile
    >>> from fastmm.datasets import make_cohort
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = make_cohort(folder, n_patients=4, slices=3, shape=(64, 64), missing=0)
    ...     print(table.read_text().splitlines()[0])
    ...     print(len(list(table.parent.rglob("*.dcm"))))
    patient,malignant,ct,mr,age,pack_years,sex
    24
    """
    total = integer(n_patients, "n_patients", minimum=4)
    study = CohortPlan(integer(seed, "seed", minimum=0), *_checked_size(slices, shape))
    share = number(missing, "missing", minimum=0)
    if share >= 1:
        raise ValueError(f"`missing` must be a fraction in [0, 1), got {share!r}.")
    if progress is not None and not callable(progress):
        raise TypeError(f"`progress` must be callable or None, got {type(progress).__name__}.")
    root = _empty_folder(folder)

    cases: list[list[object]] = []
    expression: list[list[object]] = []
    genome = Genome(study.stream(Purpose.GENOME, 0))
    lost_kinds, lost_cells = gaps(study, share, KINDS, 0), gaps(study, share, CELLS, 1)
    for person in draw_people(study, total):
        kind, cell = next(lost_kinds), next(lost_cells)
        series = dict.fromkeys(("ct", "mr"), "")
        for modality in series:
            if modality != kind:
                series[modality] = f"{person.folder}/{modality}"
                write_series(root / series[modality], study, person, modality)
        facts = case_facts(study, person) | ({cell: ""} if cell else {})
        cases.append([person.name, person.malignant, *series.values(), *facts.values()])
        if kind != "expression":
            values = genome.express(study.stream(Purpose.GENE, person.number), person.signs)
            expression.append([person.name, *(f"{value:.3f}" for value in values)])
        if progress is not None:
            progress(person.number, total)

    (root / "README.txt").write_text(
        _README.format(genes=GENES, slices=study.slices), encoding="utf-8", newline="\n"
    )
    genes = [f"GENE{i + 1:04d}" for i in range(GENES)]
    _write_table(root / "expression.csv", ["patient", *genes], expression)
    # The case table comes last, so that a folder cut short is not taken for a cohort.
    columns = ["patient", "malignant", "ct", "mr", "age", "pack_years", "sex"]
    return _write_table(root / "cohort.csv", columns, cases)


def _checked_size(slices: Any, shape: Any) -> tuple[int, tuple[int, int]]:
    rows, columns = sizes(shape, "shape", lengths=(2,))
    if min(rows, columns) < 32 or max(rows, columns) > 4096:
        raise ValueError(f"`shape` must be two sizes from 32 to 4096, got ({rows}, {columns}).")
    return integer(slices, "slices", minimum=3), (rows, columns)


def _empty_folder(folder: str | os.PathLike[str]) -> Path:
    try:
        root = Path(folder)
    except TypeError:
        raise TypeError(f"`folder` must be a path, got {type(folder).__name__}.") from None
    try:
        root.mkdir(parents=True, exist_ok=True)
        full = any(root.iterdir())
    except (FileExistsError, NotADirectoryError):
        raise ValueError("`folder` must be a folder, but it, or one above it, is a file.") from None
    if full:
        raise ValueError("`folder` must be empty or absent; choose another or clear it first.")
    return root


def _write_table(path: Path, columns: list[str], rows: Iterable[list[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    return path
