"""The report of an experiment: one JSON file for programs, one HTML page for people.

The parts of the page are made in `fastmm.report`; ``page.html.jinja`` there words and lays
them out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from fastmm._files import replacing
from fastmm.report.answers import answer, best_comparison, limits, verdict
from fastmm.report.drawings import count_unscored, draw_all, find_curves
from fastmm.report.leading import key_of, leading_score, rival_score, rows_with_auc
from fastmm.report.pictures import choose_pictures
from fastmm.report.tables import flatten, modality_table, score_table, stage_table
from fastmm.report.text import amount, interval_name, moment, pvalue, score
from fastmm.report.theme import THEME
from fastmm.report.validation_tables import (
    class_table,
    comparison_table,
    learning_table,
    subgroup_table,
    use_table,
)
from fastmm.report.values import check_results, complete

__all__ = ["write_report"]


def write_report(
    results: Mapping[str, Any],
    folder: str | os.PathLike[str],
    *,
    pictures: Mapping[str, np.ndarray[Any, Any]] | None = None,
) -> Path:
    """Write ``report.json`` and the self-contained page ``report.html``.

    The page needs no network, no script and no other file. It follows the reader's light
    or dark setting, fits a phone and prints. It shows counts and scores, never an
    identifier; what `results` holds is written to ``report.json`` as it is, so
    identifiers do not belong in it.

    Parameters
    ----------
    results : mapping
        The experiment. "title" (str) and "scores" (a list of mappings with "model",
        "features" and, where known, "auc", "auc_low", "auc_high", "balanced_accuracy",
        "n", "patients", "parameter" and further numbers) are required. Optional are
        "synthetic", "created" (ISO 8601), "fastmm", "command", "cohort", "validation",
        "chosen", "roc", "predictions", "contributions", "stages" (seconds, MB and MB/s,
        a megabyte being 10^6 bytes), "settings" and "environment", and of a validation
        "comparisons", "by_class", "subgroups", "calibration" and "learning_curves".
    folder : path
        Where to write; made when absent. An older report there is replaced.
    pictures : mapping of str to array of shape (h, w) or (n, h, w), optional
        Grey images in [0, 1] on the host, by modality. At most eight of each are shown,
        evenly spread; images that hold NaN only are left out.

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
    ValueError
        Where a required part is missing, or a picture is not of two or three axes.

    Notes
    -----
    The JSON is strict: NaN and infinity become null. Each file is replaced as a whole,
    so a reader never meets half a report. About one second, nearly all of it Matplotlib.

    Examples
    --------
    >>> import tempfile
    >>> from fastmm.reporting import write_report
    >>> scores = [{"model": "ridge", "features": "ct", "auc": 0.81}]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report({"title": "Phantoms", "scores": scores}, folder).name
    'report.html'
    """
    tree = check_results(results)
    document = json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    page = _render(complete(tree), choose_pictures(pictures or {}))
    home = Path(folder)
    try:
        home.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError("`folder` must be a folder, got a path that leads to a file.") from None
    for name, text in (("report.json", document), ("report.html", page)):
        with replacing(home / name) as draft:
            draft.write_text(text, encoding="utf-8", newline="\n")
    return home / "report.html"


def _render(tree: Mapping[str, Any], gallery: list[dict[str, Any]]) -> str:
    try:
        from jinja2 import Environment
        from markupsafe import Markup
    except ImportError:
        raise ImportError(
            'A report needs jinja2, which is not installed: pip install "fastmm[app]"'
        ) from None
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(score=score, amount=amount, pvalue=pvalue)
    scored, best = rows_with_auc(tree), leading_score(tree)
    leads = best is not None and best["auc"] == max(row["auc"] for row in scored)
    interval = interval_name(tree["validation"].get("confidence"))
    drawings = draw_all(tree, best, interval)
    tested = best_comparison(tree, best)
    return environment.from_string(_resource("page.html.jinja")).render(
        results=tree,
        theme=THEME,
        css=Markup(_resource("page.css")),
        created=moment(tree.get("created")),
        cohort=tree["cohort"],
        validation=tree["validation"],
        interval=interval,
        scores=score_table(tree, best, interval),
        best=best,
        rival=None if tested else rival_score(tree, best),
        verdict=verdict(tested),
        tests=sorted({str(row.get("method", "bootstrap")) for row in tree["comparisons"]}),
        answers=answer(tree, best, interval),
        limits=limits(tree, best),
        uses=use_table(tree, best),
        classes=class_table(tree, best),
        comparisons=comparison_table(tree),
        subgroups=subgroup_table(tree),
        learning=learning_table(tree),
        highest_of=len(scored) if leads else 0,
        counts_differ=len({row.get("n") for row in scored}) > 1,
        curves=[key_of(curve) for curve in find_curves(tree, best)],
        modalities=modality_table(tree["cohort"]),
        stages=stage_table(tree),
        settings=flatten(tree["settings"]),
        environment=flatten(tree["environment"]),
        drawings={name: Markup(svg) for name, svg in drawings.items()},
        unscored=count_unscored(tree),
        gallery=gallery,
    )


def _resource(name: str) -> str:
    return resources.files("fastmm.report").joinpath(name).read_text(encoding="utf-8")
