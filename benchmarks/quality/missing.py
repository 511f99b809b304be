"""Modalities taken away at random: fastmm's rule, imputation by means, dropping of patients.

In training and test rows alike, each modality of each examination is taken away with the
same chance, though never all of one examination. Folds, test rows and what is missing are
the same for all three ways; the score of a row is the mean of those of all draws and repeats.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from evaluation import measure, write
from three_cohorts import NAMES, Data, fit, folds_of_patients, read

from fastmm import ImageModality
from fastmm.blocks import Block
from fastmm.features.table import Columns
from fastmm.validate.comparison import compare_auc

LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
WAYS = ("rule", "means", "dropping")
REPEATS, DRAWS = 2, 3


def main() -> None:
    """Measure all cohorts and levels; draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the cohorts")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--figure", type=Path, help="PNG file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # few patients, few categories: it is what is measured
    rows: list[dict[str, Any]] = []
    for name in NAMES:
        data = read(options.data, name)
        blocks = data.blocks()
        for level in LEVELS:
            rows += at_level(name, data, blocks, level)
    write(options.json, {"repeats": REPEATS, "draws": DRAWS, "rows": rows})
    if options.figure is not None:
        from robustness_figures import draw_missing

        draw_missing(rows, options.figure)


def at_level(name: str, data: Data, blocks: dict[str, Block], level: float) -> list[dict[str, Any]]:
    """Return the areas of all ways, and the paired test of each against the rule."""
    n, draws = len(data.labels), DRAWS if level else 1
    scores = {way: np.zeros(n) for way in WAYS}
    failed = 0
    for draw in range(draws):
        kept = removed(blocks, level, np.random.default_rng(draw))
        for _, train, test in folds_of_patients(data, REPEATS):
            for way in WAYS:
                found = predicted(way, data, kept, train, test)
                failed += found is None
                scores[way][test] += 0.0 if found is None else found / (draws * REPEATS)
    found = []
    for way in WAYS:
        own = measure(
            f"{name}, {level:.0%} missing, {way}", data.labels, scores[way], data.patients
        )
        row = {**own, "cohort": name, "missing": level, "way": way}
        row["without_model"] = failed if way == "dropping" else 0
        if way != "rule":
            test = compare_auc(data.labels, scores["rule"], scores[way], data.patients)
            row |= {"rule_less_this": test.difference, "less_low": test.low}
            row |= {"less_high": test.high, "pvalue": test.pvalue}
        found.append(row)
    return found


def removed(blocks: dict[str, Block], level: float, rng: Any) -> dict[str, Block]:
    """Take modalities away; an examination that would lose all keeps one of what it had."""
    there = np.stack([block.present for block in blocks.values()])
    gone = (rng.random(there.shape) < level) & there
    for row in np.flatnonzero(there.any(axis=0) & (there <= gone).all(axis=0)):
        gone[rng.choice(np.flatnonzero(there[:, row])), row] = False
    kept = {}
    for (name, block), out in zip(blocks.items(), gone, strict=True):
        if isinstance(block.values, Columns):
            texts = {key: np.where(out, "", each) for key, each in block.values.texts.items()}
            cells = {key: np.where(out, np.nan, each) for key, each in block.values.numbers.items()}
            kept[name] = Block(Columns(texts, cells), block.present & ~out)
        else:
            kept[name] = Block(block.values * ~out[:, None], block.present & ~out)
    return kept


def predicted(way: str, data: Data, blocks: dict[str, Block], train: Any, test: Any) -> Any:
    """Return the scores of test rows; None where too few patients are left to learn from."""
    if way == "rule":
        model = fit(data, blocks, train)
        return model.decision_function({name: block.take(test) for name, block in blocks.items()})
    if way == "dropping":
        complete = np.all([block.present for block in blocks.values()], axis=0)
        train = train[complete[train]]
        patients = [len(set(data.patients[train][data.labels[train] == c])) for c in (0, 1)]
        if min(patients) < 2:
            return None
    filled = {name: imputed(name, data, block, train) for name, block in blocks.items()}
    model = fit(data, filled, train, {name: ImageModality() for name in filled})
    return model.decision_function({name: block.take(test) for name, block in filled.items()})


def imputed(name: str, data: Data, block: Block, train: Any) -> Block:
    """Fill what is missing with the means of the training rows that have it."""
    seen = train[block.present[train]]
    values = block.values
    if isinstance(values, Columns):
        values = data.modalities[name].encoder().fit(values.take(seen)).transform(values)
    values = np.where(block.present[:, None], values, values[seen].mean(axis=0))
    return Block(values.astype(np.float32), np.ones(len(values), bool))


if __name__ == "__main__":
    main()
