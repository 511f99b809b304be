"""Turn the columns of a case table into numbers a model can use."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmm._check import integer

__all__ = [
    "BLANKS",
    "Columns",
    "TableEncoder",
    "is_ambiguous",
    "is_blank",
    "parse_number",
    "parse_table",
]

BLANKS = frozenset(
    {"", "na", "n/a", "nan", "null", "none", "?",
     # As TCGA writes them; "[Completed]" and the like are values.
     "[not available]", "[not applicable]", "[not evaluated]", "[unknown]"}
)  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")  # or a decimal comma: who knows


def is_blank(value: Any) -> bool:
    """Say whether a cell holds no value: empty, NaN, or a usual word for it (`BLANKS`)."""
    return value is None or str(value).strip().lower() in BLANKS


@dataclass(frozen=True)
class Columns:
    """A table as texts ("" for blanks), and as numbers (NaN for blanks) where they are."""

    texts: dict[str, np.ndarray[Any, Any]]
    numbers: dict[str, np.ndarray[Any, Any]]

    def __len__(self) -> int:
        return len(next(iter(self.texts.values()), ()))

    def take(self, rows: Any) -> Columns:
        """Return the table of some rows, given by index or mask."""
        return Columns(
            {name: column[rows] for name, column in self.texts.items()},
            {name: column[rows] for name, column in self.numbers.items()},
        )


def parse_table(table: Mapping[str, Sequence[Any]] | Columns) -> Columns:
    """Find the type of each column: numbers if every value is one, else text.

    A decimal comma is understood. `table` maps column names to values of equal number; a
    data frame will do.
    """
    if isinstance(table, Columns):
        return table
    given: Any = table
    if not isinstance(given, Mapping) and not hasattr(given, "columns"):
        raise TypeError(f"`table` must map column names to values, got {type(table).__name__}.")
    texts, numbers = {}, {}
    for name in list(table.columns) if hasattr(table, "columns") else list(table):
        cells = ["" if is_blank(value) else str(value).strip() for value in table[name]]
        texts[str(name)] = np.array(cells, dtype=object)
        values = [parse_number(cell) for cell in cells]
        if all(value is not None for value in values):
            numbers[str(name)] = np.array(values, np.float64)
    lengths = {len(column) for column in texts.values()}
    if len(lengths) != 1:
        raise ValueError(f"The table must have columns of one length, got {sorted(lengths)}.")
    return Columns(texts, numbers)


class TableEncoder:
    """Encode numeric columns as they are and text columns as one column per category.

    Blanks of a numeric column become its median and are marked in a column of their own,
    so that a model can tell them apart: empty cells, NaN, "NA", "N/A", "null", "none", "?",
    and TCGA's "[Not Available]", "[Not Applicable]", "[Not Evaluated]" and "[Unknown]", in
    letters of any size. Infinities, which stand for values outside the
    detection limits, become the largest or smallest finite value. A category that was not
    there in `fit` becomes zeros.

    Parameters
    ----------
    max_categories : int, default 20
        A text column with more categories is refused: it is free text or an identifier.

    Attributes
    ----------
    state_ : dict
        What was learned: names, medians, limits and blanks of the numeric columns, and
        the categories of the text columns. Plain lists, so that it goes into JSON.
    feature_names_ : list of str
        Name of each feature, such as "age", "age: blank", "sex = female".

    Examples
    --------
    >>> from fastmm.features.table import TableEncoder
    >>> encoder = TableEncoder().fit({"age": ["60", "", "70"], "sex": ["f", "m", "f"]})
    >>> encoder.feature_names_
    ['age', 'age: blank', 'sex = f', 'sex = m']
    >>> encoder.transform({"age": ["62"], "sex": ["m"]})
    array([[62.,  0.,  0.,  1.]])
    """

    def __init__(self, max_categories: int = 20) -> None:
        self.max_categories = max_categories

    def fit(self, table: Mapping[str, Sequence[Any]] | Columns) -> TableEncoder:
        """Learn medians, limits and categories."""
        columns, limit = parse_table(table), integer(self.max_categories, "max_categories")
        numbers: dict[str, list[Any]] = {"name": [], "median": [], "low": [], "high": []}
        blanks: list[str] = []
        for name, values in columns.numbers.items():
            finite = values[np.isfinite(values)]
            finite = finite if finite.size else np.zeros(1)  # a column without any value
            learned = (name, np.median(finite), finite.min(), finite.max())
            for key, value in zip(numbers, learned, strict=True):
                numbers[key].append(value if key == "name" else float(value))
            if np.isnan(values).any():
                blanks.append(name)
        categories = {}
        for name, texts in columns.texts.items():
            if name in columns.numbers:
                continue
            categories[name] = sorted({text for text in texts if text})
            if len(categories[name]) > limit:
                raise ValueError(
                    f"Column {name!r} has {len(categories[name])} different texts, more than "
                    f"{limit}: it looks like free text or an identifier. Leave it out."
                )
        self.state_: dict[str, Any] = {
            "numbers": numbers,
            "blanks": blanks,
            "categories": categories,
        }
        return self

    @property
    def feature_names_(self) -> list[str]:
        """Name of each feature, in order."""
        state = self.state_
        return [
            *state["numbers"]["name"],
            *(f"{name}: blank" for name in state["blanks"]),
            *(f"{name} = {c}" for name, known in state["categories"].items() for c in known),
        ]

    def transform(self, table: Mapping[str, Sequence[Any]] | Columns) -> np.ndarray[Any, Any]:
        """Encode a table with the learned columns; float64 of shape (rows, features)."""
        columns, state = parse_table(table), self.state_
        names = state["numbers"]["name"]
        self.check(columns)
        blocks = [np.empty((len(columns), 0))]
        if names:
            values = np.stack([columns.numbers[name] for name in names], axis=1)
            median, low, high = (np.array(state["numbers"][k]) for k in ("median", "low", "high"))
            values = np.where(np.isinf(values), np.clip(values, low, high), values)
            blocks.append(np.where(np.isnan(values), median, values))
        blocks += [np.isnan(columns.numbers[name])[:, None] for name in state["blanks"]]
        for name, known in state["categories"].items():
            found = columns.texts[name]
            blocks.append(np.stack([found == c for c in known], axis=1) if known else blocks[0])
        return np.hstack([block.astype(np.float64) for block in blocks])

    def check(self, columns: Columns) -> None:
        """Refuse a table that lacks a column, or has words where there were numbers."""
        known = {*self.state_["numbers"]["name"], *self.state_["categories"]}
        absent = sorted(known - set(columns.texts))
        if absent:
            raise ValueError(f"The table lacks the column(s) {', '.join(absent)}.")
        for name in self.state_["numbers"]["name"]:
            if name not in columns.numbers:
                raise ValueError(
                    f"Column {name!r} held numbers when the model was fitted, now it holds text."
                )

    def unseen(self, columns: Columns) -> dict[str, int]:
        """Count, for columns that have some, the cells with a category not there in `fit`."""
        counts = {
            name: sum(bool(text) and text not in known for text in columns.texts[name])
            for name, known in self.state_["categories"].items()
        }
        return {name: count for name, count in counts.items() if count}


def is_ambiguous(text: str) -> bool:
    """Say whether a text is a number whose comma may be decimal or of thousands."""
    return bool(_THOUSANDS.fullmatch(text))


def parse_number(text: str) -> float | None:
    """Parse a number; NaN for a blank, None for a text that is none.

    "1,000" is none: it may be one or one thousand.
    """
    if not text:
        return math.nan
    if _DECIMAL_COMMA.fullmatch(text) and not _THOUSANDS.fullmatch(text):
        text = text.replace(",", ".")
    return float(text) if _NUMBER.fullmatch(text) else None
