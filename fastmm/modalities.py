"""What a modality is: how its raw data becomes features, and which rows have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from fastmm._check import integer, number, one_of, sizes
from fastmm.blocks import Block, Examinations
from fastmm.errors import CohortError
from fastmm.features.table import Columns, TableEncoder, parse_table
from fastmm.image.patches import extract_patches

__all__ = ["ImageModality", "TableModality"]


@dataclass(frozen=True)
class ImageModality:
    """Images of one kind, one file, folder or array for each examination.

    Each slice is windowed, resized and normalised (see `load_images`), turned into
    features, and the features of the slices become those of the examination.

    Parameters
    ----------
    shape : (height, width), default (128, 128)
        Size every slice is resized to, in pixels.
    window : (center, width) or None, default None
        Intensity window mapped to [0, 1], in the unit of the images.
    normalize : {"zscore", "minmax", "percentile"} or None, default None
        Normalisation of each slice after the resize.
    features : {"patches", "pixels"}, default "patches"
        The mean and the standard deviation of each patch, or all pixels.
    patch_size : (height, width), default (16, 16)
        Patch in pixels, for "patches".
    step : int, default 8
        Distance between patches in pixels.
    pool : {"mean", "max", "stack"}, default "mean"
        How the slices of an examination become one row: their mean or largest feature, or
        side by side, for which all examinations need as many slices.
    units : str or None, default None
        Unit the images must have before the window, such as "HU"; None accepts any, as long
        as it is one.
    channel : {0, 1, 2} or None, default None
        Channel of colour images. With None, colour is an error unless red, green and blue
        are equal.
    suv : bool, default False
        Convert PET in Bq/ml to standardised uptake values by body weight. A `normalize`
        would undo it, for it takes away the scale of each slice.

    Raises
    ------
    ValueError, TypeError
        About a parameter that cannot be.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import ImageModality
    >>> ct = ImageModality(shape=(32, 32), features="pixels")
    >>> ct.extract([np.ones((3, 32, 32), "float32"), None]).values.shape
    (2, 1024)
    """

    shape: tuple[int, int] = (128, 128)
    window: tuple[float, float] | None = None
    normalize: str | None = None
    features: str = "patches"
    patch_size: tuple[int, int] = (16, 16)
    step: int = 8
    pool: str = "mean"
    units: str | None = None
    channel: int | None = None
    suv: bool = False

    def __post_init__(self) -> None:
        for name in ("shape", "patch_size"):
            object.__setattr__(self, name, sizes(getattr(self, name), name, lengths=(2,)))
        one_of(self.features, "features", ("patches", "pixels"))
        one_of(self.pool, "pool", ("mean", "max", "stack"))
        integer(self.step, "step")
        if self.normalize is not None:
            one_of(self.normalize, "normalize", ("zscore", "minmax", "percentile"))
        if self.window is not None:
            center, width = self.window
            number(center, "window center")
            number(width, "window width", minimum=1)
        if self.channel is not None and integer(self.channel, "channel", minimum=0) > 2:
            raise ValueError(f"`channel` must be 0, 1 or 2, got {self.channel}.")
        if not isinstance(self.suv, bool):
            raise TypeError(f"`suv` must be True or False, got {self.suv!r}.")

    def describe(self) -> str:
        """Say in words what happens to an image."""
        steps = []
        if self.channel is not None:
            steps.append(f"{('red', 'green', 'blue')[self.channel]} channel")
        if self.suv:
            steps.append("SUV by body weight")
        if self.window:
            center, width = self.window
            steps.append(f"window {center:g}/{width:g} {self.units or ''}".rstrip())
        steps.append(f"{self.shape[0]} x {self.shape[1]} pixels")
        if self.normalize:
            steps.append(f"normalised by {self.normalize}")
        if self.features == "patches":
            height, width = self.patch_size
            steps.append(f"mean and deviation of {height} x {width} patches, step {self.step}")
        return ", ".join([*steps, f"slices: {self.pool}"])

    def extract(self, data: Sequence[Any]) -> Block:
        """Compute the features of examinations.

        Parameters
        ----------
        data : sequence of path, array of shape (slices, h, w), or None
            One for each examination, None where it is missing. Paths are read by `load`;
            arrays are taken as they are and must have `shape`.

        Returns
        -------
        Block
            float32 features.
        """
        items = list(data)
        if any(isinstance(item, (str, PathLike)) for item in items):
            items = self.load(items).images
        rows = [None if item is None else self._row(item, i) for i, item in enumerate(items)]
        present = np.array([row is not None for row in rows])
        widths = {len(row) for row in rows if row is not None} or {0}
        if len(widths) > 1:
            raise ValueError(
                '`pool="stack"` needs as many slices in each examination, got '
                f'{len(widths)} different numbers; choose pool="mean" or "max".'
            )
        empty = np.zeros(widths.pop(), np.float32)
        return Block(np.stack([empty if row is None else row for row in rows]), present)

    def load(
        self,
        paths: Sequence[Any],
        *,
        progress: Callable[[int, int], object] | None = None,
    ) -> Examinations:
        """Read examinations: window, resize and normalise each slice.

        Parameters
        ----------
        paths : sequence of path or None
            A file or folder for each examination, None where it is missing.
        progress : callable, optional
            Called as ``progress(done, total)``, counting slices.

        Returns
        -------
        Examinations

        Raises
        ------
        CohortError
            If the images differ in their unit, or have another than `units`.
        """
        from fastmm.batch_rows import load_rows

        given = [path for path in paths if path is not None]
        if not given:
            return Examinations([None] * len(paths), self.units or "", 0)
        rows = load_rows(
            given,
            self.shape,
            window=self.window,
            normalize=self.normalize,
            channel=self.channel,
            suv=self.suv,
            device="cpu",
            progress=progress or False,
        )
        found = sorted(set(rows.units))
        if len(found) > 1 or (self.units is not None and found != [self.units]):
            expected = "one unit" if self.units is None else repr(self.units)
            raise CohortError(
                f"The images of a modality must have {expected}, found {', '.join(found)}: "
                "one window or scale would mean something else in each."
            )
        parts = iter(rows.split())
        return Examinations(
            [None if path is None else next(parts) for path in paths], found[0], rows.n_bytes
        )

    def _row(self, item: Any, number: int) -> Any:
        slices = np.asarray(item, np.float32)
        if slices.ndim == 2:
            slices = slices[None]
        if slices.ndim != 3 or slices.shape[1:] != self.shape or not len(slices):
            raise ValueError(
                f"Examination {number} must have shape (slices, {self.shape[0]}, "
                f"{self.shape[1]}), got {slices.shape}."
            )
        return self._pooled(self._features(slices))

    def _features(self, slices: Any) -> Any:
        if self.features == "pixels":
            return slices.reshape(len(slices), -1)
        patches = extract_patches(slices, self.patch_size, step=self.step)
        axes = (-2, -1)
        both = np.stack([patches.mean(axis=axes), patches.std(axis=axes)], axis=1)
        return both.reshape(len(slices), -1)

    def _pooled(self, features: Any) -> Any:
        if self.pool == "stack":
            return features.reshape(-1)
        return features.mean(axis=0) if self.pool == "mean" else features.max(axis=0)


@dataclass(frozen=True)
class TableModality:
    """Columns of a case table or of gene expression; see `TableEncoder` for the rules.

    Parameters
    ----------
    max_categories : int, default 20
        A text column with more categories is refused as free text.

    Examples
    --------
    >>> from fastmm import TableModality
    >>> TableModality().extract({"age": ["60", "", "70"]}).present
    array([ True, False,  True])
    """

    max_categories: int = 20

    def extract(self, data: Mapping[str, Sequence[Any]] | Columns) -> Block:
        """Find the types of the columns; a row whose cells are all blank lacks the table."""
        columns = parse_table(data)
        filled = [texts != "" for texts in columns.texts.values()]
        return Block(columns, np.any(filled, axis=0))

    def encoder(self) -> TableEncoder:
        """Return the encoder that is fitted to the rows a model learns from."""
        return TableEncoder(self.max_categories)
