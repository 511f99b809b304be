"""The training loop: AdamW on a cosine, averaged weights, early stopping, checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from fastmm.deep.augmentation import Augmentation, augment
from fastmm.deep.batches import Batches
from fastmm.deep.checkpoint import Checkpoint
from fastmm.deep.draws import (
    generator_of,
    hide_columns,
    hide_modalities,
    keep_features,
    schedule,
    steps_of,
)
from fastmm.deep.network import FusionNetwork
from fastmm.deep.passes import logits_of

__all__ = ["Settings", "Trainer"]

_CLIP = 5.0  # largest norm of a gradient


@dataclass(frozen=True)
class Settings:
    """How to train; see `DeepClassifier`."""

    max_epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    dropout: float
    column_dropout: float
    modality_dropout: float
    augmentation: Augmentation
    half: torch.dtype | None  # of mixed precision
    seed: int


class Trainer:
    """One run: what it has learned so far, and the steps that go on from there.

    Random numbers of an epoch come from the seed and its number alone, so that a run that
    is taken up again draws what it would have drawn.
    """

    def __init__(
        self,
        network: FusionNetwork,
        batches: Batches,
        codes: np.ndarray[Any, Any],
        weight: np.ndarray[Any, Any],
        settings: Settings,
    ) -> None:
        self.network, self.averaged = network, deepcopy(network)
        self.best = network.state_dict()
        self.batches, self.settings = batches, settings
        self.codes = torch.from_numpy(codes).to(batches.device)
        self.weight = torch.from_numpy(weight.astype(np.float32)).to(batches.device)
        # Listed once: torch walks through all modules each time that it is asked for them.
        self.parameters = list(network.parameters())
        self.followers = list(self.averaged.parameters())
        decayed = [p for p in self.parameters if p.ndim > 1]
        plain = [p for p in self.parameters if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": settings.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
            fused=batches.device.type == "cpu",  # small steps: a loop over tensors costs a third
        )
        self.scaler = torch.amp.GradScaler(
            batches.device.type, enabled=settings.half is torch.float16
        )
        self.history: dict[str, list[float]] = {"loss": [], "held_out_loss": []}
        self.best_epoch = 0

    def run(
        self,
        train: np.ndarray[Any, Any],
        watch: np.ndarray[Any, Any],
        checkpoint: Checkpoint | None,
        progress: Callable[[int, int], object] | None,
    ) -> None:
        """Train until nothing is gained for `patience` epochs, or to the last epoch."""
        if checkpoint is not None:
            self._take_up(checkpoint)
        total = self.settings.max_epochs
        while not self._ended(len(watch)):
            self.history["loss"].append(self._epoch(torch.from_numpy(train)))
            if len(watch):
                self._watch(torch.from_numpy(watch))
            else:
                self._keep()
            if checkpoint is not None:
                checkpoint.save(*self._state())
            if progress is not None:
                progress(self.epoch, total)
        if progress is not None and self.epoch < total:
            progress(total, total)

    @property
    def epoch(self) -> int:
        """Number of epochs that were trained."""
        return len(self.history["loss"])

    def _ended(self, watched: int) -> bool:
        idle = self.epoch - self.best_epoch
        stale = watched > 0 and idle >= self.settings.patience
        return stale or self.epoch >= self.settings.max_epochs

    def _epoch(self, rows: Tensor) -> float:
        generator = generator_of(self.settings.seed, self.epoch)
        order = rows[torch.randperm(len(rows), generator=generator)]
        parts = order.tensor_split(steps_of(len(order), self.settings.batch_size))
        total = torch.zeros((), dtype=torch.float64, device=self.batches.device)
        for number, (part, taken) in enumerate(self.batches.in_turn(parts)):
            step = self.epoch * len(parts) + number
            total += len(part) * self._step(part, taken, step, len(parts), generator)
        return self._finite(float(total) / len(rows), self.epoch + 1)

    def _finite(self, loss: float, epoch: int) -> float:
        """Refuse to go on from a loss that is no number."""
        if not math.isfinite(loss):
            raise ValueError(
                f"Training diverged in epoch {epoch}; lower `learning_rate`, now "
                f"{self.settings.learning_rate:g}."
            )
        return loss

    def _step(
        self,
        rows: Tensor,
        taken: tuple[dict[str, Tensor], Tensor],
        step: int,
        per_epoch: int,
        generator: Any,
    ) -> Tensor:
        inputs, present = taken
        how = self.settings
        inputs = {
            name: augment(values, how.augmentation, generator)
            if values.ndim > 2
            else hide_columns(values, how.column_dropout, generator)
            for name, values in inputs.items()
        }
        present = hide_modalities(present, how.modality_dropout, generator)
        keep = keep_features(len(rows), self.network.absent.numel(), how.dropout, generator)
        for group in self.optimizer.param_groups:
            group["lr"] = how.learning_rate * schedule(step, how.max_epochs * per_epoch)
        self.network.train()
        with self._mixed():
            logits = self.network(
                inputs, present, None if keep is None else keep.to(present.device)
            )
        there = rows.to(self.codes.device)
        losses = cross_entropy(logits.float(), self.codes[there], reduction="none")
        loss = (losses * self.weight[there]).mean()
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.parameters, _CLIP)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._average(step, per_epoch)
        return loss.detach().double()

    def _mixed(self) -> Any:
        if self.settings.half is None:
            return nullcontext()
        return torch.autocast(self.batches.device.type, dtype=self.settings.half)

    def _average(self, step: int, per_epoch: int) -> None:
        """Follow the weights by a moving average over about an epoch."""
        decay = min((1 + step) / (10 + step), 1 - 1 / max(per_epoch, 10))
        with torch.no_grad():
            torch._foreach_lerp_(self.followers, self.parameters, 1 - decay)

    def _watch(self, rows: Tensor) -> None:
        """Note the loss of rows that are not trained on, by the averaged weights."""
        total, weight = 0.0, 0.0
        for part, taken in self.batches.in_turn(rows.split(self.settings.batch_size)):
            there = part.to(self.codes.device)
            logits = logits_of(self.averaged, *taken)
            losses = cross_entropy(logits.double(), self.codes[there], reduction="none")
            total += float((losses * self.weight[there]).sum())
            weight += float(self.weight[there].sum())
        losses = self.history["held_out_loss"]
        best = min(losses, default=math.inf)
        losses.append(self._finite(total / weight, self.epoch))
        if losses[-1] < best:
            self._keep()

    def _keep(self) -> None:
        self.best_epoch = self.epoch
        self.best = {name: t.detach().clone() for name, t in self.averaged.state_dict().items()}
        self._finite(float(sum(t.sum() for t in self.best.values())), self.epoch)

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return all that the next epoch depends on."""
        tensors = {}
        for part, state in self._parts().items():
            tensors.update({f"{part}/{name}": tensor for name, tensor in state.items()})
        moments = self.optimizer.state_dict()["state"]
        for number, own in moments.items():
            tensors.update({f"moments/{number}/{key}": value for key, value in own.items()})
        told = {
            "history": self.history,
            "best_epoch": self.best_epoch,
            "scaler": self.scaler.state_dict(),
        }
        return tensors, told

    def _parts(self) -> dict[str, dict[str, Tensor]]:
        return {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "best": self.best,
        }

    def _take_up(self, checkpoint: Checkpoint) -> None:
        found = checkpoint.load()
        if found is None:
            return
        tensors, told = found
        try:
            own = {part: _under(f"{part}/", tensors) for part in (*self._parts(), "moments")}
            self.network.load_state_dict(own["network"])
            self.averaged.load_state_dict(own["averaged"])
            self.best = {name: t.to(self.batches.device) for name, t in own["best"].items()}
            state = self.optimizer.state_dict()
            for name, tensor in own["moments"].items():
                number, key = name.split("/")
                state["state"].setdefault(int(number), {})[key] = tensor
            self.optimizer.load_state_dict(state)
            self.scaler.load_state_dict(told["scaler"])
            self.history, self.best_epoch = told["history"], told["best_epoch"]
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise checkpoint.damaged(error) from None


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
