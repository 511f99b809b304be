"""The network: an encoder for each modality, features side by side, a linear or small head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["FusionNetwork", "initialise"]

_STAGES = 4  # of an image encoder, each with half the resolution of the one before
_FIRST = 32  # pixels: the stem brings a longer axis down to about this


class FusionNetwork(nn.Module):  # type: ignore[misc]
    """Encoders by name, fused by concatenation.

    A modality that a row lacks is replaced by a vector that is learned.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        n_classes: int,
        *,
        encoder: str,
        table_encoder: str,
        width: int,
        n_features: int,
    ) -> None:
        super().__init__()
        self.names = list(shapes)
        # Numbered, since a name may hold a dot, which torch takes for a path.
        self.encoders = nn.ModuleList(
            TableEncoder(shape[0], n_features, residual=table_encoder == "residual")
            if len(shape) == 1
            else ImageEncoder(shape, width, n_features, residual=encoder == "residual")
            for shape in shapes.values()
        )
        self.absent = nn.Parameter(torch.zeros(len(shapes), n_features))
        fused = len(shapes) * n_features
        self.hidden = nn.Linear(fused, n_features) if len(shapes) > 1 else nn.Identity()
        self.last = nn.Linear(n_features, n_classes)

    def features(self, inputs: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Encode rows: (n, modalities, features), what is absent replaced."""
        rows = []
        for number, (name, encoder) in enumerate(zip(self.names, self.encoders, strict=True)):
            missing = self.absent[number].expand(len(present), -1)
            if name not in inputs:
                rows.append(missing)
                continue
            found = encoder(inputs[name])
            there = present[:, number, None]
            rows.append(torch.where(there, found, missing.to(found.dtype)))
        return torch.stack([row.to(rows[0].dtype) for row in rows], dim=1)

    def forward(
        self, inputs: Mapping[str, Tensor], present: Tensor, keep: Tensor | None = None
    ) -> Tensor:
        """Compute logits (n, classes); `keep` multiplies the features, for dropout."""
        features = self.features(inputs, present).flatten(1)
        if keep is not None:
            features = features * keep.to(features.dtype)
        hidden = self.hidden(features)
        if len(self.names) > 1:
            hidden = torch.relu(hidden)
        logits: Tensor = self.last(hidden)
        return logits


class TableEncoder(nn.Module):  # type: ignore[misc]
    """A linear map of the columns of a table, beside which a residual one has two layers."""

    def __init__(self, width: int, n_features: int, *, residual: bool) -> None:
        super().__init__()
        self.straight = nn.Linear(width, n_features)
        self.first: nn.Linear | None = None
        if residual:
            self.first = nn.Linear(width, n_features)
            self.second = nn.Linear(n_features, n_features, bias=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Map (n, p) to (n, features)."""
        found: Tensor = self.straight(rows)
        if self.first is not None:
            found = found + self.second(torch.relu(self.first(rows)))
        return found


class ImageEncoder(nn.Module):  # type: ignore[misc]
    """Convolutions in stages of falling resolution, pooled to their mean and maximum.

    Axes shrink only while they are long: a stack of few slices keeps them all.
    """

    def __init__(
        self, shape: tuple[int, ...], width: int, n_features: int, *, residual: bool
    ) -> None:
        super().__init__()
        strides = tuple(_stem_stride(size) for size in shape[1:])
        sizes = [-(-size // stride) for size, stride in zip(shape[1:], strides, strict=True)]
        layers: list[nn.Module] = [_conv(shape[0], width, sizes, strides, wide=True), _norm(width)]
        layers.append(nn.ReLU())
        channels = width
        for stage in range(_STAGES):
            strides = tuple(1 if stage == 0 or size < 8 else 2 for size in sizes)
            if stage and max(strides) == 1:
                break
            wider = width * 2**stage
            layers.append(ConvBlock(channels, wider, sizes, strides, residual=residual))
            sizes = [-(-size // stride) for size, stride in zip(sizes, strides, strict=True)]
            channels = wider
        self.layers = nn.Sequential(*layers)
        self.out = nn.Linear(2 * channels, n_features)

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, c, h, w) or (n, c, d, h, w) to (n, features)."""
        maps = self.layers(images).flatten(2)
        return torch.relu(self.out(torch.cat([maps.mean(-1), maps.amax(-1)], dim=1)))


class ConvBlock(nn.Module):  # type: ignore[misc]
    """Two convolutions with group normalisation, around which a residual one has a path."""

    def __init__(
        self,
        before: int,
        after: int,
        sizes: list[int],
        strides: tuple[int, ...],
        *,
        residual: bool,
    ) -> None:
        super().__init__()
        smaller = [-(-size // stride) for size, stride in zip(sizes, strides, strict=True)]
        ones = (1,) * len(sizes)
        self.body = nn.Sequential(
            _conv(before, after, sizes, strides),
            _norm(after),
            nn.ReLU(),
            _conv(after, after, smaller, ones),
            _norm(after),
        )
        self.residual = residual
        self.past: nn.Module | None = None
        if residual and (before != after or max(strides) > 1):
            self.past = _conv_kind(len(sizes))(before, after, 1, stride=strides, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, before, ...) to (n, after, ...)."""
        found = self.body(maps)
        if self.residual:
            found = found + (maps if self.past is None else self.past(maps))
        return torch.relu(found)


def initialise(network: FusionNetwork, generator: torch.Generator) -> None:
    """Fill the weights of a network, by He's rule, from a generator of one's own."""
    for module in network.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(module, nn.GroupNorm):
            nn.init.ones_(weight)
        elif isinstance(weight, Tensor):
            nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
        if isinstance(bias, Tensor):
            nn.init.zeros_(bias)
    for module in network.modules():
        if isinstance(module, ConvBlock) and module.residual:
            nn.init.zeros_(module.body[-1].weight)  # a block begins as the path around it
        if isinstance(module, TableEncoder) and module.first is not None:
            nn.init.zeros_(module.second.weight)
    nn.init.zeros_(network.absent)
    nn.init.normal_(network.last.weight, std=0.01, generator=generator)


def _stem_stride(size: int) -> int:
    """Return 1, 2, 4 or 8: what brings an axis down to about 32."""
    stride = 1
    while stride < 8 and size > _FIRST * stride:
        stride *= 2
    return stride


def _conv(
    before: int, after: int, sizes: list[int], strides: tuple[int, ...], *, wide: bool = False
) -> Any:
    """Make a convolution of 3 (`wide`: 2 s + 1) along each axis, 1 where there is one place."""
    kernel = tuple(
        (2 * stride + 1 if wide and stride > 1 else 3) if size > 1 else 1
        for size, stride in zip(sizes, strides, strict=True)
    )
    padding = tuple(k // 2 for k in kernel)
    kind = _conv_kind(len(sizes))
    return kind(before, after, kernel, stride=strides, padding=padding, bias=False)


def _conv_kind(axes: int) -> Any:
    return {2: nn.Conv2d, 3: nn.Conv3d}[axes]


def _norm(channels: int) -> nn.GroupNorm:
    # Of groups, since the statistics of few rows would be noise.
    groups = max(g for g in (1, 2, 4, 8) if channels % g == 0 and channels // g >= min(4, channels))
    return nn.GroupNorm(groups, channels)
