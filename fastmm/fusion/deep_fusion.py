"""A network for all modalities in the place of features, fusion and solver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastmm.blocks import Block
from fastmm.features.table import Columns

__all__ = ["FOLDS", "DeepFusion", "epochs_for"]

FOLDS = 5  # of whole groups: each is a training of its own, beside that of all rows
_SEEN, _LEAST, _MOST = 6000, 10, 60  # rows that a training goes through; epochs
_FEW = 500  # rows, from which two layers for a table learn mostly noise


class DeepFusion:
    """Hand blocks to a `DeepClassifier`: pixels as images, all else as tables.

    Networks are trained for a number of epochs that the number of rows decides: of few
    patients, those held out to stop early would be too few to tell when.

    Parameters
    ----------
    modalities : dict of str to ImageModality or TableModality
        Those with ``features="pixels"`` become images (or volumes, with ``pool="stack"``).

    Attributes
    ----------
    table_ : dict of str to TableEncoder
        Encoders of the table blocks.
    network_ : DeepClassifier
        The trained network.
    cv_scores_ : array of shape (n,) or (n, classes)
        Scores of each training row by the network that was trained without its group; not
        kept in a model file.
    """

    def __init__(self, modalities: Mapping[str, Any]) -> None:
        self.modalities = dict(modalities)

    def fit(self, rows: Any, progress: Callable[[int, int], object] | None = None) -> Any:
        """Train on all rows, and without each of five folds; return scores out of fold."""
        from fastmm.deep.at_once import train_at_once
        from fastmm.validate.dealing import deal_rows

        n = len(rows.codes)
        fold = deal_rows(rows.codes, rows.groups, FOLDS)
        every = [np.flatnonzero(fold != each) for each in range(int(fold.max()) + 1)]
        for train in every:
            if len(set(rows.codes[train])) < len(set(rows.codes)):
                raise ValueError("Each class must keep a patient when others are left out.")
        runs = [partial(self._train, rows, train) for train in [*every, np.arange(n)]]
        *trained, final = train_at_once(runs, progress, together=not _on_gpu())
        self.table_, self.network_ = final
        scores = []
        for each, (tables, network) in enumerate(trained):
            test = {name: block.take(fold == each) for name, block in rows.blocks.items()}
            scores.append(_scores(network, self.inputs(test, tables)))
        self.cv_scores_ = np.empty((n, *scores[0].shape[1:]))
        for each, own in enumerate(scores):
            self.cv_scores_[fold == each] = own
        return self.cv_scores_

    def predict(self, blocks: Mapping[str, Block]) -> Any:
        """Return scores, (n,) or (n, classes): logarithms of odds, or of probabilities."""
        return _scores(self.network_, self.inputs(blocks))

    def inputs(self, blocks: Mapping[str, Block], tables: Any = None) -> dict[str, Block]:
        """Return what the network takes: tables encoded, pixels as images."""
        found, tables = {}, self.table_ if tables is None else tables
        for name, modality in self.modalities.items():
            block = blocks[name]
            if name in tables:
                values = np.zeros((len(block.present), len(tables[name].feature_names_)))
                if block.present.any():
                    own = tables[name].transform(block.take(block.present).values)
                    values[block.present] = own
                values = values.astype(np.float32)
            else:
                values = block.read().values
                if modality.features == "pixels":
                    values = values.reshape(len(values), -1, *modality.shape)
                    values = values[:, 0] if values.shape[1] == 1 else values
            found[name] = Block(values, block.present)
        return found

    def _train(self, rows: Any, train: Any, progress: Callable[[int, int], object]) -> _Trained:
        """Fit encoders of tables and a network to some rows."""
        from fastmm.deep.classifier import DeepClassifier

        blocks = {name: block.take(train) for name, block in rows.blocks.items()}
        tables = {
            name: self.modalities[name].encoder().fit(block.take(block.present).values)
            for name, block in blocks.items()
            if isinstance(block.values, Columns)
        }
        network = DeepClassifier(
            class_weight=None,
            validation_fraction=0,
            max_epochs=epochs_for(len(train)),
            table_encoder="linear" if len(train) < _FEW else "residual",
        )
        weight = None if rows.weight is None else np.asarray(rows.weight)[train]
        inputs = self.inputs(blocks, tables)
        network.fit(inputs, rows.codes[train], sample_weight=weight, progress=progress)
        return _Trained(tables, network)


class _Trained(NamedTuple):
    tables: dict[str, Any]
    network: Any


def epochs_for(rows: float) -> int:
    """Return the number of epochs for so many rows: few where there are many."""
    return round(min(_MOST, max(_LEAST, _SEEN / max(rows, 1))))


def _on_gpu() -> bool:
    from fastmm.deep.tensors import import_torch

    return bool(import_torch().cuda.is_available())


def _scores(network: Any, inputs: Mapping[str, Block]) -> Any:
    probability = np.asarray(network.predict_proba(dict(inputs)), np.float64)
    logs = np.log(np.clip(probability, 1e-12, 1))
    return logs[:, 1] - logs[:, 0] if logs.shape[1] == 2 else logs - logs.mean(1, keepdims=True)
