"""The parameters of a network, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from fastmm._check import integer, number, one_of

__all__ = ["check_parameters", "seed_of"]


def check_parameters(model: Any) -> None:
    """Refuse parameters of a DeepClassifier that cannot be."""
    one_of(model.encoder, "encoder", ("residual", "plain"))
    one_of(model.table_encoder, "table_encoder", ("residual", "linear"))
    one_of(model.precision, "precision", ("auto", "float32", "mixed"))
    for name in ("width", "n_features", "max_epochs", "patience", "batch_size"):
        integer(getattr(model, name), name)
    if number(model.learning_rate, "learning_rate", above=0) > 1:
        raise ValueError(f"`learning_rate` must be at most 1, got {model.learning_rate!r}.")
    for name in ("weight_decay", "shift", "zoom", "rotation"):
        number(getattr(model, name), name, minimum=0)
    for name in ("validation_fraction", "dropout", "column_dropout", "modality_dropout", "zoom"):
        if number(getattr(model, name), name, minimum=0) >= 1:
            raise ValueError(f"`{name}` must be below 1, got {getattr(model, name)!r}.")
    if not isinstance(model.flip, (bool, np.bool_)):
        raise TypeError(f"`flip` must be True or False, got {model.flip!r}.")
    if isinstance(model.channels, str):
        raise TypeError(f"`channels` must be a bool or names in a list, got {model.channels!r}.")


def seed_of(model: Any) -> int:
    """Return the seed of a run, drawn where `random_state` is no int."""
    if isinstance(model.random_state, (int, np.integer)):
        return integer(model.random_state, "random_state", minimum=0)
    if model.checkpoint is not None:
        raise ValueError(
            f"`checkpoint` needs an int as `random_state`, got {model.random_state!r}: another "
            "seed is another run."
        )
    return int(check_random_state(model.random_state).randint(2**31 - 1))
