"""The report of an experiment: one JSON file for programs, one HTML page for people.

This file prepares numbers and tables; `figures` draws, ``report.html.jinja`` words and
lays out.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from fastmm import figures

__all__ = ["write_report"]

_MAPPINGS = ("cohort", "validation", "chosen", "predictions", "settings", "environment")
_LISTS = ("roc", "contributions", "stages")
_NOTHING = "—"
_SHOWN = 8  # pictures of one modality
_UNITS = {"mb": "MB", "mb_per_s": "MB/s"}
_SCORE_COLUMNS = {
    "model": "Model",
    "features": "Features",
    "auc": "AUC",
    "auc_interval": "interval of the AUC",
    "balanced_accuracy": "Balanced accuracy",
    "n": "Rows",
    "patients": "Patients",
    "parameter": "Setting",
}
_MODALITY_COLUMNS = {
    "name": "Modality",
    "kind": "Kind",
    "present": "Present",
    "missing": "Missing",
    "features": "Features",
    "detail": "Detail",
}
_WORDS, _COUNTS = {"model", "features", "parameter"}, {"n", "patients"}


@dataclass
class Table:
    """Rows of text as the page shows them; the first cell of a row is its heading."""

    columns: list[str]
    numeric: list[bool]
    rows: list[list[str]] = field(default_factory=list)
    marked: int | None = None


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
        a megabyte being 10^6 bytes), "settings" and "environment".
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
    tree = _checked(results)
    document = json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    page = _render(tree, _gallery(pictures or {}))
    home = Path(folder)
    try:
        home.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError("`folder` must be a folder, got a path that leads to a file.") from None
    _replace(home / "report.json", document)
    _replace(home / "report.html", page)
    return home / "report.html"


def _checked(results: Any) -> dict[str, Any]:
    """Return `results` as plain JSON values, its required parts being there."""
    if not isinstance(results, Mapping):
        raise TypeError(f"`results` must be a mapping, got {type(results).__name__}.")
    tree: dict[str, Any] = _plain(results, "results")
    for part, kind in (("title", str), ("scores", list)):
        if not isinstance(tree.get(part), kind):
            raise ValueError(f"`results` must have {part!r}, a {kind.__name__}.")
    for i, row in enumerate(tree["scores"]):
        if not isinstance(row, dict) or not {"model", "features"} <= row.keys():
            raise ValueError(f"`results['scores'][{i}]` must have 'model' and 'features'.")
    for name in _MAPPINGS:
        if not isinstance(tree.get(name) or {}, dict):
            raise ValueError(f"`results[{name!r}]` must be a mapping.")
    for name in _LISTS:
        rows = tree.get(name) or []
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"`results[{name!r}]` must be a list of mappings.")
    for i, curve in enumerate(tree.get("roc") or []):
        _pair(curve, "fpr", "tpr", f"results['roc'][{i}]")
    _pair(tree.get("predictions") or {}, "label", "score", "results['predictions']")
    return tree


def _pair(part: Mapping[str, Any], first: str, second: str, where: str) -> None:
    """Refuse a part whose two columns are no lists of one length."""
    columns = [part.get(first) or [], part.get(second) or []]
    if not all(isinstance(c, list) for c in columns) or len(columns[0]) != len(columns[1]):
        raise ValueError(f"`{where}` must have {first!r} and {second!r} of the same length.")


def _plain(value: Any, where: str) -> Any:
    """Return `value` in the terms of strict JSON."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (str, os.PathLike)):
        # A file name may hold bytes that are no UTF-8; Python keeps them as surrogates.
        return os.fspath(value).encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {_plain(str(k), where): _plain(v, f"{where}[{k!r}]") for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise TypeError(f"`{where}` must be text, a number, a list or a mapping, got {type(value)}.")


def _render(tree: Mapping[str, Any], gallery: list[dict[str, Any]]) -> str:
    try:
        from jinja2 import Environment
        from markupsafe import Markup
    except ImportError:
        raise ImportError(
            'A report needs jinja2, which is not installed: pip install "fastmm[app]"'
        ) from None
    drawings = {name: Markup(svg) for name, svg in _drawings(tree).items()}
    text = resources.files("fastmm").joinpath("report.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(score=_score, amount=_amount)
    cohort, best = _part(tree, "cohort"), _best(tree)
    scored = [row for row in tree["scores"] if _is_number(row.get("auc"))]
    leads = best is not None and best["auc"] == max(row["auc"] for row in scored)
    return environment.from_string(text).render(
        results=tree,
        theme=figures.THEME,
        created=_moment(tree.get("created")),
        cohort=cohort,
        validation=_part(tree, "validation"),
        interval=_interval_name(tree),
        scores=_score_table(tree),
        best=best,
        rival=_rival(tree, best),
        highest_of=len(scored) if leads else 0,
        counts_differ=len({row.get("n") for row in scored}) > 1,
        curves=[_key(curve) for curve in _curves(tree, scored)],
        modalities=_modality_table(cohort),
        stages=_stage_table(tree),
        settings=_lines(tree.get("settings")),
        environment=_lines(tree.get("environment")),
        drawings=drawings,
        unscored=_unscored(tree),
        gallery=gallery,
    )


def _drawings(tree: Mapping[str, Any]) -> dict[str, str]:
    """Draw every figure whose numbers are there."""
    drawings: dict[str, str] = {}
    scores, chosen = tree["scores"], _best(tree)
    rows = [row for row in scores if _is_number(row.get("auc"))]
    shares = [row for row in tree.get("contributions") or [] if _is_number(row.get("share"))]
    names = [*(row["features"] for row in scores), *(row.get("name", "") for row in shares)]
    colors = figures.assign_colors(str(name) for name in names)
    if rows:
        drawings["scores"] = figures.draw_scores(
            [_named(row) for row in rows],
            colors=colors,
            chosen=_index(rows, chosen),
            interval=_interval_name(tree),
        )
    if curves := _curves(tree, rows):
        curves_colors = figures.assign_colors([*colors, *(c["features"] for c in curves)])
        drawings["roc"] = figures.draw_roc(
            curves, colors=curves_colors, chosen=_index(curves, chosen)
        )
    if groups := _groups(tree):
        drawings["distributions"] = figures.draw_distributions(
            groups, xlabel="Out-of-fold score (no unit)"
        )
    if shares:
        named = [{"name": str(row.get("name", "")), "share": row["share"]} for row in shares]
        drawings["contributions"] = figures.draw_contributions(named, colors=colors)
    return drawings


def _curves(tree: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the ROC curves that can be drawn, the chosen first, then by falling AUC."""
    aucs = {_key(row): row["auc"] for row in rows}
    curves = []
    for curve in tree.get("roc") or []:
        fpr, tpr = curve.get("fpr") or [], curve.get("tpr") or []
        if len(fpr) > 1 and all(_is_number(v) for v in (*fpr, *tpr)):
            curves.append({**_named(curve), "fpr": fpr, "tpr": tpr, "auc": aucs.get(_key(curve))})
    chosen = _key(_best(tree) or {})
    return sorted(curves, key=lambda c: (_key(c) != chosen, -(c["auc"] or 0.0)))


def _groups(tree: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the finite out-of-fold scores by class, the classes named with their counts."""
    label = _part(tree, "cohort").get("label") or "class"
    by_class: dict[Any, list[float]] = {}
    for name, score in _scored(tree):
        if _is_number(score) and name is not None:
            by_class.setdefault(name, []).append(score)
    order = sorted(by_class, key=lambda name: (isinstance(name, str), name))
    return {
        f"{label} = {_text(name)} ({_count(len(by_class[name]), 'row')})": np.array(by_class[name])
        for name in order
    }


def _scored(tree: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    part = _part(tree, "predictions")
    return list(zip(part.get("label") or [], part.get("score") or [], strict=True))


def _unscored(tree: Mapping[str, Any]) -> int:
    return sum(not _is_number(s) or name is None for name, s in _scored(tree))


def _best(tree: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the score the page leads with: the chosen one, else the highest AUC."""
    rows = [row for row in tree["scores"] if _is_number(row.get("auc"))]
    chosen = [row for row in rows if _key(row) == _key(_part(tree, "chosen"))]
    if chosen:
        return chosen[0]  # type: ignore[no-any-return]
    return max(rows, key=lambda row: row["auc"], default=None)


def _rival(tree: Mapping[str, Any], best: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return what the leading score is read against: the best single modality, or the fusion."""
    if best is None:
        return None
    single = {row.get("name") for row in _part(tree, "cohort").get("modalities") or []}
    fused = best["features"] == "fused"
    rows = [
        row
        for row in tree["scores"]
        if row["model"] == best["model"]
        and _is_number(row.get("auc"))
        and (row["features"] in single if fused else row["features"] == "fused")
    ]
    return max(rows, key=lambda row: row["auc"], default=None)


def _score_table(tree: Mapping[str, Any]) -> Table:
    """Tabulate the scores; a column stands only where some row has a value for it."""
    rows = [
        {**row, "auc_interval": _span(row.get("auc_low"), row.get("auc_high"))}
        for row in tree["scores"]
    ]
    keys = [k for k in _SCORE_COLUMNS if any(row.get(k) is not None for row in rows)]
    more = dict.fromkeys(k for row in rows for k in row)
    keys += [k for k in more if k not in _SCORE_COLUMNS and k not in ("auc_low", "auc_high")]
    names = {**_SCORE_COLUMNS, "auc_interval": _interval_name(tree).capitalize()}
    table = Table(
        [names.get(k, k.replace("_", " ").capitalize()) for k in keys],
        [k not in _WORDS for k in keys],
        marked=_index(rows, _best(tree)),
    )
    for row in rows:
        table.rows.append([_cell(key, row.get(key)) for key in keys])
    return table


def _modality_table(cohort: Mapping[str, Any]) -> Table:
    numeric = [key in ("present", "missing", "features") for key in _MODALITY_COLUMNS]
    table = Table(list(_MODALITY_COLUMNS.values()), numeric)
    for row in cohort.get("modalities") or []:
        table.rows.append([_text(row.get(key)) for key in _MODALITY_COLUMNS])
    return table


def _stage_table(tree: Mapping[str, Any]) -> Table:
    """Tabulate the stages: their time, what they worked through, and how fast."""
    table = Table(["Stage", "Time", "Work", "Rate"], [False, True, True, True])
    stages = tree.get("stages") or []
    for row in stages:
        rest = {k: v for k, v in row.items() if k not in ("stage", "seconds") and v is not None}
        rates = [k for k in rest if k.endswith("_per_s")]
        work = [_quantity(k, v) for k, v in rest.items() if k not in rates]
        table.rows.append(
            [
                _text(row.get("stage")),
                _duration(row.get("seconds")),
                ", ".join(work),
                ", ".join(_quantity(k, rest[k]) for k in rates),
            ]
        )
    return table


def _quantity(key: str, value: Any) -> str:
    unit = _UNITS.get(key, key.removesuffix("_per_s").replace("_", " "))
    unit += "/s" if key.endswith("_per_s") and key not in _UNITS else ""
    return f"{_amount(value)} {unit}" if _is_number(value) else _text(value)


def _lines(part: Any, before: str = "") -> list[tuple[str, str]]:
    """Flatten nested settings to (dotted name, value)."""
    lines: list[tuple[str, str]] = []
    for key, value in (part or {}).items():
        if isinstance(value, dict):
            lines += _lines(value, f"{before}{key}.")
        else:
            lines.append((f"{before}{key}", _text(value)))
    return lines


def _gallery(pictures: Mapping[str, np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
    """Return for each modality a few pictures, evenly spread over those there are."""
    gallery = []
    for name, images in pictures.items():
        array = np.asarray(images)
        if array.ndim not in (2, 3) or array.dtype.kind not in "biuf" or 0 in array.shape[-2:]:
            raise ValueError(
                f"`pictures[{name!r}]` must be real images of shape (h, w) or (n, h, w), got "
                f"shape {array.shape}, dtype {array.dtype}."
            )
        array = array.reshape(-1, *array.shape[-2:])
        there = [i for i in range(len(array)) if not np.isnan(array[i].astype(np.float32)).all()]
        spread = np.linspace(0, len(there) - 1, min(_SHOWN, len(there)))
        shown = [there[i] for i in np.rint(spread).astype(int)]
        gallery.append(
            {
                "name": _plain(str(name), "pictures"),
                "images": [figures.encode_picture(array[i]) for i in shown],
                "count": len(array),
                "shape": f"{array.shape[1]} x {array.shape[2]}",
            }
        )
    return gallery


def _replace(path: Path, text: str) -> None:
    """Write a file so that it appears whole or not at all."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        os.replace(draft, path)  # noqa: PTH105 - the atomic call by its own name
    finally:
        draft.unlink(missing_ok=True)


def _part(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return tree.get(name) or {}


def _key(row: Mapping[str, Any]) -> tuple[Any, Any]:
    return row.get("model"), row.get("features")


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "model": str(row.get("model")), "features": str(row.get("features"))}


def _index(rows: Iterable[Mapping[str, Any]], row: Mapping[str, Any] | None) -> int | None:
    places = [i for i, other in enumerate(rows) if row and _key(other) == _key(row)]
    return places[0] if places else None


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _interval_name(tree: Mapping[str, Any]) -> str:
    confidence = _part(tree, "validation").get("confidence")
    return f"{100 * confidence:.4g}% interval" if _is_number(confidence) else "interval"


def _score(value: Any) -> str:
    return figures.format_score(value) if _is_number(value) else _NOTHING


def _span(low: Any, high: Any) -> str | None:
    return f"{_score(low)} to {_score(high)}" if _is_number(low) and _is_number(high) else None


def _cell(key: str, value: Any) -> str:
    if not isinstance(value, float) or key in _WORDS:
        return _text(value)
    return _score(value) if abs(value) < 10 and key not in _COUNTS else _amount(value)


def _amount(value: Any) -> str:
    """Round to three digits, keeping every digit before the point."""
    if not _is_number(value):
        return _NOTHING
    if isinstance(value, int) or (abs(value) >= 100 and abs(value) < 1e9):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _duration(seconds: Any) -> str:
    if not _is_number(seconds):
        return _NOTHING
    return f"{_amount(1000.0 * seconds)} ms" if 0 < seconds < 0.1 else f"{_amount(seconds)} s"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _text(value: Any) -> str:
    """Write any JSON value in a cell."""
    if value is None:
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value) or "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moment(text: Any) -> str:
    """Write an ISO 8601 moment as people do, in UTC where its zone is known."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return _text(text) if text else ""
    if moment.tzinfo is None:
        return f"{moment:%Y-%m-%d %H:%M}"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
