"""Training runs and predictions of a classifier: from its parameters to weights and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch

from fastmm.deep.augmentation import Augmentation
from fastmm.deep.batches import Batches, learn_scaling
from fastmm.deep.checkpoint import Checkpoint, fingerprint
from fastmm.deep.inputs import Inputs
from fastmm.deep.network import FusionNetwork, initialise
from fastmm.deep.passes import deterministic, features_of, logits_of
from fastmm.deep.room import check_room, rows_within
from fastmm.deep.tensors import as_array
from fastmm.deep.training import Settings, Trainer
from fastmm.errors import ModelFileError
from fastmm.streams.limits import check_limit

__all__ = ["Found", "apply_network", "check_training", "run_training"]

_RUN = 2  # another number where the same settings would train otherwise
_ROWS = 256  # most rows that are predicted at once,
_VALUES = 1 << 25  # and most values of their first maps


class Found(NamedTuple):
    """What a training run hands back."""

    scaling: dict[str, dict[str, np.ndarray[Any, Any]]]
    weights: dict[str, np.ndarray[Any, Any]]
    history: dict[str, list[float]]
    best_epoch: int


def run_training(
    model: Any,
    inputs: Inputs,
    codes: np.ndarray[Any, Any],
    weight: np.ndarray[Any, Any],
    rows: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
    seed: int,
    device: torch.device,
    progress: Callable[[int, int], object] | None,
) -> Found:
    """Train the network of a classifier on rows[0], watching rows[1]."""
    settings, shapes = settings_of(model, seed, device), inputs.shapes()
    scaling = learn_scaling(inputs, rows[0])
    network = _network(model, shapes, int(codes.max()) + 1, "meta").to_empty(device="cpu")
    initialise(network, torch.Generator().manual_seed(settings.seed))
    checkpoint = None
    if model.checkpoint is not None:
        told = [_RUN, model.encoder, model.table_encoder, model.width, model.n_features]
        told += [repr(settings), device.type]
        run = fingerprint(inputs, told, codes, weight, *rows)
        checkpoint = Checkpoint(model.checkpoint, run)
    with deterministic(device):
        batches = Batches(inputs, list(shapes), scaling, device)
        trainer = Trainer(network.to(device), batches, codes, weight, settings)
        trainer.run(*rows, checkpoint, progress)
    weights = {name: tensor.cpu().numpy() for name, tensor in trainer.best.items()}
    return Found(scaling, weights, trainer.history, trainer.best_epoch)


def check_training(model: Any, arrays: Mapping[str, Any]) -> None:
    """Refuse modalities, checked but for their values, that `memory_limit` has no room for."""
    if model.memory_limit is not None:
        shapes = {name: tuple(array.shape[1:]) for name, array in arrays.items()}
        check_room(_network(model, shapes, 2, "meta"), model, arrays)


def apply_network(model: Any, inputs: Inputs, device: torch.device, *, features: bool) -> Any:
    """Compute the logits or the features of all rows, float64, where the inputs live.

    A GPU that is out of memory gets them one by one before that is an error.
    """
    widest = max(prod(shape) for shape in model.shapes_.values()) * int(model.width)
    rows = max(1, min(_ROWS, _VALUES // widest))
    limit = check_limit(model.memory_limit)
    if limit is not None:
        plain = _network(model, model.shapes_, len(model.classes_), "meta")
        rows = min(rows, rows_within(limit, plain, inputs.arrays))
    try:
        return _apply(model, inputs, device, rows, features=features)
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
    return _apply(model, inputs, device, 1, features=features)


def _apply(model: Any, inputs: Inputs, device: torch.device, count: int, *, features: bool) -> Any:
    network = fitted_network(model).to(device)
    if all(len(shape) == 1 for shape in model.shapes_.values()):
        network = network.double()  # costs nothing here, and rows then agree in any batch
    compute = features_of if features else logits_of
    with deterministic(device):
        batches = Batches(inputs, list(model.shapes_), model.scaling_, device)
        parts = [
            compute(network, *taken).double()
            for _, taken in batches.in_turn(torch.arange(inputs.n).split(count))
        ]
    return as_array(torch.cat(parts), inputs.space)


def fitted_network(model: Any) -> FusionNetwork:
    """Return the network of a fitted classifier, its weights checked, on the host."""
    try:
        network = _network(model, model.shapes_, len(model.classes_), "meta")
        weights = {name: torch.from_numpy(np.array(w)) for name, w in model.weights_.items()}
        network.load_state_dict(weights, assign=True)
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise ModelFileError(f"its weights do not fit its network: {said}") from None
    return network


def settings_of(model: Any, seed: int, device: torch.device) -> Settings:
    """Read the parameters of a classifier."""
    return Settings(
        max_epochs=int(model.max_epochs),
        patience=int(model.patience),
        batch_size=int(model.batch_size),
        learning_rate=float(model.learning_rate),
        weight_decay=float(model.weight_decay),
        dropout=float(model.dropout),
        column_dropout=float(model.column_dropout),
        modality_dropout=float(model.modality_dropout),
        augmentation=Augmentation(
            float(model.shift), float(model.rotation), float(model.zoom), bool(model.flip)
        ),
        half=_half(model.precision, device),
        seed=seed,
    )


def _half(precision: str, device: torch.device) -> torch.dtype | None:
    if precision == "float32" or (precision == "auto" and device.type == "cpu"):
        return None
    if device.type == "cuda" and not torch.cuda.is_bf16_supported():
        return torch.float16
    return torch.bfloat16


def _network(
    model: Any, shapes: Mapping[str, tuple[int, ...]], n_classes: int, device: str
) -> FusionNetwork:
    # Made without weights: torch would fill them from its global random state.
    with torch.device(device):
        return FusionNetwork(
            shapes,
            n_classes,
            encoder=model.encoder,
            table_encoder=model.table_encoder,
            width=int(model.width),
            n_features=int(model.n_features),
        )
