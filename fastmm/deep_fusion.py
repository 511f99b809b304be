"""A network for all modalities in the place of features, fusion and solver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastmm.blocks import Block
from fastmm.features.table import Columns
from fastmm.solve.grouped import make_folds

__all__ = ["DeepFusion"]

_FOLDS = 3  # of whole groups: each is a training of its own


class DeepFusion:
    """Hand blocks to a `DeepClassifier`: pixels as images, all else as tables.

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
    """

    def __init__(self, modalities: Mapping[str, Any]) -> None:
        self.modalities = dict(modalities)

    def fit(self, rows: Any) -> Any:
        """Train on all rows, and without each of three folds; return scores out of fold."""
        from fastmm.deep.classifier import DeepClassifier

        self.table_ = {
            name: self.modalities[name].encoder().fit(block.take(block.present).values)
            for name, block in rows.blocks.items()
            if isinstance(block.values, Columns)
        }
        n = len(rows.codes)
        folds = make_folds(n, rows.groups)
        if folds.n_folds > _FOLDS:
            folds = make_folds(n, rows.groups, _FOLDS)
        inputs, held_out = self.inputs(rows.blocks), None
        for fold in [*range(folds.n_folds), None]:
            train = np.flatnonzero(folds.codes != (-1 if fold is None else fold))
            if len(set(rows.codes[train])) < len(set(rows.codes)):
                raise ValueError("Each class must keep a patient when others are left out.")
            network = DeepClassifier(class_weight=None, random_state=0)
            network.fit(
                {name: block.take(train) for name, block in inputs.items()},
                rows.codes[train],
                sample_weight=None if rows.weight is None else np.asarray(rows.weight)[train],
                groups=None if rows.groups is None else np.asarray(rows.groups)[train],
            )
            if fold is None:
                self.network_ = network
                continue
            test = np.flatnonzero(folds.codes == fold)
            own = _scores(network, {name: block.take(test) for name, block in inputs.items()})
            held_out = np.empty((n, *own.shape[1:])) if held_out is None else held_out
            held_out[test] = own
        return held_out

    def predict(self, blocks: Mapping[str, Block]) -> Any:
        """Return scores, (n,) or (n, classes): logarithms of odds, or of probabilities."""
        return _scores(self.network_, self.inputs(blocks))

    def inputs(self, blocks: Mapping[str, Block]) -> dict[str, Block]:
        """Return what the network takes: tables encoded, pixels as images."""
        found = {}
        for name, modality in self.modalities.items():
            block = blocks[name]
            if name in self.table_:
                values = np.zeros((len(block.present), len(self.table_[name].feature_names_)))
                if block.present.any():
                    own = self.table_[name].transform(block.take(block.present).values)
                    values[block.present] = own
                values = values.astype(np.float32)
            else:
                values = block.values
                if modality.features == "pixels":
                    values = values.reshape(len(values), -1, *modality.shape)
                    values = values[:, 0] if values.shape[1] == 1 else values
            found[name] = Block(values, block.present)
        return found


def _scores(network: Any, inputs: Mapping[str, Block]) -> Any:
    probability = np.asarray(network.predict_proba(dict(inputs)), np.float64)
    logs = np.log(np.clip(probability, 1e-12, 1))
    return logs[:, 1] - logs[:, 0] if logs.shape[1] == 2 else logs - logs.mean(1, keepdims=True)
