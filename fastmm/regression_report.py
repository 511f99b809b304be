"""The report of a number that is predicted: ``report.json`` and a page without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from fastmm._files import replacing
from fastmm.report.figures import draw_observed
from fastmm.report.forests import draw_errors
from fastmm.report.pictures import choose_pictures
from fastmm.report.tables import Table, flatten, modality_table, stage_table
from fastmm.report.text import amount, interval_name, moment
from fastmm.report.theme import THEME
from fastmm.report.values import is_number, to_json

__all__ = ["write_regression_report"]


def write_regression_report(
    results: Mapping[str, Any],
    folder: Path,
    *,
    pictures: Mapping[str, np.ndarray[Any, Any]] | None = None,
) -> Path:
    """Write ``report.json`` and the self-contained page ``report.html``.

    Parameters
    ----------
    results : mapping
        What `fastmm.regression_study.run_regression` found.
    folder : Path
        Where to write; made when absent.
    pictures : mapping of str to array of shape (n, h, w), optional
        Grey images in [0, 1], by modality.

    Returns
    -------
    Path
        The path of ``report.html``.

    Raises
    ------
    ImportError
        Where Jinja or Matplotlib is not installed (``pip install "fastmm[app]"``).
    TypeError
        Where `results` holds something JSON has no form for.

    Notes
    -----
    As `fastmm.reporting.write_report`: strict JSON, no identifier, light and dark, phone
    and print.
    """
    tree = to_json(results, "results")
    page = _render(tree, choose_pictures(pictures or {}))
    folder.mkdir(parents=True, exist_ok=True)
    document = json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    for name, text in (("report.json", document), ("report.html", page)):
        with replacing(folder / name) as draft:
            draft.write_text(text, encoding="utf-8", newline="\n")
    return folder / "report.html"


def _render(tree: Mapping[str, Any], gallery: list[dict[str, Any]]) -> str:
    try:
        from jinja2 import Environment
        from markupsafe import Markup
    except ImportError:
        raise ImportError(
            'A report needs jinja2, which is not installed: pip install "fastmm[app]"'
        ) from None
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(amount=amount, short=short)
    interval, label = interval_name(tree["validation"]["confidence"]), tree["cohort"]["label"]
    best = next(row for row in tree["scores"] if tree["chosen"].items() <= row.items())
    predictions = {
        key: [np.nan if value is None else value for value in own]
        for key, own in tree["predictions"].items()
    }
    drawings = {
        "observed": draw_observed(predictions, label),
        "errors": draw_errors(tree["scores"], label, interval),
    }
    return environment.from_string(_resource("numbers.html.jinja")).render(
        results=tree,
        theme=THEME,
        css=Markup(_resource("page.css")),
        created=moment(tree.get("created")),
        cohort=tree["cohort"],
        validation=tree["validation"],
        interval=interval,
        best=best,
        comparison=tree["comparison"],
        scores=_score_table(tree, interval),
        modalities=modality_table(tree["cohort"]),
        stages=stage_table(tree),
        settings=flatten(tree["settings"]),
        environment=flatten(tree["environment"]),
        drawings={name: Markup(svg) for name, svg in drawings.items()},
        gallery=gallery,
    )


def short(value: Any) -> str:
    """Write a number of any unit with three digits that tell."""
    return f"{value:.3g}" if is_number(value) else "unknown"


def _score_table(tree: Mapping[str, Any], interval: str) -> Table:
    name = interval.capitalize()
    columns = ["Model", "Features", "R²", name, "Mean absolute error", name,
               "Error of the mean", "Coverage", "Width", "Rows", "Patients"]  # fmt: skip
    rows, marked = [], None
    for i, row in enumerate(tree["scores"]):
        marked = i if tree["chosen"].items() <= row.items() else marked
        rows.append(
            [
                row["model"], row["features"],
                short(row["r2"]), f"{short(row['r2_low'])} to {short(row['r2_high'])}",
                short(row["mae"]), f"{short(row['mae_low'])} to {short(row['mae_high'])}",
                short(row["mae_guess"]), f"{row['interval_coverage']:.0%}",
                short(row["interval_width"]), amount(row["n"]), amount(row["patients"]),
            ]
        )  # fmt: skip
    return Table(columns, [i > 1 for i in range(len(columns))], rows, marked=marked)


def _resource(name: str) -> str:
    return resources.files("fastmm.report").joinpath(name).read_text(encoding="utf-8")
