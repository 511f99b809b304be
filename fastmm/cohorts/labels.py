"""Read the label column of a cohort: classes, or numbers to be predicted."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

import numpy as np

from fastmm.cohorts.tables import places
from fastmm.features.table import is_blank, parse_number

__all__ = ["KINDS", "read_labels"]

KINDS = ("auto", "classification", "regression")
_WHOLE = re.compile(r"[+-]?\d{1,15}")
_FEW, _MOST = 10, 20  # different numbers that are surely classes; different classes
_PATIENTS = 3  # to leave one out and choose a penalty by leaving out one of the others
_LEAST = 5  # patients, to leave one out and learn anything from the others


def read_labels(cells: list[str], label: str, groups: Any, kind: str, mistakes: list[str]) -> Any:
    """Return labels, integers if each is one, else texts; or of "regression" float64 numbers."""
    blank = [i for i, cell in enumerate(cells) if is_blank(cell)]
    if blank:
        mistakes.append(f"label {label!r} must be given in each row; {places(blank)} blank")
    if kind == "regression":
        return _numbers(cells, label, groups, mistakes)
    return _classes(cells, label, groups, kind, mistakes)


def _numbers(cells: list[str], label: str, groups: Any, mistakes: list[str]) -> Any:
    values = [None if is_blank(cell) else parse_number(cell.strip()) for cell in cells]
    bad = [
        i
        for i, (cell, value) in enumerate(zip(cells, values, strict=True))
        if not is_blank(cell) and (value is None or not math.isfinite(value))
    ]
    if bad:
        mistakes.append(
            f"label {label!r} must be a finite number in each row to be predicted; "
            f"{places(bad)} none"
        )
    known = {value for value in values if value is not None}
    if len(known) < 2 and not bad:
        mistakes.append(f"label {label!r} must have at least 2 different numbers, got {len(known)}")
    if len(set(groups.tolist())) < _LEAST:
        mistakes.append(
            f"a number needs at least {_LEAST} patients to be predicted, got "
            f"{len(set(groups.tolist()))}"
        )
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _classes(cells: list[str], label: str, groups: Any, kind: str, mistakes: list[str]) -> Any:
    patients = {c: set(groups[np.array(cells) == c]) for c in set(cells) if not is_blank(c)}
    if len(patients) < 2:
        mistakes.append(f"label {label!r} must have at least 2 classes, got {len(patients)}")
    numbers = all(parse_number(cell.strip()) is not None for cell in patients)
    unclear = kind == "auto" and numbers and len(patients) > _FEW
    many = len(patients) > max(_MOST, len(cells) // 4)
    if unclear:
        mistakes.append(
            f"label {label!r} has {len(patients)} different numbers; say whether they are to be "
            "predicted as numbers, `--task regression`, or are classes, `--task classification`"
        )
    elif many:
        mistakes.append(f"label {label!r} has {len(patients)} different values: no class label")
    small = sorted(c for c, members in patients.items() if len(members) < 2)
    if small and len(patients) <= _MOST and not unclear:
        mistakes.append(f"class(es) {', '.join(small)} must have at least 2 patients to validate")
    elif (count := len(set(groups.tolist()))) < _PATIENTS:  # those of each class are the same
        mistakes.append(f"at least {_PATIENTS} patients are needed to validate, got {count}")
    alike = Counter(_plain(c) for c in patients)
    if max(alike.values(), default=1) > 1:
        mistakes.append(f"label {label!r} has classes that differ only in how they are written")
    whole = all(_WHOLE.fullmatch(cell) for cell in cells)
    return np.array([int(cell) for cell in cells]) if whole else np.array(cells)


def _plain(text: str) -> str:
    number = parse_number(text)
    return text.casefold() if number is None else repr(number)
