"""Three cohorts with several modalities, read once, and folds of whole patients over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from fastmm import ImageModality, MultimodalClassifier, TableModality
from fastmm.blocks import Block
from fastmm.cohort import read_cohort
from fastmm.cohorts.tables import TableSource

__all__ = ["NAMES", "Data", "fit", "folds_of_patients", "read"]

_LABORATORY = "crp,d_dimer,factor_xii,ldh,lymphocytes,neutrophils,pco2,po2"
_HOW: dict[str, tuple[str, dict[str, dict[str, Any]], dict[str, str]]] = {
    "sts": (
        "lung_mets",
        {
            "ct": {"window": (0.0, 2000.0)},
            "pet": {"suv": True},
            "mr_t1": {"normalize": "zscore"},
        },
        {"table": "age,sex,mskcc_type,site,grade"},
    ),
    "lgg": (
        "codel_1p19q",
        {"mri": {"normalize": "zscore", "channel": 1}},
        {"table": "age,gender,laterality,tumour_location"},
    ),
    "cxr_hannover": (
        "icu",
        {"xray": {"normalize": "zscore"}},
        {"table": "sex,projection", "laboratory": _LABORATORY},
    ),
}
NAMES = tuple(_HOW)
_FOLDS = 5


@dataclass(frozen=True)
class Data:
    """A cohort as read.

    Attributes
    ----------
    modalities : dict of str to ImageModality or TableModality
        What it holds.
    raw : dict of str to list of array, or Columns
        Slices of each examination as the modality wants them, or a table.
    labels, patients : arrays of shape (rows,)
        Labels of 0 and 1, and whose rows they are.
    """

    modalities: dict[str, Any]
    raw: dict[str, Any]
    labels: np.ndarray[Any, Any]
    patients: np.ndarray[Any, Any]

    def blocks(self, raw: dict[str, Any] | None = None) -> dict[str, Block]:
        """Return the features, of other data where they are given."""
        given = self.raw | (raw or {})
        return {name: kind.extract(given[name]) for name, kind in self.modalities.items()}


def read(folder: Path, name: str) -> Data:
    """Read the cohort of a name from the folder of all cohorts."""
    label, images, tables = _HOW[name]
    sources = {key: TableSource.parse(columns) for key, columns in tables.items()}
    cohort = read_cohort(
        folder / name / "cohort.csv",
        label=label,
        group="patient",
        images=list(images),
        tables=sources,
    )
    modalities: dict[str, Any] = {key: ImageModality(**how) for key, how in images.items()}
    raw: dict[str, Any] = {
        key: kind.load(cohort.scans(key), device="cpu").images for key, kind in modalities.items()
    }
    modalities |= {key: TableModality() for key in tables}
    raw |= {key: cohort.tables[key] for key in tables}
    labels = np.unique(np.asarray(cohort.y), return_inverse=True)[1]
    return Data(modalities, raw, labels, np.asarray(cohort.groups))


def folds_of_patients(data: Data, repeats: int) -> Iterator[tuple[int, Any, Any]]:
    """Yield the number of the repeat, training rows and test rows."""
    for repeat in range(repeats):
        split = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=repeat)
        for train, test in split.split(data.labels, data.labels, data.patients):
            yield repeat, train, test


def fit(
    data: Data, blocks: dict[str, Block], rows: Any, kinds: dict[str, Any] | None = None
) -> Any:
    """Fit the default model to some rows."""
    model = MultimodalClassifier(kinds or data.modalities)
    own = {name: block.take(rows) for name, block in blocks.items()}
    return model.fit(own, data.labels[rows], groups=data.patients[rows])
